//! The edges of polygons, packed, with a tree of boxes over them where they are many.

use crate::metric::{Edge, Metric};
use crate::plane::{PlaneBox, Point, orientation};

/// Most edges of a ring that needs no tree.
const FEW_EDGES: usize = 16;
/// Most edges of a leaf.
const LEAF_EDGES: usize = 8;

/// All edges of a shape.
#[derive(Clone, Debug)]
pub(crate) struct Edges {
    bounds: PlaneBox,
    /// The rings, one after another, each with its first point repeated as the last.
    points: Box<[Point]>,
    /// Each node before those under it; none where there is one ring of few edges.
    tree: Box<[Node]>,
}

/// A run of edges of one ring, or some whole rings.
///
/// That a run hangs together makes the even-odd test cheap: of one that lies wholly east of the point only its ends
/// matter, one whose latitudes miss the point's does not matter at all, and so only nodes whose box holds the point are
/// opened. Whole rings are as a run whose ends are one point.
#[derive(Clone, Debug)]
struct Node {
    bounds: PlaneBox,
    /// The node after the last one under this; the next one for a leaf.
    end: u16,
    /// The points between which the run is.
    first: u16,
    last: u16,
    /// Whether the rings of a polygon start here.
    starts_polygon: bool,
}

/// The edge that is nearest of those looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearest {
    pub(crate) edge: Option<Edge>,
    pub(crate) squared_distance: f64,
}

impl Nearest {
    /// Nothing yet; only edges nearer than this will count.
    pub(crate) fn within(metres: f64) -> Self {
        Self { edge: None, squared_distance: metres * metres }
    }
}

/// What is known of the squared distance to the nearest edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clearance {
    pub(crate) at_least: f64,
    at_most: f64,
}

impl Clearance {
    /// At most this, whatever else.
    pub(crate) fn within(metres: f64) -> Self {
        Self { at_least: metres * metres, at_most: metres * metres }
    }

    /// Whether a box with edges is far enough away that its distance will do for theirs: for a sixth off the answer,
    /// boxes small beside their distance need not be looked into.
    fn add_box(&mut self, squared_distance: f64) -> bool {
        const ENOUGH: f64 = 1.44;
        let will_do = squared_distance * ENOUGH >= self.at_most;
        if will_do {
            self.at_least = self.at_least.min(squared_distance);
        }
        will_do
    }

    fn add_run(&mut self, run: &[Point], metric: &Metric) {
        if let Some((squared_distance, _)) = metric.nearest_edge(run, self.at_most) {
            self.at_most = squared_distance;
        }
        // If none is nearer, this one's are no nearer than that.
        self.at_least = self.at_least.min(self.at_most);
    }
}

impl Edges {
    /// Of the closed rings of some polygons, at most [`MAX_POSITIONS`](crate::MAX_POSITIONS) points in all.
    pub(crate) fn new(polygons: &[Vec<Vec<Point>>]) -> Self {
        let points: Box<[Point]> = polygons.iter().flatten().flatten().copied().collect();
        let bounds = PlaneBox::of(&points);
        let mut edges = Self { bounds, points, tree: Box::default() };
        if edges.points.len() > FEW_EDGES + 1 || polygons.iter().flatten().nth(1).is_some() {
            let mut tree = Tree { points: &edges.points, nodes: Vec::new(), next_point: 0 };
            tree.add_all(polygons, |tree, rings| {
                let root = tree.nodes.len();
                tree.add_all(rings, |tree, ring| {
                    let first = tree.next_point;
                    tree.next_point += ring.len();
                    tree.add_run(first, tree.next_point - 1);
                });
                tree.nodes[root].starts_polygon = true;
            });
            edges.tree = tree.nodes.into();
        }
        edges
    }

    /// Holds all edges.
    pub(crate) fn bounds(&self) -> &PlaneBox {
        &self.bounds
    }

    /// Something of the box, the first edges and the first nodes.
    pub(crate) fn touch(&self) -> u64 {
        let point = self.points.first().map_or(0, |point| point.x.to_bits());
        let node = self.tree.first().map_or(0, |node| node.end.into());
        self.bounds.min.x.to_bits() ^ point ^ node
    }

