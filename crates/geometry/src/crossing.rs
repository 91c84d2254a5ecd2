//! Do closed rings cross: a sweep over their edges from west to east (Shamos and Hoey 1976, with the handling of
//! points where several edges meet as in de Berg et al., *Computational Geometry*, 2.1).
//!
//! `O(n log n)` whatever the rings look like, and exact. The sweep keeps the edges over the current longitude in their
//! order from south to north. Until the first crossing that order never changes, so it can be the order of a `BTreeSet`;
//! just before the first crossing its two edges are neighbours.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use crate::plane::{Point, orientation};

/// Two edges that cross or share more than a point.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crossing {
    pub(crate) first: EdgeOrigin,
    pub(crate) second: EdgeOrigin,
}

/// Where an edge is among the rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EdgeOrigin {
    pub(crate) ring: usize,
    /// Index of the position at which the edge starts.
    pub(crate) from: usize,
}

/// An edge, its ends in sweep order.
#[derive(Clone, Copy, Debug)]
struct Edge {
    left: Point,
    right: Point,
    index: usize,
}

/// A ring going through one of its vertices.
struct Vertex {
    at: Point,
    incoming: usize,
    outgoing: usize,
}

/// A line through the point of an event: a ring bending there, or an edge going straight on.
struct Pass {
    ends: [Point; 2],
    edges: [usize; 2],
}

/// The crossing that the sweep meets first. Rings are closed; touching in a point is no crossing, wherever it is.
/// Positions repeated in a row count as one.
pub(crate) fn first_crossing(rings: &[Vec<Point>]) -> Option<Crossing> {
    let mut sweep = Sweep::over(rings);
    let mut vertices = std::mem::take(&mut sweep.vertices);
    vertices.sort_unstable_by(|a, b| sweep_order(a.at, b.at));
    let (first, second) =
        vertices.chunk_by(|a, b| a.at == b.at).find_map(|meeting| sweep.advance(meeting).err())?;
    let (first, second) = (sweep.origins[first], sweep.origins[second]);
    Some(Crossing { first: first.min(second), second: first.max(second) })
}

/// From west to east, and from south to north on one longitude.
fn sweep_order(a: Point, b: Point) -> Ordering {
    a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y))
}

impl Ord for Edge {
    /// From south to north, where both are over one longitude and do not cross.
    fn cmp(&self, other: &Self) -> Ordering {
        if self.index == other.index {
            return Ordering::Equal;
        }
        if sweep_order(other.left, self.left) == Ordering::Less {
            return other.cmp(self).reverse();
        }
        let mut side = orientation(self.left, self.right, other.left);
        if side == 0.0 {
            side = orientation(self.left, self.right, other.right);
        }
        // On one line: any order will do, the event at the later start finds the overlap.
        0.0_f64.total_cmp(&(side + 0.0)).then(self.index.cmp(&other.index))
    }
}

impl PartialOrd for Edge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Edge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Edge {}

struct Sweep {
    edges: Vec<Edge>,
    origins: Vec<EdgeOrigin>,
    vertices: Vec<Vertex>,
    /// The edges over the current longitude.
    status: BTreeSet<Edge>,
}

/// The indices of two edges that cross.
type Pair = (usize, usize);

impl Sweep {
    fn over(rings: &[Vec<Point>]) -> Self {
        let mut sweep =
            Self { edges: Vec::new(), origins: Vec::new(), vertices: Vec::new(), status: BTreeSet::new() };
        for (ring, points) in rings.iter().enumerate() {
            let first = sweep.edges.len();
            for (from, ends) in points.windows(2).enumerate().filter(|(_, ends)| ends[0] != ends[1]) {
                let index = sweep.edges.len();
                let (left, right) = if sweep_order(ends[0], ends[1]).is_lt() {
                    (ends[0], ends[1])
                } else {
                    (ends[1], ends[0])
                };
                sweep.edges.push(Edge { left, right, index });
                sweep.origins.push(EdgeOrigin { ring, from });
                sweep.vertices.push(Vertex { at: ends[0], incoming: index.wrapping_sub(1), outgoing: index });
            }
            // The ring is closed: its last edge comes in to its first vertex.
            if let Some(last) = sweep.edges.len().checked_sub(1).filter(|last| *last >= first) {
                sweep.vertices[first].incoming = last;
            }
        }
        sweep
    }

