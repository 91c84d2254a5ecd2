//! How a shape lies to a box.

/// How a shape lies to a box of longitudes and latitudes: see [`Prepared::reach`](crate::Prepared::reach).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The shape contains every position of the box.
    Covers,
    /// The box may have positions inside the shape and outside of it, or it was not cheap to say.
    Touches,
    /// Every position of the box is outside the shape, and farther from it than the margin.
    Misses,
}
