//! The decisions: pure functions of fixes, zones and times.

mod device;
mod index;
mod reference;
mod rules;
mod step;
mod zones;

pub use device::Device;
pub use index::{Around, Stamp, TenantZones, TileId, ZoneIndex};
pub use reference::Reference;
pub use rules::Rules;
pub use step::FixOutcome;
pub use zones::{PreparedZone, ZoneChange};
