//! Load, measured and checked: what the system answers under a load that does not wait for it, and whether what it
//! did was right.
//!
//! A bench is a module with `Options` (its command line) and a `run` that makes a [`report::Report`]: where and how it
//! ran, its numbers with their units, its latencies as percentiles, its series over time and its checks. Every bench
//! is printed ([`table`]), written as JSON and drawn as SVG ([`plot`]) by the same code. [`e2e`] is the whole way under
//! load, [`pipeline`] its parts against the best that they could be, [`dispatch`] the dispatcher alone, [`geofence`] the engine against what memory costs.
//!
//! A bench may know every other crate. Nothing else knows a bench.

pub mod compare;
pub mod dispatch;
pub mod e2e;
pub mod geofence;
pub mod goal;
pub mod latency;
pub mod machine;
pub mod pipeline;
pub mod plot;
pub mod progress;
pub mod report;
pub mod table;
pub mod usage;
