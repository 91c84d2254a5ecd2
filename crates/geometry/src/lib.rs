//! Shapes: what a zone covers, whether a position is inside it, and how far outside it is.
//!
//! - [`Shape`] is a valid shape exactly as its owner gave it. [`Shape::from_json`] is the only judge of validity: it
//!   reports every fault it finds as a [`ShapeError`] with the JSON pointer of the offending member.
//! - [`Prepared`] is the same shape made ready to be asked many times: whether it contains a position or is farther from
//!   it than some metres, how far its border is at least, how it lies to a box ([`Reach`]), where a line passes it.
//! - [`Position`] is a checked longitude and latitude in degrees, WGS84.
//!
//! A circle holds the positions within a geodesic distance of its centre. A polygon's edges are straight lines in
//! longitude and latitude (RFC 7946, 3.1.1), its rings are read by the even-odd rule, and its boundary counts as inside;
//! a multipolygon holds what any of its polygons holds. Orientation is decided exactly, so no position falls through
//! the line between two neighbouring zones.
//!
//! Nothing here does I/O, knows of zones, tenants or time, or depends on another crate of the workspace. Coordinates
//! are never rounded or reordered.

mod around;
mod bounds;
mod circle;
mod crossing;
mod edges;
mod ellipsoid;
mod error;
mod json;
mod metric;
mod passage;
mod plane;
mod polygons;
mod position;
mod prepared;
mod reach;
mod shape;
mod validity;

pub use bounds::Bounds;
pub use error::{ShapeError, ShapeErrorCode};
pub use position::{Position, geodesic_distance_m};
pub use prepared::Prepared;
pub use reach::Reach;
pub use shape::{MAX_POSITIONS, MAX_RADIUS_M, MIN_RADIUS_M, MIN_RING_POSITIONS, Rings, Shape};
