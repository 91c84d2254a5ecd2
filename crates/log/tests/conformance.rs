//! What holds for every backend of the log. A backend takes part with a [`harness::Harness`] and one line at the end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
#[path = "conformance/claims.rs"]
mod claims;

#[path = "conformance/appending.rs"]
mod appending;
#[path = "conformance/committing.rs"]
mod committing;
#[path = "conformance/embedded.rs"]
mod embedded;
#[path = "conformance/following.rs"]
mod following;
#[path = "conformance/harness.rs"]
mod harness;
#[path = "conformance/reading.rs"]
mod reading;
#[path = "conformance/sharing.rs"]
mod sharing;
#[path = "conformance/staging.rs"]
mod staging;

conforms!(on_the_embedded_file, crate::embedded::EmbeddedHarness);
