//! A shape made ready to be asked.

use crate::bounds::{Bounds, Extent};
use crate::ellipsoid::{CHORD_SLACK_M, Cartesian, likely_arc_m, metres_per_degree, most_arc_m};
use crate::plane::{Point, TURNS, unwrap_polygon};
use crate::position::{Position, geodesic_distance_m};
use crate::ring_tree::{Metric, Nearest, RingTree, Side};
use crate::shape::Shape;

/// A [`Shape`] made ready to be asked: unwrapped at the antimeridian, with trees of boxes over its edges.
///
/// Every answer follows from the shape and the position alone.
#[derive(Clone, Debug)]
pub struct Prepared {
    extent: Extent,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Circle(Circle),
    /// Each polygon by its rings.
    Polygons(Vec<Vec<RingTree>>),
}

#[derive(Clone, Debug)]
struct Circle {
    center: Position,
    middle: Cartesian,
    radius_m: f64,
}

impl Prepared {
    /// Of a valid shape.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        if let Shape::Circle { center, radius_m } = *shape {
            let circle = Circle { center, middle: center.into(), radius_m };
            return Self { extent: Extent::of_circle(center, radius_m), body: Body::Circle(circle) };
        }
        let trees = |rings| unwrap_polygon(rings).into_iter().map(RingTree::new).collect();
        let polygons: Vec<Vec<RingTree>> = shape.polygons().iter().map(|rings| trees(rings)).collect();
        let extents = || polygons.iter().flatten().map(RingTree::extent);
        let ranges = extents().map(|(min, max)| (min.x, max.x)).collect();
        let south = extents().map(|(min, _)| min.y).fold(90.0, f64::min);
        let north = extents().map(|(_, max)| max.y).fold(-90.0, f64::max);
        Self { extent: Extent::of_ranges(ranges, south, north), body: Body::Polygons(polygons) }
    }

    /// Whether the position is inside or on the boundary.
    ///
    /// Circles: the geodesic distance to the centre is at most the radius. Polygons: even-odd rule with straight edges
    /// in longitude and latitude, decided exactly. A pole is inside a polygon that has a position there.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        match &self.body {
            Body::Circle(circle) => {
                self.extent.distance_at_least_m(position) == 0.0 && circle.contains(position)
            }
            Body::Polygons(polygons) => {
                let (south, north) = self.extent.latitudes();
                if position.lat.abs() == 90.0 {
                    return position.lat == south || position.lat == north;
                }
                (south..=north).contains(&position.lat)
                    && TURNS.iter().any(|turn| {
                        let point = Point { x: position.lon + turn, y: position.lat };
                        polygons.iter().any(|rings| polygon_contains(rings, point))
                    })
            }
        }
    }

    /// Metres from outside to the boundary; 0 inside.
    ///
    /// Circles: geodesic distance to the centre less the radius. Polygons: to the place of the boundary that is nearest
    /// on a map scaled for the position's latitude. Measured against geodesics that is right to 1e-5 within 1 km up to
    /// latitude 89.5, and to 1e-4 within 100 km up to latitude 60. From further away another place may be a little
    /// nearer, so the answer is then too long, never too short by more than rounding and the Earth's flattening.
    #[must_use]
    pub fn distance_m(&self, position: Position) -> f64 {
        if self.contains(position) {
            return 0.0;
        }
        match &self.body {
            Body::Circle(circle) => circle.distance_m(position),
            Body::Polygons(polygons) => distance_to_edges_m(polygons, position),
        }
    }

    /// Whether the position is outside by more than `metres`: `!contains && distance_m > metres`, but cheap for
    /// positions far away.
    #[must_use]
    pub fn is_farther_than(&self, position: Position, metres: f64) -> bool {
        if self.extent.distance_at_least_m(position) > metres.max(0.0) {
            return true;
        }
        if self.contains(position) {
            return false;
        }
        match &self.body {
            Body::Circle(circle) => circle
                .is_surely_beyond(position, circle.radius_m + metres)
                .unwrap_or_else(|| circle.distance_m(position) > metres),
            Body::Polygons(polygons) => distance_to_edges_m(polygons, position) > metres,
        }
    }

    /// One or two boxes that surely hold every position within `margin_m` metres of the shape: two where the
    /// antimeridian parts them, one with all longitudes where a pole is near.
    #[must_use]
    pub fn bounds(&self, margin_m: f64) -> Vec<Bounds> {
        self.extent.bounds(margin_m)
    }
}

impl Circle {
    fn contains(&self, position: Position) -> bool {
        let beyond = self
            .is_surely_beyond(position, self.radius_m)
            .unwrap_or_else(|| geodesic_distance_m(self.center, position) > self.radius_m);
        !beyond
    }

    fn distance_m(&self, position: Position) -> f64 {
        (geodesic_distance_m(self.center, position) - self.radius_m).max(0.0)
    }

    /// Whether the position is further than this from the centre, if the chord tells: it does but for a rim of
    /// micrometres at 1 km and of a metre at 100 km.
    fn is_surely_beyond(&self, position: Position, limit_m: f64) -> Option<bool> {
        let chord_m = self.middle.chord_m(position.into());
        if chord_m > limit_m + CHORD_SLACK_M {
            Some(true)
        } else if most_arc_m(chord_m) < limit_m - CHORD_SLACK_M {
            Some(false)
        } else {
            None
        }
    }
}

fn polygon_contains(rings: &[RingTree], point: Point) -> bool {
    let mut inside = false;
    for ring in rings {
        match ring.side(point) {
            Side::Boundary => return true,
            Side::Inside => inside = !inside,
            Side::Outside => {}
        }
    }
    inside
}

fn distance_to_edges_m(polygons: &[Vec<RingTree>], position: Position) -> f64 {
    let mut nearest = Nearest::NONE;
    let mut nearest_metric = None;
    for turn in TURNS {
        let from = Point { x: position.lon + turn, y: position.lat };
        let metric = Metric { from, metres_per_degree: metres_per_degree(position.lat) };
        let before = nearest.squared_distance;
        polygons.iter().flatten().for_each(|ring| ring.find_nearest(&metric, &mut nearest));
        if nearest.squared_distance < before {
            nearest_metric = Some(metric);
        }
    }
    let (Some(edge), Some(metric)) = (nearest.edge, nearest_metric) else { return f64::INFINITY };
    let here = Cartesian::from(position);
    let distance_m = |to: Point| likely_arc_m(here.chord_m(Position { lon: to.x, lat: to.y }.into()));
    // Degrees are as long as they are halfway: that matters some kilometres away, and near a pole.
    let place = metric.nearest_on(edge);
    let halfway =
        Metric { metres_per_degree: metres_per_degree(f64::midpoint(place.y, position.lat)), ..metric };
    distance_m(place).min(distance_m(halfway.nearest_on(edge)))
}
