//! Why a shape is refused.

use thiserror::Error;

/// One fault of a shape.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{pointer}: {detail}")]
pub struct ShapeError {
    /// JSON pointer (RFC 6901) of the offending member, relative to the shape: `/coordinates/0/3`; empty for the shape itself.
    pub pointer: String,
    /// What is wrong.
    pub code: ShapeErrorCode,
    /// What is wrong and what to do about it, for the shape's author.
    pub detail: String,
}

impl ShapeError {
    pub(crate) fn new(pointer: impl Into<String>, code: ShapeErrorCode, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// The closed list of reasons for which a shape is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShapeErrorCode {
    /// A member is of another JSON type than it must be.
    InvalidType,
    /// `type` names no shape that a zone can have.
    UnknownShapeType,
    /// A member that must be there is not.
    MissingMember,
    /// A coordinate or radius is not a number.
    NotANumber,
    /// A position has fewer than two coordinates.
    PositionTooShort,
    /// A longitude is beyond ±180 or a latitude beyond ±90.
    PositionOutOfRange,
    /// A radius is outside 10 m to 100 km.
    RadiusOutOfRange,
    /// A ring has fewer than four positions.
    TooFewPositions,
    /// The shape has more than 10,000 positions.
    TooManyPositions,
    /// A ring's last position differs from its first.
    RingNotClosed,
    /// A ring goes round a pole, or more than once round the globe.
    RingRoundPole,
    /// A ring crosses itself or runs back along itself.
    SelfCrossingRing,
    /// Two rings of one polygon cross or share a piece of edge.
    CrossingRings,
    /// There is nothing in the shape: no polygons, no rings, or a ring without area.
    EmptyShape,
}

impl ShapeErrorCode {
    /// Every code, for documentation.
    pub const ALL: [Self; 14] = [
        Self::InvalidType,
        Self::UnknownShapeType,
        Self::MissingMember,
        Self::NotANumber,
        Self::PositionTooShort,
        Self::PositionOutOfRange,
        Self::RadiusOutOfRange,
        Self::TooFewPositions,
        Self::TooManyPositions,
        Self::RingNotClosed,
        Self::RingRoundPole,
        Self::SelfCrossingRing,
        Self::CrossingRings,
        Self::EmptyShape,
    ];

    /// The code as answers spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidType => "invalid_type",
            Self::UnknownShapeType => "unknown_shape_type",
            Self::MissingMember => "missing_member",
            Self::NotANumber => "not_a_number",
            Self::PositionTooShort => "position_too_short",
            Self::PositionOutOfRange => "position_out_of_range",
            Self::RadiusOutOfRange => "radius_out_of_range",
            Self::TooFewPositions => "too_few_positions",
            Self::TooManyPositions => "too_many_positions",
            Self::RingNotClosed => "ring_not_closed",
            Self::RingRoundPole => "ring_round_pole",
            Self::SelfCrossingRing => "self_crossing_ring",
            Self::CrossingRings => "crossing_rings",
            Self::EmptyShape => "empty_shape",
        }
    }
}
