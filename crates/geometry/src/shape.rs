//! A valid shape, as its owner gave it.

use std::ops::Deref;

use crate::error::{ShapeError, ShapeErrorCode};
use crate::position::Position;
use crate::validity::{Faults, Nesting, check_count, check_polygons};

/// Most positions of a shape, over all its rings, closing positions included.
pub const MAX_POSITIONS: usize = 10_000;
/// Fewest positions of a ring, the closing one included (RFC 7946, 3.1.6).
pub const MIN_RING_POSITIONS: usize = 4;
/// Smallest radius of a circle, metres.
pub const MIN_RADIUS_M: f64 = 10.0;
/// Largest radius of a circle, metres.
pub const MAX_RADIUS_M: f64 = 100_000.0;

/// A polygon's rings, the outer one first, each with its closing position. Read it as a slice; only a checked
/// [`Shape`] holds one.
#[derive(Clone, Debug, PartialEq)]
pub struct Rings(Vec<Vec<Position>>);

impl Deref for Rings {
    type Target = [Vec<Position>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A valid shape with its coordinates as they were given. It can only be made by [`Shape::from_json`],
/// [`Shape::circle`], [`Shape::polygon`] and [`Shape::multi_polygon`], which check it.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Everything within `radius_m` metres of `center`.
    #[non_exhaustive]
    Circle {
        /// The middle.
        center: Position,
        /// Metres, [`MIN_RADIUS_M`] to [`MAX_RADIUS_M`].
        radius_m: f64,
    },
    /// One polygon.
    Polygon(Rings),
    /// Several polygons; they may touch and overlap.
    MultiPolygon(Vec<Rings>),
}

impl Shape {
    /// A circle.
    ///
    /// # Errors
    /// The radius is outside 10 m to 100 km.
    pub fn circle(center: Position, radius_m: f64) -> Result<Self, ShapeError> {
        if (MIN_RADIUS_M..=MAX_RADIUS_M).contains(&radius_m) {
            Ok(Self::Circle { center, radius_m })
        } else {
            Err(ShapeError::new(
                "/radius_m",
                ShapeErrorCode::RadiusOutOfRange,
                format!("give a radius from {MIN_RADIUS_M} to {MAX_RADIUS_M} metres"),
            ))
        }
    }

    /// A polygon of closed rings, the outer one first.
    ///
    /// # Errors
    /// Every fault found, the first 20 of them; pointers as if the shape had come as JSON.
    pub fn polygon(rings: Vec<Vec<Position>>) -> Result<Self, Vec<ShapeError>> {
        check(vec![rings], Nesting::Polygon).map(Self::from_checked_polygon)
    }

    /// Several polygons, each of closed rings, the outer one first.
    ///
    /// # Errors
    /// Every fault found, the first 20 of them; pointers as if the shape had come as JSON.
    pub fn multi_polygon(polygons: Vec<Vec<Vec<Position>>>) -> Result<Self, Vec<ShapeError>> {
        check(polygons, Nesting::MultiPolygon).map(Self::from_checked_polygons)
    }

    /// How many positions the shape was given with: closing ones included; 1 for a circle.
    #[must_use]
    pub fn position_count(&self) -> usize {
        match self {
            Self::Circle { .. } => 1,
            Self::Polygon(rings) => rings.iter().map(Vec::len).sum(),
            Self::MultiPolygon(polygons) => {
                polygons.iter().flat_map(|rings| rings.iter()).map(Vec::len).sum()
            }
        }
    }

    /// Of one polygon that passed [`check_polygons`].
    pub(crate) fn from_checked_polygon(mut polygons: Vec<Vec<Vec<Position>>>) -> Self {
        Self::Polygon(Rings(polygons.pop().expect("a polygon that was checked")))
    }

    /// Of polygons that passed [`check_polygons`].
    pub(crate) fn from_checked_polygons(polygons: Vec<Vec<Vec<Position>>>) -> Self {
        Self::MultiPolygon(polygons.into_iter().map(Rings).collect())
    }

    /// The polygons of the shape: none for a circle.
    pub(crate) fn polygons(&self) -> &[Rings] {
        match self {
            Self::Circle { .. } => &[],
            Self::Polygon(rings) => std::slice::from_ref(rings),
            Self::MultiPolygon(polygons) => polygons,
        }
    }
}

fn check(
    polygons: Vec<Vec<Vec<Position>>>,
    nesting: Nesting,
) -> Result<Vec<Vec<Vec<Position>>>, Vec<ShapeError>> {
    check_count(polygons.iter().flatten().map(Vec::len).sum())?;
    let polygons = polygons.into_iter().map(|rings| rings.into_iter().map(Some).collect()).collect();
    check_polygons(polygons, nesting, Faults::default())
}
