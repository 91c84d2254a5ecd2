//! Polygons made ready to be asked, in the plane of longitude and latitude.

use crate::bounds::{Bounds, Extent};
use crate::ellipsoid::{Cartesian, axis_distance_m, greatest_angle, likely_arc_m, metres_per_degree};
use crate::plane::{PlaneBox, Point, TURNS, unwrap_polygon};
use crate::position::Position;
use crate::reach::Reach;
use crate::ring_tree::{Metric, Nearest, RingTree, Side};
use crate::shape::Rings;

/// Turns of the globe to look for what is near a position: its edges from -540 to 540 are within half a turn of one.
const NEAR_TURNS: [f64; 5] = [0.0, -360.0, 360.0, -720.0, 720.0];
/// More than rounding changes a planar distance or its bounds, metres.
const SLACK_M: f64 = 1e-6;
/// More than rounding changes a longitude or latitude by here, degrees.
const SLACK_DEGREES: f64 = 1e-11;

#[derive(Clone, Debug)]
pub(crate) struct Polygons {
    extent: Extent,
    /// Holds all edges.
    plane_box: PlaneBox,
    /// Each polygon by its rings.
    polygons: Vec<Vec<RingTree>>,
}

impl Polygons {
    pub(crate) fn new(polygons: &[Rings]) -> Self {
        let trees = |rings| unwrap_polygon(rings).into_iter().map(RingTree::new).collect();
        let polygons: Vec<Vec<RingTree>> = polygons.iter().map(|rings| trees(rings)).collect();
        let extents = || polygons.iter().flatten().map(RingTree::extent);
        let ranges = extents().map(|(min, max)| (min.x, max.x)).collect();
        let plane_box = extents().map(|(min, max)| PlaneBox { min, max }).reduce(PlaneBox::union);
        let plane_box = plane_box.expect("a valid shape has a ring");
        let extent = Extent::of_ranges(ranges, plane_box.min.y, plane_box.max.y);
        Self { extent, plane_box, polygons }
    }

    pub(crate) fn extent(&self) -> &Extent {
        &self.extent
    }

    pub(crate) fn contains(&self, position: Position) -> bool {
        let PlaneBox { min, max } = self.plane_box;
        if position.lat.abs() == 90.0 {
            return position.lat == min.y || position.lat == max.y;
        }
        TURNS.iter().any(|turn| {
            let point = Point { x: position.lon + turn, y: position.lat };
            self.plane_box.contains(point) && self.polygons.iter().any(|rings| polygon_contains(rings, point))
        })
    }

    pub(crate) fn distance_m(&self, position: Position) -> f64 {
        if self.contains(position) { 0.0 } else { self.distance_to_edges_m(position, self.nearest(position)) }
    }

    /// Whether the position is outside by more than this, which is not negative.
    ///
    /// What the lemma at [`Polygons::clear_m`] says of the edge that is nearest in the plane tells but for a band of
    /// `3 m/p`, half a metre at 1 km. Below it: the line in the plane to a place `d` away there is on the globe at
    /// most `d (1 + 1.02 m/p)` long, since degrees get longer by that much at most.
    pub(crate) fn is_farther_than(&self, position: Position, metres: f64) -> bool {
        if self.extent.distance_at_least_m(position) > metres {
            return true;
        }
        if self.contains(position) {
            return false;
        }
        let nearest = self.nearest(position);
        let part = metres / nearest.metric.axis_distance_m();
        if part <= 0.1 {
            let planar_m = nearest.squared_distance.sqrt();
            if planar_m > metres * (1.0 + part) + SLACK_M {
                return true;
            }
            if planar_m < metres * (1.0 - 2.0 * part) - SLACK_M {
                return false;
            }
        }
        self.distance_to_edges_m(position, nearest) > metres
    }

