//! The decisions: pure functions of fixes, zones and times.

mod crossings;
mod device;
mod devices;
mod index;
mod reference;
mod rules;
mod safe_box;
mod step;
mod zones;

pub use device::Device;
pub use devices::{Arrival, Counts, DeviceHash, Devices, Outcomes, Slot};
pub use index::{Around, Stamp, TileId, ZoneIndex};
pub use reference::Reference;
pub use rules::Rules;
use step::FixOutcome;
pub use zones::{PreparedZone, ZoneChange};
