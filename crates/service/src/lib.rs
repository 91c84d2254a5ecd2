//! What any role needs to run: configuration, telemetry, health, shutdown, and the parts of an HTTP edge that
//! every role's interface shares.
//!
//! The types to know: [`config::Reader`] (typed keys from file, variables and flags, every error at once),
//! [`health::Health`] (what `/readyz` says), [`shutdown::Shutdown`] and [`shutdown::Running`] (how a process
//! ends), [`http::Problem`] (every error an HTTP client sees), [`http::Edge`] (the layer round a role's routes),
//! [`http::serve_http`] (the server), [`clock::Clock`] (what time it is).
//!
//! It never knows a domain type: no tenants, zones, pings or pushes; and it decides nothing for a role.

pub mod clock;
pub mod config;
pub mod health;
pub mod http;
pub mod shutdown;
pub mod telemetry;
pub mod time;

/// Any error, where a caller can only report it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
