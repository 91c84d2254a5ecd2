//! The service round the engine: restores a slice, takes its pings, publishes what they mean.

mod config;
mod effects;
mod gauges;
mod note;
mod pace;
mod replay;
mod restore;
mod serve;
mod settings;
mod state;
mod work;
mod zone_changes;
mod zone_feed;

pub use config::GeofenceConfig;
pub use serve::{Dependencies, serve};
