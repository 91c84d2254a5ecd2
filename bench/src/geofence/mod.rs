//! What a ping costs the geofence engine, against what memory costs.

pub mod block;
pub mod floor;
pub mod traffic;
pub mod world;
