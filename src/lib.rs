//! Chooses the roles of a process and wires them. No domain logic.
//!
//! [`System::start`] runs roles in this process, as `geopush run` does; the demo, the benches and the tests start
//! them the same way. [`Settings`] is everything that can be configured.

mod addresses;
mod settings;
mod system;

pub use addresses::Addresses;
pub use settings::{Role, Settings, read_settings};
pub use system::{Storage, System};
