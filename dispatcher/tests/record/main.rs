//! Record on a real log: the tables say what happened, once, whatever is killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ends;
#[path = "../house/mod.rs"]
mod house;
mod scene;
mod stage;
