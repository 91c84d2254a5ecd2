//! What makes polygons valid.
//!
//! Rings may touch themselves and each other in single points, though stricter judges (OGC simple features) refuse a
//! ring that touches itself: the even-odd rule reads them in one way only, and real outlines pinch. They may not cross
//! or share a piece of edge: then what is inside is no longer what was drawn. Polygons of a multipolygon may overlap,
//! since their union is meant; a hole may lie outside its shell, and the even-odd rule counts it as a further part.

use crate::crossing::{Crossing, first_crossing};
use crate::error::{ShapeError, ShapeErrorCode as Code};
use crate::plane::{Point, orientation, unwrap_polygon, unwrap_ring, x_range};
use crate::position::Position;
use crate::shape::{MAX_POSITIONS, MIN_RING_POSITIONS};

/// A ring, or `None` where it could not be read and the faults say why.
pub(crate) type MaybeRing = Option<Vec<Position>>;

/// How deep `coordinates` lists: rings at once, or polygons.
#[derive(Clone, Copy)]
pub(crate) enum Nesting {
    Polygon,
    MultiPolygon,
}

impl Nesting {
    pub(crate) fn polygon_pointer(self, polygon: usize) -> String {
        match self {
            Self::Polygon => "/coordinates".to_owned(),
            Self::MultiPolygon => format!("/coordinates/{polygon}"),
        }
    }
}

/// Faults found so far: the first 20 are kept.
#[derive(Default)]
pub(crate) struct Faults(Vec<ShapeError>);

impl Faults {
    const MOST: usize = 20;

    pub(crate) fn push(&mut self, fault: ShapeError) {
        if !self.is_full() {
            self.0.push(fault);
        }
    }

    /// Keeps a fault where a value was wanted.
    pub(crate) fn none<T>(&mut self, fault: ShapeError) -> Option<T> {
        self.push(fault);
        None
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= Self::MOST
    }

    pub(crate) fn into_result(self) -> Result<(), Vec<ShapeError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

pub(crate) fn check_count(positions: usize) -> Result<(), Vec<ShapeError>> {
    if positions <= MAX_POSITIONS {
        return Ok(());
    }
    let detail = format!("{positions} positions; simplify the shape to at most {MAX_POSITIONS}");
    Err(vec![ShapeError::new("/coordinates", Code::TooManyPositions, detail)])
}

/// Judges polygons whose positions are in range, and hands them back when neither it nor `faults` has a fault.
pub(crate) fn check_polygons(
    polygons: Vec<Vec<MaybeRing>>,
    nesting: Nesting,
    mut faults: Faults,
) -> Result<Vec<Vec<Vec<Position>>>, Vec<ShapeError>> {
    if polygons.is_empty() {
        faults.push(ShapeError::new("/coordinates", Code::EmptyShape, "give at least one polygon"));
    }
    let mut checked = Vec::with_capacity(polygons.len());
    for (index, rings) in polygons.into_iter().enumerate() {
        if faults.is_full() {
            break;
        }
        checked.extend(check_polygon(rings, &nesting.polygon_pointer(index), &mut faults));
    }
    faults.into_result()?;
    Ok(checked)
}

fn check_polygon(rings: Vec<MaybeRing>, at: &str, faults: &mut Faults) -> Option<Vec<Vec<Position>>> {
    if rings.is_empty() {
        return faults.none(ShapeError::new(at, Code::EmptyShape, "give at least one ring"));
    }
    let count = rings.len();
    let mut valid = Vec::with_capacity(count);
    for (index, ring) in rings.into_iter().enumerate() {
        let Some(ring) = ring else { continue };
        let found = ring_faults(&ring, &format!("{at}/{index}"));
        if found.is_empty() {
            valid.push(ring);
        }
        found.into_iter().for_each(|fault| faults.push(fault));
    }
    if valid.len() < count {
        return None;
    }
    if count > 1
        && let Some(Crossing { first, second }) = first_crossing(&unwrap_polygon(&valid))
    {
        return faults.none(ShapeError::new(
            format!("{at}/{}", first.ring.max(second.ring)),
            Code::CrossingRings,
            format!(
                "ring {} after position {} meets ring {} after position {}; let the rings of a polygon touch in single \
                 points at most, and give parts that overlap as polygons of a MultiPolygon",
                first.ring, first.from, second.ring, second.from
            ),
        ));
    }
    Some(valid)
}

fn ring_faults(ring: &[Position], at: &str) -> Vec<ShapeError> {
    let fault = |code, detail: &str| ShapeError::new(at, code, detail);
    let (Some(first), Some(last)) = (ring.first(), ring.last()) else {
        return vec![fault(Code::EmptyShape, "give at least four positions, the last equal to the first")];
    };
    let mut faults = Vec::new();
    if ring.len() < MIN_RING_POSITIONS {
        faults
            .push(fault(Code::TooFewPositions, "give at least four positions, the last equal to the first"));
    }
    if first != last {
        faults.push(fault(Code::RingNotClosed, "repeat the first position as the last"));
    }
    if !faults.is_empty() {
        return faults;
    }
    let points = unwrap_ring(ring);
    let (west, east) = x_range(&points);
    if points.first() != points.last() || east - west > 360.0 {
        let detail = "leave the pole out, or cut the shape at longitude 180 into a MultiPolygon with edges along \
                      longitudes -180, 0 and 180; a ring goes round the globe at most once";
        faults.push(fault(Code::RingRoundPole, detail));
    } else if is_flat(&points) {
        let detail = "give three positions that are not on one line; an edge goes the short way round the globe, so \
                      give one that is longer than 180 degrees a position in between";
        faults.push(fault(Code::EmptyShape, detail));
    } else if let Some(Crossing { first, second }) = first_crossing(&[points]) {
        let detail = format!(
            "the edges after positions {} and {} cross or run along each other; reorder the positions, or split the \
             ring into polygons of a MultiPolygon",
            first.from, second.from
        );
        faults.push(fault(Code::SelfCrossingRing, &detail));
    }
    faults
}

/// All on one line.
fn is_flat(points: &[Point]) -> bool {
    let start = points[0];
    match points.iter().find(|point| **point != start) {
        Some(other) => points.iter().all(|point| orientation(start, *other, *point) == 0.0),
        None => true,
    }
}
