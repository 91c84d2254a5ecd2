//! The sweep that looks for crossings agrees with the definition, tried on every pair of edges.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use geopush_geometry::{Position, Shape, ShapeErrorCode};
use proptest::prelude::*;

type Grid = (i64, i64);

fn turn(a: Grid, b: Grid, c: Grid) -> i64 {
    ((b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)).signum()
}

fn strictly_within(a: Grid, b: Grid, p: Grid) -> bool {
    let between = |a: i64, b: i64, p: i64| (a.min(b)..=a.max(b)).contains(&p);
    turn(a, b, p) == 0 && p != a && p != b && between(a.0, b.0, p.0) && between(a.1, b.1, p.1)
}

/// Counterclockwise from the east.
fn by_direction(a: Grid, b: Grid) -> Ordering {
    let lower = |d: Grid| d.1 < 0 || (d.1 == 0 && d.0 < 0);
    lower(a).cmp(&lower(b)).then(turn((0, 0), a, b).cmp(&0).reverse())
}

/// Two lines through a point, each by its two directions: do they cross there, or leave in the same direction?
fn cross_at(a: [Grid; 2], b: [Grid; 2]) -> bool {
    let [mut low, mut high] = a;
    if by_direction(low, high).is_gt() {
        (low, high) = (high, low);
    }
    let same = a.iter().any(|a| b.iter().any(|b| by_direction(*a, *b).is_eq()));
    let between = |d: Grid| by_direction(low, d).is_lt() && by_direction(d, high).is_lt();
    same || between(b[0]) != between(b[1])
}

fn crosses(rings: &[Vec<Grid>]) -> bool {
    let mut edges: Vec<[Grid; 2]> = Vec::new();
    let mut lines_through: BTreeMap<Grid, Vec<[Grid; 2]>> = BTreeMap::new();
    for ring in rings {
        let mut ring = ring.clone();
        ring.dedup();
        if ring.len() > 1 && ring.first() == ring.last() {
            ring.pop();
        }
        let count = ring.len();
        for (index, at) in ring.iter().enumerate() {
            let (before, after) = (ring[(index + count - 1) % count], ring[(index + 1) % count]);
            edges.push([*at, after]);
            let away = |p: Grid| (p.0 - at.0, p.1 - at.1);
            lines_through.entry(*at).or_default().push([away(before), away(after)]);
        }
    }
    for (at, lines) in &mut lines_through {
        for [a, b] in edges.iter().filter(|[a, b]| strictly_within(*a, *b, *at)) {
            lines.push([(a.0 - at.0, a.1 - at.1), (b.0 - at.0, b.1 - at.1)]);
        }
    }
    let inside = edges.iter().enumerate().any(|(index, [a, b])| {
        edges[..index]
            .iter()
            .any(|[c, d]| turn(*a, *b, *c) * turn(*a, *b, *d) < 0 && turn(*c, *d, *a) * turn(*c, *d, *b) < 0)
    });
    inside
        || lines_through.values().any(|lines| {
            lines.iter().any(|[a, b]| by_direction(*a, *b).is_eq())
                || lines.iter().enumerate().any(|(index, a)| lines[..index].iter().any(|b| cross_at(*a, *b)))
        })
}

fn is_flat(ring: &[Grid]) -> bool {
    ring.iter().all(|a| ring.iter().all(|b| turn(ring[0], *a, *b) == 0))
}

fn positions(ring: &[Grid]) -> Vec<Position> {
    let closed = ring.iter().chain(&ring[..1]);
    // An eighth of a degree is exact in binary.
    closed.map(|(x, y)| Position::new(*x as f64 / 8.0, 50.0 + *y as f64 / 8.0).expect("in range")).collect()
}

/// Rings on a small grid, where edges often touch, overlap and meet in vertices.
fn ring(size: i64, most: usize) -> impl Strategy<Value = Vec<Grid>> {
    prop::collection::vec((0..size, 0..size), 3..=most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_is_refused_exactly_when_it_is_flat_or_crosses_itself(
        ring in prop_oneof![ring(3, 6), ring(4, 8), ring(6, 10), ring(40, 7)],
    ) {
        let codes: Vec<ShapeErrorCode> = match Shape::polygon(vec![positions(&ring)]) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.into_iter().map(|error| error.code).collect(),
        };
        if is_flat(&ring) {
            prop_assert_eq!(codes, vec![ShapeErrorCode::EmptyShape]);
        } else if crosses(&[ring]) {
            prop_assert_eq!(codes, vec![ShapeErrorCode::SelfCrossingRing]);
        } else {
            prop_assert_eq!(codes, vec![]);
        }
    }

    #[test]
    fn rings_of_a_polygon_are_refused_exactly_when_they_cross(a in ring(5, 4), b in ring(5, 4)) {
        let simple = |ring: &Vec<Grid>| !is_flat(ring) && !crosses(std::slice::from_ref(ring));
        // About every other pair.
        if !simple(&a) || !simple(&b) {
            return Ok(());
        }
        let refused = match Shape::polygon(vec![positions(&a), positions(&b)]) {
            Ok(_) => false,
            Err(errors) => errors.iter().all(|error| error.code == ShapeErrorCode::CrossingRings),
        };
        prop_assert_eq!(refused, crosses(&[a, b]));
    }
}
