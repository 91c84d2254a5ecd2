//! The merchants' REST API: what they configure, what they ask for, and what happened.
//!
//! [`serve`] is the only entry. Every route is in a module named after its resource; each reads a request into the
//! domain's types, lets `geopush-registry` write it to row and topic, and reads the tables that the other roles
//! write. The OpenAPI document is made from the same declarations that route the requests ([`openapi`]).
//!
//! It never evaluates a position, decides on a push or speaks to a provider.

#![allow(unused_qualifications, reason = "utoipa names extractors' types again, in its own way")]

mod apps;
mod auth;
mod campaigns;
mod config;
mod dead_letters;
mod deliveries;
mod devices;
mod docs;
mod error;
mod etag;
mod events;
mod hours;
mod idempotency;
mod json;
mod listing;
mod months;
mod presence;
mod rate;
mod sends;
mod serve;
mod settings;
mod state;
mod totals;
mod transitions;
mod zones;

pub use config::ApiConfig;
pub use serve::{openapi, router, serve};
pub use state::Dependencies;
