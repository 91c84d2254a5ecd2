//! What is decided and why not, and plan on a real log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod held;
#[path = "../house/mod.rs"]
mod house;
mod laws;
mod limits;
mod reasons;
mod scene;
mod stage;
mod stage_limits;
mod triggers;
