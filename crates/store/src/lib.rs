//! The tables: everything that people ask for later, by the keys that they will ask with.
//!
//! Each table is declared once, by [`table!`], as a Rust struct with its partition key, clustering key and order;
//! the declaration carries what any backend needs ([`Schema`]). The types to know: [`Store`] (the typed operations),
//! [`Table`], [`Page`], [`Across`], the declarations in [`tables`], and the two backends, [`EmbeddedStore`] and
//! [`CqlStore`].
//!
//! There are plain tables (put, get, delete, pages, batches within a partition, expiry) and *conditional* ones,
//! which know only put-if-absent and put-if-version. This crate decides nothing about what a row means, and no
//! operation needs what CQL can't do: there are no joins, no filters on other columns, no counters.

mod across;
mod backend;
mod column;
mod cql;
mod declare;
mod embedded;
mod schema;
mod sqlite;
mod store;
pub mod tables;

pub use across::{Across, Position};
pub use backend::{Backend, Bound, StoreError};
pub use column::{ColumnValue, Timestamp};
#[cfg(feature = "bench")]
pub use cql::baseline;
pub use cql::{CqlOptions, CqlStore};
pub use embedded::EmbeddedStore;
pub use schema::{Column, ColumnType, Keyspace, Order, Schema, Table, Value};
pub use store::{Direction, Page, Store};