    /// Goes past the point where these vertices are.
    fn advance(&mut self, meeting: &[Vertex]) -> Result<(), Pair> {
        let at = meeting[0].at;
        let incident = || meeting.iter().flat_map(|vertex| [vertex.incoming, vertex.outgoing]);
        for edge in incident().filter(|edge| self.edges[*edge].right == at) {
            self.status.remove(&self.edges[edge]);
        }
        // What goes on through the point now has its place next to it, on either side.
        let probe = self.edges[meeting[0].outgoing];
        let (below, above) = self.neighbours(&probe);
        let through =
            |edge: &Option<Edge>| edge.is_some_and(|edge| orientation(edge.left, edge.right, at) == 0.0);
        let through = match (below.filter(|_| through(&below)), above.filter(|_| through(&above))) {
            (Some(below), Some(above)) => return Err((below.index, above.index)),
            (below, above) => below.or(above),
        };
        self.check_passes(at, meeting, through)?;

        let mut ends_here = true;
        for edge in incident().filter(|edge| self.edges[*edge].left == at) {
            self.status.insert(self.edges[edge]);
            ends_here = false;
        }
        if ends_here {
            return check_pair(below, above);
        }
        for edge in incident().filter(|edge| self.edges[*edge].left == at) {
            let edge = self.edges[edge];
            let (below, above) = self.neighbours(&edge);
            check_pair(below, Some(edge))?;
            check_pair(Some(edge), above)?;
        }
        Ok(())
    }

    fn neighbours(&self, edge: &Edge) -> (Option<Edge>, Option<Edge>) {
        let below = self.status.range(..edge).next_back().copied();
        let above = self.status.range((Bound::Excluded(edge), Bound::Unbounded)).next().copied();
        (below, above)
    }

    /// The lines through a point must not cross there: round it, their ends pair up like brackets.
    fn check_passes(&self, at: Point, meeting: &[Vertex], through: Option<Edge>) -> Result<(), Pair> {
        let far_end = |edge: usize| {
            let Edge { left, right, .. } = self.edges[edge];
            if left == at { right } else { left }
        };
        let pass = |vertex: &Vertex| {
            let edges = [vertex.incoming, vertex.outgoing];
            Pass { ends: edges.map(far_end), edges }
        };
        if let ([vertex], None) = (meeting, through) {
            // Nearly every vertex: a lone bend can only run back along itself.
            let Pass { ends, edges } = pass(vertex);
            return if turn_order(at, ends[0], ends[1]).is_eq() { Err(edges.into()) } else { Ok(()) };
        }
        let mut passes: Vec<Pass> = meeting.iter().map(pass).collect();
        if let Some(edge) = through {
            passes.push(Pass { ends: [edge.left, edge.right], edges: [edge.index; 2] });
        }
        let mut spokes: Vec<(Point, usize, usize)> = Vec::with_capacity(2 * passes.len());
        for (pass, Pass { ends, edges }) in passes.iter().enumerate() {
            spokes.extend([(ends[0], pass, edges[0]), (ends[1], pass, edges[1])]);
        }
        spokes.sort_unstable_by(|a, b| turn_order(at, a.0, b.0));
        if let Some(pair) = spokes.windows(2).find(|pair| turn_order(at, pair[0].0, pair[1].0).is_eq()) {
            return Err((pair[0].2, pair[1].2));
        }
        let mut open: Vec<(usize, usize)> = Vec::new();
        for (_, pass, edge) in spokes {
            match open.last() {
                Some((last, _)) if *last == pass => {
                    open.pop();
                }
                _ => open.push((pass, edge)),
            }
        }
        match open.as_slice() {
            [.., (_, first), (_, second)] => Err((*first, *second)),
            _ => Ok(()),
        }
    }
}

/// Counterclockwise round `at`, from the east.
fn turn_order(at: Point, a: Point, b: Point) -> Ordering {
    let lower_half = |p: Point| p.y < at.y || (p.y == at.y && p.x < at.x);
    lower_half(a).cmp(&lower_half(b)).then_with(|| 0.0_f64.total_cmp(&(orientation(at, a, b) + 0.0)))
}

/// Neighbours in the status must not cross each other inside.
fn check_pair(a: Option<Edge>, b: Option<Edge>) -> Result<(), Pair> {
    let (Some(a), Some(b)) = (a, b) else { return Ok(()) };
    let parted = |edge: Edge, by: Edge| {
        let left = orientation(by.left, by.right, edge.left);
        let right = orientation(by.left, by.right, edge.right);
        (left < 0.0 && right > 0.0) || (left > 0.0 && right < 0.0)
    };
    if parted(a, b) && parted(b, a) { Err((a.index, b.index)) } else { Ok(()) }
}