    /// Ranges of longitude that hold all edges, and together no more than the rings do.
    pub(crate) fn x_ranges(&self) -> Vec<(f64, f64)> {
        let range = |bounds: &PlaneBox| (bounds.min.x, bounds.max.x);
        if self.tree.is_empty() {
            return vec![range(&self.bounds)];
        }
        let leaves = (0..self.tree.len()).filter(|index| self.is_leaf(*index));
        leaves.map(|leaf| range(&self.tree[leaf].bounds)).collect()
    }

    /// Whether the point is in any of the polygons by the even-odd rule, or on an edge; exact.
    #[inline]
    pub(crate) fn contain(&self, point: Point) -> bool {
        if !self.bounds.contains(point) {
            return false;
        }
        let mut odd = false;
        if self.tree.is_empty() {
            return crosses_oddly(&self.points, point, &mut odd) || odd;
        }
        let mut index = 0;
        while let Some(Node { bounds: PlaneBox { min, max }, end, first, last, starts_polygon }) =
            self.tree.get(index)
        {
            if *starts_polygon && odd {
                return true;
            }
            let next = usize::from(*end);
            if point.y < min.y || point.y > max.y || point.x > max.x {
                index = next;
                continue;
            }
            let (first, last) = (usize::from(*first), usize::from(*last));
            if point.x < min.x {
                odd ^= (self.points[first].y > point.y) != (self.points[last].y > point.y);
                index = next;
                continue;
            }
            index += 1;
            if index == next && crosses_oddly(&self.points[first..=last], point, &mut odd) {
                return true;
            }
        }
        odd
    }

    /// Whether an edge may meet a box.
    pub(crate) fn meet(&self, area: &PlaneBox) -> bool {
        self.any_run(
            |bounds| bounds.meets(area),
            |run| run.windows(2).any(|ends| area.meets_edge(ends[0], ends[1])),
        )
    }

    /// Calls with each edge that a line may meet, and with others near it.
    pub(crate) fn for_each_near(&self, from: Point, to: Point, mut call: impl FnMut(Point, Point)) {
        self.any_run(
            |bounds| bounds.meets_edge(from, to),
            |run| {
                run.windows(2).for_each(|ends| call(ends[0], ends[1]));
                false
            },
        );
    }

    /// Whether any run of edges is what is looked for, of those in boxes that may hold it.
    fn any_run(&self, may_hold: impl Fn(&PlaneBox) -> bool, mut is_it: impl FnMut(&[Point]) -> bool) -> bool {
        if self.tree.is_empty() {
            return may_hold(&self.bounds) && is_it(&self.points);
        }
        let mut index = 0;
        while let Some(node) = self.tree.get(index) {
            let next = usize::from(node.end);
            if !may_hold(&node.bounds) {
                index = next;
                continue;
            }
            index += 1;
            if index == next && is_it(self.run(node)) {
                return true;
            }
        }
        false
    }

    /// Improves `nearest` where an edge is nearer.
    pub(crate) fn find_nearest(&self, metric: &Metric, nearest: &mut Nearest) {
        let distance = metric.squared_distance_to_box(&self.bounds);
        if !self.tree.is_empty() {
            self.search(0, distance, metric, nearest);
        } else if distance < nearest.squared_distance {
            nearest_of(&self.points, metric, nearest);
        }
    }

    fn search(&self, index: usize, distance: f64, metric: &Metric, nearest: &mut Nearest) {
        if distance >= nearest.squared_distance {
            return;
        }
        let node = &self.tree[index];
        if self.is_leaf(index) {
            return nearest_of(self.run(node), metric, nearest);
        }
        for (child, distance) in self.children(index, metric) {
            self.search(child, distance, metric, nearest);
        }
    }

    /// Improves what is known of the distance to the nearest edge until it is known well enough.
    pub(crate) fn find_clearance(&self, metric: &Metric, clearance: &mut Clearance) {
        let distance = metric.squared_distance_to_box(&self.bounds);
        if self.tree.is_empty() {
            clearance.add_run(&self.points, metric);
        } else {
            self.survey(0, distance, metric, clearance);
        }
    }

