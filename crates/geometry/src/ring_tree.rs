//! A ring with a tree of boxes over its edges, so that questions about a point look at few of them.
//!
//! A node covers a run of consecutive edges. That makes the even-odd test cheap: of a run that lies wholly east of the
//! point only its two ends matter, and a run whose latitudes miss the point's does not matter at all; so only nodes
//! whose box holds the point are opened.

use crate::plane::{PlaneBox, Point, orientation};

/// Edges in a node of the lowest level.
const LEAF_EDGES: usize = 8;
/// Nodes under a node of the other levels.
const FAN_OUT: usize = 4;

/// Distances from a point in a plane where a degree has the lengths that it has near there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) from: Point,
    /// Metres per degree (of longitude, of latitude).
    pub(crate) metres_per_degree: (f64, f64),
}

impl Metric {
    fn squared_distance(&self, to: Point) -> f64 {
        let dx = (to.x - self.from.x) * self.metres_per_degree.0;
        let dy = (to.y - self.from.y) * self.metres_per_degree.1;
        dx * dx + dy * dy
    }

    fn squared_distance_to_box(&self, PlaneBox { min, max }: &PlaneBox) -> f64 {
        let Point { x, y } = self.from;
        self.squared_distance(Point { x: x.clamp(min.x, max.x), y: y.clamp(min.y, max.y) })
    }

    pub(crate) fn axis_distance_m(&self) -> f64 {
        self.metres_per_degree.0.to_degrees()
    }

    /// The point of an edge that is nearest.
    pub(crate) fn nearest_on(&self, [a, b]: [Point; 2]) -> Point {
        let (kx, ky) = self.metres_per_degree;
        let (along_x, along_y) = ((b.x - a.x) * kx, (b.y - a.y) * ky);
        let length = along_x * along_x + along_y * along_y;
        if length == 0.0 {
            return a;
        }
        let (dx, dy) = ((self.from.x - a.x) * kx, (self.from.y - a.y) * ky);
        let part = ((dx * along_x + dy * along_y) / length).clamp(0.0, 1.0);
        Point { x: a.x + part * (b.x - a.x), y: a.y + part * (b.y - a.y) }
    }
}

/// The nearest place found so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearest {
    pub(crate) squared_distance: f64,
    /// The edge that it is on; `None` before anything was found.
    pub(crate) edge: Option<[Point; 2]>,
}

impl Nearest {
    pub(crate) const NONE: Self = Self { squared_distance: f64::INFINITY, edge: None };
}

/// How a point lies to one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Inside,
    Outside,
    Boundary,
}

#[derive(Clone, Debug)]
pub(crate) struct RingTree {
    /// The ring, first point repeated as the last.
    points: Vec<Point>,
    /// Boxes of all nodes, level after level from the leaves up; the last is the root.
    boxes: Vec<PlaneBox>,
    /// Where each level starts in `boxes`.
    levels: Vec<usize>,
}

impl RingTree {
    /// Of a closed ring of at least two points.
    pub(crate) fn new(points: Vec<Point>) -> Self {
        let leaves = (points.len() - 1).div_ceil(LEAF_EDGES);
        let mut boxes: Vec<PlaneBox> = (0..leaves)
            .map(|leaf| {
                let first = leaf * LEAF_EDGES;
                PlaneBox::of(&points[first..=(first + LEAF_EDGES).min(points.len() - 1)])
            })
            .collect();
        let mut levels = vec![0];
        let mut start = 0;
        while boxes.len() - start > 1 {
            let level = boxes.len();
            let joined: Vec<PlaneBox> = boxes[start..]
                .chunks(FAN_OUT)
                .map(|nodes| nodes[1..].iter().fold(nodes[0], |joined, node| joined.union(*node)))
                .collect();
            boxes.extend(joined);
            levels.push(level);
            start = level;
        }
        Self { points, boxes, levels }
    }

    /// Least and greatest x and y: `(min, max)`.
    pub(crate) fn extent(&self) -> (Point, Point) {
        let root = self.boxes[self.boxes.len() - 1];
        (root.min, root.max)
    }

    /// Whether the point is on the ring, or on which side of it by the even-odd rule; exact.
    pub(crate) fn side(&self, point: Point) -> Side {
        let mut odd = false;
        if self.count_crossings(self.levels.len() - 1, 0, point, &mut odd) {
            Side::Boundary
        } else if odd {
            Side::Inside
        } else {
            Side::Outside
        }
    }

