//! From the globe to the plane of longitude and latitude: rings that cross the antimeridian are unwrapped.

use robust::{Coord, orient2d};

use crate::position::Position;

/// A point of the plane: x is a longitude that may lie beyond ±180, y a latitude.
pub(crate) type Point = Coord<f64>;

/// Turns of the globe to look a position up at: a ring that starts within ±180 and is at most 360 wide reaches from
/// -540 to 540.
pub(crate) const TURNS: [f64; 3] = [-360.0, 0.0, 360.0];

/// Turns of the globe to look for what is near a position: edges from -540 to 540 are within half a turn of one.
pub(crate) const NEAR_TURNS: [f64; 5] = [0.0, -360.0, 360.0, -720.0, 720.0];

/// Positive when `c` lies left of the line from `a` to `b`, zero when on it; exact.
pub(crate) fn orientation(a: Point, b: Point, c: Point) -> f64 {
    orient2d(a, b, c)
}

/// A ring in the plane: neighbours are never more than 180 degrees apart. The last point equals the first unless the
/// ring goes round a pole.
pub(crate) fn unwrap_ring(ring: &[Position]) -> Vec<Point> {
    unwrap_from(ring, 0)
}

/// A polygon's rings in one plane: those after the first are turned to where they lie over the first one.
pub(crate) fn unwrap_polygon(rings: &[Vec<Position>]) -> Vec<Vec<Point>> {
    let mut unwrapped: Vec<Vec<Point>> = rings.iter().map(|ring| unwrap_ring(ring)).collect();
    let Some((shell, holes)) = unwrapped.split_first_mut() else { return unwrapped };
    let (shell_west, shell_east) = x_range(shell);
    for (hole, ring) in holes.iter_mut().zip(&rings[1..]) {
        let (west, east) = x_range(hole);
        let overlap = |turns: i32| {
            let shift = 360.0 * f64::from(turns);
            (east + shift).min(shell_east) - (west + shift).max(shell_west)
        };
        let mut best = 0;
        for turns in [-1, 1, -2, 2] {
            if overlap(turns) > overlap(best) {
                best = turns;
            }
        }
        if best != 0 {
            // From the given longitudes again: adding 360 twice would round twice.
            *hole = unwrap_from(ring, best);
        }
    }
    unwrapped
}

/// Least and greatest x of some points.
pub(crate) fn x_range(points: &[Point]) -> (f64, f64) {
    points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), point| {
        (least.min(point.x), greatest.max(point.x))
    })
}

fn unwrap_from(ring: &[Position], mut turns: i32) -> Vec<Point> {
    let mut points = Vec::with_capacity(ring.len());
    let mut before: Option<f64> = None;
    for position in ring {
        match before.map(|lon| position.lon - lon) {
            Some(jump) if jump > 180.0 => turns -= 1,
            Some(jump) if jump < -180.0 => turns += 1,
            _ => {}
        }
        before = Some(position.lon);
        // Adding zero makes -0.0 into 0.0, so that equal points also sort as equal.
        points.push(Coord { x: position.lon + 360.0 * f64::from(turns), y: position.lat + 0.0 });
    }
    points
}

/// A box of the plane, borders included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaneBox {
    /// West and south.
    pub(crate) min: Point,
    /// East and north.
    pub(crate) max: Point,
}

impl PlaneBox {
    /// The least that holds some points, of which there is one.
    pub(crate) fn of(points: &[Point]) -> Self {
        let start = Self { min: points[0], max: points[0] };
        points[1..].iter().fold(start, |bounds, point| bounds.union(Self { min: *point, max: *point }))
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            min: Point { x: self.min.x.min(other.min.x), y: self.min.y.min(other.min.y) },
            max: Point { x: self.max.x.max(other.max.x), y: self.max.y.max(other.max.y) },
        }
    }

    pub(crate) fn turned(self, by: f64) -> Self {
        Self {
            min: Point { x: self.min.x + by, y: self.min.y },
            max: Point { x: self.max.x + by, y: self.max.y },
        }
    }

    pub(crate) fn contains(&self, point: Point) -> bool {
        (self.min.x..=self.max.x).contains(&point.x) && (self.min.y..=self.max.y).contains(&point.y)
    }

    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.min.x <= other.max.x
            && other.min.x <= self.max.x
            && self.min.y <= other.max.y
            && other.min.y <= self.max.y
    }

    /// Whether an edge may meet the box: false only where it surely does not, by more than rounding.
    pub(crate) fn meets_edge(&self, a: Point, b: Point) -> bool {
        /// More than the rounding of coordinates up to 1,000 and of the differences below, in degrees.
        const SLACK: f64 = 1e-12;
        if !self.meets(&Self::of(&[a, b])) {
            return false;
        }
        // All four corners on one side: the middle's distance to the line, against half the box's width across it.
        let (along_x, along_y) = (b.x - a.x, b.y - a.y);
        let (to_x, to_y) =
            (f64::midpoint(self.min.x, self.max.x) - a.x, f64::midpoint(self.min.y, self.max.y) - a.y);
        let (half_x, half_y) = (0.5 * (self.max.x - self.min.x), 0.5 * (self.max.y - self.min.y));
        let across = along_x.abs() * (half_y + SLACK) + along_y.abs() * (half_x + SLACK);
        let aside = (along_x * to_y).abs() + (along_y * to_x).abs();
        (along_x * to_y - along_y * to_x).abs() <= across + SLACK * aside
    }
}