    /// Lemma: let `p` be a position's distance from the Earth's axis and `m <= p / 10`. A place within a chord of `m`
    /// is within `m (1 + m/p)` of it in the plane with the metres per degree that are at the position.
    ///
    /// Proof: the distance from the axis changes by no more than the chord, so at the place it is at least `p - m`. With
    /// the chord's square `k² + 4 p p' sin²(x/2)`, `k` the part along the meridian: `p²x²` is at most the second
    /// term times `(1 + 0.1 (m/p)²) / (1 - m/p)`, and `M²y²` at most `k²(1 + 0.0103 m/p + 0.1 (m/p)²)`. Both factors
    /// are less than `(1 + m/p)²`.
    pub(crate) fn clear_m(&self, position: Position) -> f64 {
        let nearest = self.nearest(position);
        let axis_m = nearest.metric.axis_distance_m();
        let planar_m = nearest.squared_distance.sqrt();
        if axis_m <= 0.0 {
            return 0.0;
        }
        let clear_m = (planar_m / (1.0 + planar_m / axis_m)).min(axis_m / 10.0);
        (clear_m - SLACK_M).max(0.0)
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
        NEAR_TURNS.iter().any(|turn| {
            let area = area.turned(*turn);
            self.plane_box.meets(&area) && self.polygons.iter().flatten().any(|ring| ring.meets(&area))
        })
    }

    /// The place of the boundary that is nearest in the plane with the metres per degree that are at the position.
    fn nearest(&self, position: Position) -> Found {
        let metres_per_degree = metres_per_degree(position.lat);
        let mut nearest = Nearest::NONE;
        let mut metric = Metric { from: Point { x: position.lon, y: position.lat }, metres_per_degree };
        for turn in NEAR_TURNS {
            let x = position.lon + turn;
            if x < self.plane_box.min.x - 180.0 || x > self.plane_box.max.x + 180.0 {
                continue;
            }
            let turned = Metric { from: Point { x, y: position.lat }, metres_per_degree };
            let before = nearest.squared_distance;
            self.polygons.iter().flatten().for_each(|ring| ring.find_nearest(&turned, &mut nearest));
            if nearest.squared_distance < before {
                metric = turned;
            }
        }
        let edge = nearest.edge.expect("a shape has an edge within half a turn of any longitude");
        Found { metric, edge, squared_distance: nearest.squared_distance }
    }

    fn distance_to_edges_m(&self, position: Position, Found { metric, edge, .. }: Found) -> f64 {
        let here = Cartesian::from(position);
        let distance_m = |to: Point| likely_arc_m(here.chord_m(Position { lon: to.x, lat: to.y }.into()));
        // Degrees are as long as they are halfway: that matters some kilometres away, and near a pole.
        let place = metric.nearest_on(edge);
        let halfway =
            Metric { metres_per_degree: metres_per_degree(f64::midpoint(place.y, position.lat)), ..metric };
        distance_m(place).min(distance_m(halfway.nearest_on(edge)))
    }
}

/// The nearest edge, and the distances by which it is.
struct Found {
    metric: Metric,
    edge: [Point; 2],
    squared_distance: f64,
}

/// A box of the plane that holds every place within a chord of `margin_m` of a position in the box.
///
/// Such a place's distance to the position's meridian, or the other way round, is at most the margin; and both are at
/// least as far from the axis as the box's farthest latitude, moved by the margin.
fn grown(bounds: &Bounds, margin_m: f64) -> PlaneBox {
    let farthest_lat = bounds.south.abs().max(bounds.north.abs());
    let higher = SLACK_DEGREES + if margin_m > 0.0 { greatest_lat_change(margin_m) } else { 0.0 };
    let wider = if farthest_lat + higher > 89.99 {
        // A pole has all longitudes.
        360.0
    } else if margin_m > 0.0 {
        greatest_angle(margin_m, axis_distance_m(farthest_lat + higher)) + SLACK_DEGREES
    } else {
        SLACK_DEGREES
    };
    PlaneBox {
        min: Point { x: bounds.west - wider, y: bounds.south - higher },
        max: Point { x: bounds.east + wider, y: bounds.north + higher },
    }
}

fn greatest_lat_change(chord_m: f64) -> f64 {
    greatest_angle(chord_m, crate::ellipsoid::MIN_CURVATURE_RADIUS_M)
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
