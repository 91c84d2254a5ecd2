//! Sending, from a push on the log to a delivery on the log, against stand-ins for the providers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../control/mod.rs"]
mod control;

mod connections;
mod credentials;
mod day;
mod faults;
mod messages;
mod nghttpd;
mod peer;
mod providers;
mod restarts;
mod retries;
mod third;
mod world;