    fn survey(&self, index: usize, distance: f64, metric: &Metric, clearance: &mut Clearance) {
        if clearance.add_box(distance) {
            return;
        }
        let node = &self.tree[index];
        if self.is_leaf(index) {
            return clearance.add_run(self.run(node), metric);
        }
        // There is an edge in each box.
        let farthest = metric.squared_distance_across_box(&node.bounds);
        clearance.at_most = clearance.at_most.min(farthest);
        for (child, distance) in self.children(index, metric) {
            self.survey(child, distance, metric, clearance);
        }
    }

    fn is_leaf(&self, index: usize) -> bool {
        index + 1 == usize::from(self.tree[index].end)
    }

    /// The two nodes under one with the squared distances to their boxes, the nearer first.
    fn children(&self, index: usize, metric: &Metric) -> [(usize, f64); 2] {
        let first = index + 1;
        let second = usize::from(self.tree[first].end);
        let [a, b] =
            [first, second].map(|child| (child, metric.squared_distance_to_box(&self.tree[child].bounds)));
        if b.1 < a.1 { [b, a] } else { [a, b] }
    }

    fn run(&self, node: &Node) -> &[Point] {
        &self.points[usize::from(node.first)..=usize::from(node.last)]
    }
}

/// A tree being built.
struct Tree<'a> {
    points: &'a [Point],
    nodes: Vec<Node>,
    /// Where the next ring starts.
    next_point: usize,
}

impl Tree<'_> {
    /// One item, or a node over two halves of them.
    fn add_all<T>(&mut self, items: &[T], add: impl Fn(&mut Self, &T) + Copy) {
        if let [item] = items {
            return add(self, item);
        }
        let (here, other) = items.split_at(items.len() / 2);
        let at = self.next_point;
        self.add_node(at, at, |tree| {
            tree.add_all(here, add);
            tree.add_all(other, add);
        });
    }

    /// The edges between two points of a ring.
    fn add_run(&mut self, first: usize, last: usize) {
        let edges = last - first;
        if edges <= LEAF_EDGES {
            return self.add_node(first, last, |_| ());
        }
        // Leaves are filled.
        let middle = first + (edges / 2).next_multiple_of(LEAF_EDGES);
        self.add_node(first, last, |tree| {
            tree.add_run(first, middle);
            tree.add_run(middle, last);
        });
    }

    fn add_node(&mut self, first: usize, last: usize, add_under: impl FnOnce(&mut Self)) {
        let small = |index| u16::try_from(index).expect("a shape of at most 10,000 positions");
        let at = self.nodes.len();
        let bounds = PlaneBox::of(&self.points[first..=first]);
        self.nodes.push(Node {
            bounds,
            end: 0,
            first: small(first),
            last: small(last),
            starts_polygon: false,
        });
        add_under(self);
        let end = self.nodes.len();
        let bounds = if end == at + 1 {
            PlaneBox::of(&self.points[first..=last])
        } else {
            let first = &self.nodes[at + 1];
            first.bounds.union(self.nodes[usize::from(first.end)].bounds)
        };
        self.nodes[at].bounds = bounds;
        self.nodes[at].end = small(end);
    }
}

/// Turns `odd` for each edge that the ray from the point to the east crosses; true when the point is on an edge.
#[inline]
fn crosses_oddly(points: &[Point], point: Point, odd: &mut bool) -> bool {
    points.windows(2).any(|ends| meets_edge(ends[0], ends[1], point, odd))
}

/// Turns `odd` when the ray from the point to the east crosses the edge; true when the point is on the edge, at least
/// once for the edges that meet at a vertex.
#[inline]
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
    // Neither end is lower, or neither higher: the point is on it at an end, or along a level edge. The other end is
    // where the next edge starts.
    a.y == point.y && (a.x == point.x || (b.y == point.y && (a.x > point.x) != (b.x > point.x)))
}

fn nearest_of(points: &[Point], metric: &Metric, nearest: &mut Nearest) {
    if let Some((squared_distance, at)) = metric.nearest_edge(points, nearest.squared_distance) {
        *nearest = Nearest { edge: Some([points[at], points[at + 1]]), squared_distance };
    }
}
