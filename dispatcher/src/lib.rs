//! Turns transitions and sends into delivered pushes, in four stages that meet only on the log:
//!
//! - [`plan`] decides: a cause, the campaigns of now and the device as it is become a push or a suppressed delivery;
//! - [`expand`] turns a send to many into one request a device, page by page;
//! - [`send`] takes pushes to FCM and APNs, and is the only code that speaks to them;
//! - [`record`] writes what happened into the tables that people read.

pub mod expand;
mod outage;
pub mod plan;
pub mod record;
pub mod send;
mod visits;
