//! Pings and zones to transitions: who entered, stayed in or left which zone.
//!
//! [`engine`] decides and does nothing else: a [`engine::Device`] takes fixes, zone changes and silences and says its
//! transitions; [`engine::ZoneIndex`] finds the zones round a position; [`engine::Reference`] is the slow, obvious
//! evaluator that the two are held against. Times are arguments there, and nothing of the engine knows a runtime, the
//! log or a clock.
//!
//! [`serve`] is the service round it: per slice of the pings it keeps the devices' states, publishes transitions and
//! changed states in one commit, and restores itself from what was published.
//!
//! It never reads the store, never calls another service, and never writes a position into a log line.

pub mod engine;
mod stage;

pub use stage::{Dependencies, GeofenceConfig, serve};
