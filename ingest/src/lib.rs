//! Phones' HTTP dialects to pings.
//!
//! [`serve`] is the only entry: it takes `POST /v1/pings`, a phone's own registration and its receipts, and answers
//! 2xx only once what it accepted is durable. [`body`] decides, without I/O, what of a request is accepted.
//!
//! It never looks at a zone: where a phone is means nothing here.

pub mod body;
mod config;
mod devices;
mod pings;
mod receipts;
mod serve;

pub use config::IngestConfig;
pub use receipts::engagement::EarlyReceipts;
pub use serve::{Dependencies, router, serve};
