//! What phones are answered: through the real router, on the embedded log and store.
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod house;
mod pings;
mod receipts;
