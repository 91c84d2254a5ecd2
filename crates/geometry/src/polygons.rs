//! Polygons made ready to be asked, in the plane of longitude and latitude.

use crate::bounds::{Bounds, Extent};
use crate::edges::{Clearance, Edges, Nearest};
use crate::ellipsoid::{
    Cartesian, MIN_CURVATURE_RADIUS_M, MIN_METRES_PER_DEGREE_LAT, greatest_angle, least_axis_distance_m,
    likely_arc_m,
};
use crate::metric::{Edge, Metric};
use crate::plane::{NEAR_TURNS, PlaneBox, Point, TURNS, unwrap_polygon};
use crate::position::Position;
use crate::reach::Reach;
use crate::shape::Rings;

/// The part of a position's distance from the Earth's axis up to which [`Metric`] is a measure.
const MEASURED_PART: f64 = 0.1;
/// More than rounding changes a planar distance or its bounds, metres.
const SLACK_M: f64 = 1e-6;
/// What is sure of a margin, however distances from outside that are compared with it are off.
const KEPT_OF_MARGIN: f64 = 0.98;
/// More than rounding changes a longitude or latitude by here, degrees.
const SLACK_DEGREES: f64 = 1e-11;

#[derive(Clone, Debug)]
pub(crate) struct Polygons(Edges);

/// The nearest edge, and the distances by which it is.
struct Found {
    metric: Metric,
    nearest: Nearest,
}

impl Polygons {
    pub(crate) fn new(polygons: &[Rings]) -> Self {
        let polygons: Vec<_> = polygons.iter().map(|rings| unwrap_polygon(rings)).collect();
        Self(Edges::new(&polygons))
    }

    pub(crate) fn extent(&self) -> Extent {
        let PlaneBox { min, max } = self.0.bounds();
        // Of what is within half a turn, the widest gap is the rest of the globe: only more is looked at edge by edge.
        let ranges = if max.x - min.x <= 180.0 { vec![(min.x, max.x)] } else { self.0.x_ranges() };
        Extent::of_ranges(ranges, min.y, max.y)
    }

    pub(crate) fn edges(&self) -> &Edges {
        &self.0
    }

    #[inline]
    pub(crate) fn contains(&self, position: Position) -> bool {
        let PlaneBox { min, max } = self.0.bounds();
        if position.lat.abs() == 90.0 {
            return position.lat == min.y || position.lat == max.y;
        }
        TURNS.iter().any(|turn| self.0.contain(Point { x: position.lon + turn, y: position.lat }))
    }

    pub(crate) fn distance_m(&self, position: Position) -> f64 {
        if self.contains(position) { 0.0 } else { self.distance_to_edges_m(position) }
    }

    /// Whether the position is outside by more than this, which is not negative.
    ///
    /// No edge near in the plane tells, and one that is nearer by `2 m/p`, a third of a metre at 1 km: see [`Metric`].
    pub(crate) fn is_farther_than(&self, position: Position, metres: f64) -> bool {
        let PlaneBox { min, max } = self.0.bounds();
        let lat_gap = (min.y - position.lat).max(position.lat - max.y);
        // The chord of five degrees is less than a thousandth shorter than their arc.
        if lat_gap.min(5.0) * MIN_METRES_PER_DEGREE_LAT * 0.999 > metres {
            return true;
        }
        if self.contains(position) {
            return false;
        }
        let at_most = Metric::at_most(position);
        let part = metres / at_most.axis_distance_m();
        if part <= MEASURED_PART {
            let within_m = metres * (1.0 + part) + SLACK_M;
            if self.is_box_beyond(at_most, within_m) {
                return true;
            }
            let nearest = self.nearest(Metric::at(position), within_m).nearest;
            if nearest.edge.is_none() {
                return true;
            }
            if nearest.squared_distance.sqrt() < metres * (1.0 - 2.0 * part) - SLACK_M {
                return false;
            }
        }
        self.distance_to_edges_m(position) > metres
    }

    pub(crate) fn clear_m(&self, position: Position) -> f64 {
        let metric = Metric::at_most(position);
        let axis_m = metric.axis_distance_m();
        let mut clearance = Clearance::within(MEASURED_PART * axis_m);
        for turned in self.turned(metric) {
            self.0.find_clearance(&turned, &mut clearance);
        }
        let planar_m = clearance.at_least.sqrt();
        // What is within a chord of this is nearer in the plane.
        let clear_m = planar_m * axis_m / (axis_m + planar_m);
        if clear_m > SLACK_M { clear_m - SLACK_M } else { 0.0 }
    }