    /// Improves `nearest` where an edge is nearer.
    pub(crate) fn find_nearest(&self, metric: &Metric, nearest: &mut Nearest) {
        let root = &self.boxes[self.boxes.len() - 1];
        if metric.squared_distance_to_box(root) < nearest.squared_distance {
            self.search(self.levels.len() - 1, 0, metric, nearest);
        }
    }

    /// Whether an edge may meet a box.
    pub(crate) fn meets(&self, area: &PlaneBox) -> bool {
        self.node_meets(self.levels.len() - 1, 0, area)
    }

    fn node_meets(&self, level: usize, node: usize, area: &PlaneBox) -> bool {
        if !self.boxes[self.levels[level] + node].meets(area) {
            return false;
        }
        if level == 0 {
            let (first, last) = self.ends(level, node);
            return self.points[first..=last].windows(2).any(|ends| area.meets_edge(ends[0], ends[1]));
        }
        self.children(level, node).any(|child| self.node_meets(level - 1, child, area))
    }

    /// Counts crossings of the ray to the east, modulo two; true when the point is on the node's edges.
    fn count_crossings(&self, level: usize, node: usize, point: Point, odd: &mut bool) -> bool {
        let PlaneBox { min, max } = self.boxes[self.levels[level] + node];
        if point.y < min.y || point.y > max.y || point.x > max.x {
            return false;
        }
        if point.x < min.x {
            let (first, last) = self.ends(level, node);
            *odd ^= (self.points[first].y > point.y) != (self.points[last].y > point.y);
            return false;
        }
        if level == 0 {
            let (first, last) = self.ends(level, node);
            return self.points[first..=last].windows(2).any(|ends| meets_edge(ends[0], ends[1], point, odd));
        }
        self.children(level, node).any(|child| self.count_crossings(level - 1, child, point, odd))
    }

    fn search(&self, level: usize, node: usize, metric: &Metric, nearest: &mut Nearest) {
        if level == 0 {
            let (first, last) = self.ends(level, node);
            for ends in self.points[first..=last].windows(2) {
                let edge = [ends[0], ends[1]];
                let squared_distance = metric.squared_distance(metric.nearest_on(edge));
                if squared_distance < nearest.squared_distance {
                    *nearest = Nearest { squared_distance, edge: Some(edge) };
                }
            }
            return;
        }
        let mut order = [(f64::INFINITY, 0); FAN_OUT];
        for (slot, child) in order.iter_mut().zip(self.children(level, node)) {
            *slot = (metric.squared_distance_to_box(&self.boxes[self.levels[level - 1] + child]), child);
        }
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        for (squared_distance, child) in order {
            if squared_distance < nearest.squared_distance {
                self.search(level - 1, child, metric, nearest);
            }
        }
    }

    fn children(&self, level: usize, node: usize) -> std::ops::Range<usize> {
        let below = self.levels[level] - self.levels[level - 1];
        node * FAN_OUT..((node + 1) * FAN_OUT).min(below)
    }

    /// Indices of the first and the last point of a node's run.
    fn ends(&self, level: usize, node: usize) -> (usize, usize) {
        let edges = LEAF_EDGES * FAN_OUT.pow(u32::try_from(level).expect("a ring of few levels"));
        (node * edges, ((node + 1) * edges).min(self.points.len() - 1))
    }
}

/// Turns `odd` when the ray from the point to the east crosses the edge; true when the point is on the edge.
fn meets_edge(a: Point, b: Point, point: Point, odd: &mut bool) -> bool {
    if (a.y > point.y) != (b.y > point.y) {
        // The half-open rule: an edge holds its lower end and not its upper one, so a vertex counts once.
        if point.x < a.x.min(b.x) {
            *odd = !*odd;
            return false;
        }
        if point.x > a.x.max(b.x) {
            return false;
        }
        let side = orientation(a, b, point);
        *odd ^= (side > 0.0) == (b.y > a.y) && side != 0.0;
        return side == 0.0;
    }
    // Neither end is lower, or neither higher: the point is on it at an end, or along a level edge.
    let level = a.y == point.y && b.y == point.y;
    a == point || b == point || (level && point.x >= a.x.min(b.x) && point.x <= a.x.max(b.x))
}
