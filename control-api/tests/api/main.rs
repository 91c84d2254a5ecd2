//! What merchants are answered: through the real router, on the embedded log and store.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod apps;
mod campaign_options;
mod campaigns;
mod dead_letters;
mod deliveries;
mod devices;
mod edge;
mod events;
mod history;
mod house;
mod idempotency;
mod import;
mod openapi;
mod preview;
mod sends;
mod serve;
mod settings;
mod zones;