    /// Whoever goes out goes to the boundary first, so what is left of the way is the most that they are outside.
    pub(crate) fn room_m(&self, position: Position, margin_m: f64) -> f64 {
        let room_m = if self.contains(position) {
            self.clear_m(position) + KEPT_OF_MARGIN * margin_m
        } else {
            KEPT_OF_MARGIN * margin_m - self.distance_to_edges_m(position)
        };
        room_m.max(0.0)
    }

    /// Whether an edge is within the margin of a box is asked as whether it meets a box that is larger by the margin.
    pub(crate) fn reach(&self, bounds: &Bounds, margin_m: f64) -> Reach {
        let place = Position { lon: bounds.west, lat: bounds.south };
        if !self.meets(&grown(bounds, margin_m)) {
            return if self.contains(place) { Reach::Covers } else { Reach::Misses };
        }
        if margin_m > 0.0 && !self.meets(&grown(bounds, 0.0)) && self.contains(place) {
            return Reach::Covers;
        }
        Reach::Touches
    }

    /// Whether an edge may meet a box.
    fn meets(&self, area: &PlaneBox) -> bool {
        NEAR_TURNS.iter().any(|turn| self.0.meet(&area.turned(*turn)))
    }

    /// Whether the box of all edges is so far away in the plane.
    fn is_box_beyond(&self, metric: Metric, metres: f64) -> bool {
        let square = metres * metres;
        NEAR_TURNS.iter().all(|turn| metric.turned(*turn).squared_distance_to_box(self.0.bounds()) > square)
    }

    /// The edge of those within some metres that is nearest in the plane.
    fn nearest(&self, metric: Metric, within_m: f64) -> Found {
        let mut found = Found { metric, nearest: Nearest::within(within_m) };
        for turned in self.turned(metric) {
            let before = found.nearest.squared_distance;
            self.0.find_nearest(&turned, &mut found.nearest);
            if found.nearest.squared_distance < before {
                found.metric = turned;
            }
        }
        found
    }

    /// The metric turned round the globe to where there may be edges within half a turn.
    fn turned(&self, metric: Metric) -> impl Iterator<Item = Metric> {
        let PlaneBox { min, max } = *self.0.bounds();
        let near = move |turned: &Metric| (min.x - 180.0..=max.x + 180.0).contains(&turned.from().x);
        NEAR_TURNS.iter().map(move |turn| metric.turned(*turn)).filter(near)
    }

    fn distance_to_edges_m(&self, position: Position) -> f64 {
        let Found { metric, nearest } = self.nearest(Metric::at(position), f64::INFINITY);
        let edge: Edge = nearest.edge.expect("a shape has an edge within half a turn of any longitude");
        let here = Cartesian::from(position);
        let distance_m = |to: Point| likely_arc_m(here.chord_m(Position { lon: to.x, lat: to.y }.into()));
        // Degrees are as long as they are halfway: that matters some kilometres away, and near a pole.
        let place = metric.nearest_on(edge);
        let halfway = metric.scaled_for(f64::midpoint(place.y, position.lat));
        distance_m(place).min(distance_m(halfway.nearest_on(edge)))
    }
}

/// A box of the plane that holds every place within a chord of `margin_m` of a position in the box.
///
/// Both are at least as far from the axis as is the box's farthest latitude moved by the margin. Between two meridians
/// the chord is the least at that distance.
fn grown(bounds: &Bounds, margin_m: f64) -> PlaneBox {
    let higher = greatest_angle(margin_m, MIN_CURVATURE_RADIUS_M) + SLACK_DEGREES;
    let farthest_lat = bounds.south.abs().max(bounds.north.abs()) + higher;
    // A pole has all longitudes.
    let wider = if farthest_lat > 89.99 {
        360.0
    } else {
        greatest_angle(margin_m, least_axis_distance_m(farthest_lat)) + SLACK_DEGREES
    };
    PlaneBox {
        min: Point { x: bounds.west - wider, y: bounds.south - higher },
        max: Point { x: bounds.east + wider, y: bounds.north + higher },
    }
}
