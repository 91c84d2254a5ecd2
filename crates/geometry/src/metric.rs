//! Distances in the plane of longitude and latitude, where a degree has the lengths that it has near a position.

use crate::ellipsoid::{MIN_METRES_PER_DEGREE_LAT, least_axis_distance_m, metres_per_degree};
use crate::plane::{PlaneBox, Point};
use crate::position::Position;

/// Distances from a point of the plane.
///
/// **Lemma.** Let `p` be the position's distance from the Earth's axis and `m <= p / 10`. A place within a chord of `m` of
/// the position is within `m (1 + m/p)` of it here.
///
/// *Proof*: the distance from the axis changes by no more than the chord, so at the place it is at least `p - m`. With
/// the chord's square `k² + 4 p p' sin²(x/2)`, `k` the part along the meridian: `p²x²` is at most the second term
/// times `(1 + 0.1 (m/p)²) / (1 - m/p)`, and `M²y²` at most `k² (1 + 0.0103 m/p + 0.1 (m/p)²)`. Both factors are less
/// than `(1 + m/p)²`.
///
/// The other way round: the line to a place that is `d <= m` away here is on the globe at most `d (1 + 1.02 m/p)` long,
/// since degrees get longer by no more than that along it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    from: Point,
    /// Of longitude, of latitude.
    metres_per_degree: (f64, f64),
}

/// An edge by its ends.
pub(crate) type Edge = [Point; 2];

impl Metric {
    pub(crate) fn at(position: Position) -> Self {
        let from = Point { x: position.lon, y: position.lat };
        Self { from, metres_per_degree: metres_per_degree(position.lat) }
    }

    /// Distances that are surely no more than those of [`Metric::at`], and by 2 % less at most up to latitude 89,
    /// without trigonometry: the lemma holds for them too, with [`Metric::axis_distance_m`] for `p`.
    pub(crate) fn at_most(position: Position) -> Self {
        let from = Point { x: position.lon, y: position.lat };
        let east_m = least_axis_distance_m(position.lat).to_radians();
        Self { from, metres_per_degree: (east_m, MIN_METRES_PER_DEGREE_LAT) }
    }

    /// The same round a point that is some degrees further east.
    pub(crate) fn turned(self, by: f64) -> Self {
        Self { from: Point { x: self.from.x + by, y: self.from.y }, ..self }
    }

    /// Of the same point, with degrees as long as they are at another latitude.
    pub(crate) fn scaled_for(self, lat: f64) -> Self {
        Self { metres_per_degree: metres_per_degree(lat), ..self }
    }

    pub(crate) fn from(&self) -> Point {
        self.from
    }

    /// The distance from the Earth's axis.
    pub(crate) fn axis_distance_m(&self) -> f64 {
        self.metres_per_degree.0.to_degrees()
    }

    fn squared_distance(&self, to: Point) -> f64 {
        let (x, y) = self.offset(to);
        x * x + y * y
    }

    pub(crate) fn squared_distance_to_box(&self, PlaneBox { min, max }: &PlaneBox) -> f64 {
        let Point { x, y } = self.from;
        let within = |at: f64, least: f64, most: f64| {
            let at = if at < least { least } else { at };
            if at > most { most } else { at }
        };
        self.squared_distance(Point { x: within(x, min.x, max.x), y: within(y, min.y, max.y) })
    }

    /// The squared distance to the corner of a box that is farthest.
    pub(crate) fn squared_distance_across_box(&self, PlaneBox { min, max }: &PlaneBox) -> f64 {
        let Point { x, y } = self.from;
        let farther = |at: f64, least: f64, most: f64| if at - least > most - at { least } else { most };
        self.squared_distance(Point { x: farther(x, min.x, max.x), y: farther(y, min.y, max.y) })
    }

    /// The point of an edge that is nearest.
    pub(crate) fn nearest_on(&self, [a, b]: Edge) -> Point {
        let part = part_nearest_to_origin(self.offset(a), self.offset(b));
        if part.is_nan() {
            return a;
        }
        Point { x: a.x + part * (b.x - a.x), y: a.y + part * (b.y - a.y) }
    }

    /// The squared distance to the nearest edge of a run and where in it that is, if it is less than `limit`.
    pub(crate) fn nearest_edge(&self, run: &[Point], limit: f64) -> Option<(f64, usize)> {
        let (mut least, mut nearest) = (limit, None);
        let mut a = self.offset(run[0]);
        for (index, point) in run[1..].iter().enumerate() {
            let (start, end) = (a, self.offset(*point));
            a = end;
            let along = (end.0 - start.0, end.1 - start.1);
            let length = along.0 * along.0 + along.1 * along.1;
            let aside = start.0 * along.1 - start.1 * along.0;
            // Not nearer is the whole line of most edges, which takes no division; and an edge of no length.
            if aside * aside >= least * length {
                continue;
            }
            let part = part_nearest_to_origin(start, end);
            let (x, y) = (start.0 + part * along.0, start.1 + part * along.1);
            let squared_distance = x * x + y * y;
            if squared_distance < least {
                (least, nearest) = (squared_distance, Some(index));
            }
        }
        nearest.map(|index| (least, index))
    }

    fn offset(&self, to: Point) -> (f64, f64) {
        let (kx, ky) = self.metres_per_degree;
        ((to.x - self.from.x) * kx, (to.y - self.from.y) * ky)
    }
}

/// How far along the line from `a` to `b` is the nearest place; NaN for a line of no length.
#[inline]
fn part_nearest_to_origin(a: (f64, f64), b: (f64, f64)) -> f64 {
    let along = (b.0 - a.0, b.1 - a.1);
    let part = -(a.0 * along.0 + a.1 * along.1) / (along.0 * along.0 + along.1 * along.1);
    part.clamp(0.0, 1.0)
}
