//! The decisions: pure functions of fixes, zones and times.

mod crossings;
mod device;
mod devices;
mod index;
mod meeting;
mod memory;
mod reference;
mod rules;
mod safe_box;
mod said;
mod step;
mod tags;
mod zones;

pub use device::{Device, Stay};
pub use devices::{Arrival, Counts, DeviceHash, Devices, Outcomes, Slot};
pub use index::{Around, Replaced, Stamp, TileId, Update, ZoneIndex};
pub use reference::Reference;
pub use rules::Rules;
pub use said::{Occasion, Said};
use step::FixOutcome;
pub use zones::{PreparedZone, ZoneChange};
