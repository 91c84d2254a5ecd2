//! Chooses the roles of a process and wires them. No domain logic.
//!
//! [`System::start_waiting`] runs roles in this process, as `geopush run` does; the demo and the benches give it an
//! open [`Storage`]. [`Settings`] is everything that can be configured, and says where the log and the tables are:
//! in a directory, or on servers that the processes of a fleet share.

mod addresses;
mod fleet;
mod roles;
mod settings;
mod storage;
mod system;
mod waiting;

pub use addresses::Addresses;
pub use settings::{Backend, Cql, Fleet, Kafka, Purpose, Role, Settings, read_settings, read_settings_for};
pub use storage::Storage;
pub use system::System;
