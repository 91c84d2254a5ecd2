//! All four stages together, as the product runs them, against stand-ins for the providers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../control/mod.rs"]
mod control;

mod day;
mod dead_provider;
mod fairness;
mod tokens;
mod world;
