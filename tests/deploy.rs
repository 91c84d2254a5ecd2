//! What `deploy/` and `docs/operations/` say is what the binary does: every query of the dashboard finds data on a real
//! scrape, every alert asks for metrics that are counted, every flag is a key, and the documentation is whole.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

#[path = "deploy/container.rs"]
mod container;
#[path = "deploy/documentation.rs"]
mod documentation;
#[path = "deploy/fleet.rs"]
mod fleet;
#[path = "deploy/promql.rs"]
mod promql;
#[path = "deploy/scrape.rs"]
mod scrape;
#[path = "deploy/sources.rs"]
mod sources;
mod support;
#[path = "deploy/system.rs"]
mod system;
#[path = "deploy/watching.rs"]
mod watching;
