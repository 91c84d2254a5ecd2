//! The parts of an HTTP edge that every role's interface shares.
//!
//! A role writes handlers that return `Result<_, `[`Problem`]`>`, puts [`Edge`] round its router and gives it to
//! [`serve_http`]. Bodies are read with [`read_body`] or [`json_body`], which bound size, time and decompression.

mod auth;
mod body;
mod door;
mod edge;
mod json;
mod problem;
mod serve;

pub use auth::bearer;
pub use body::{BodyLimits, read_body};
pub use door::Door;
pub use edge::{Edge, RequestId};
pub use json::{json_body, parse_json};
pub use problem::{Invalid, Problem};
pub use serve::{ServeLimits, serve_http};
