//! The tables on ScyllaDB or Cassandra.
//!
//! `ddl`, `statements`, `plan`, `pieces` and `consistency` say what is asked of the database, as functions of the
//! declarations; `connect`, `prepared`, `run` and `migrate` ask it.

#[cfg(feature = "bench")]
pub mod baseline;
mod connect;
mod consistency;
mod ddl;
mod errors;
mod migrate;
mod observe;
mod pacing;
mod pieces;
mod plan;
mod prepared;
mod retry;
mod run;
mod statements;
mod store;
mod values;

pub use connect::CqlOptions;
pub use store::CqlStore;
