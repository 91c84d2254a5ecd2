//! What is inside: against an obvious reference on a grid, and across the antimeridian.

use geopush_geometry::{Position, Prepared, Shape, geodesic_distance_m};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Steps of the grid in a degree: powers of two are exact in binary, also when turned by 180 degrees.
const STEPS: f64 = 1024.0;

type Grid = (i64, i64);

fn at(lon: f64, lat: f64) -> Position {
    Position::new(lon, lat).expect("in range")
}

fn on_grid((x, y): Grid) -> Position {
    at(x as f64 / STEPS, y as f64 / STEPS)
}

fn prepared(shape: &Value) -> Prepared {
    Prepared::new(&Shape::from_json(shape).expect("a valid shape"))
}

/// Even-odd over all edges in whole numbers, the boundary inside.
fn reference(rings: &[Vec<Grid>], (x, y): Grid) -> bool {
    let mut odd = false;
    for edge in rings.iter().flat_map(|ring| ring.windows(2)) {
        let ((ax, ay), (bx, by)) = (edge[0], edge[1]);
        let side = (bx - ax) * (y - ay) - (by - ay) * (x - ax);
        let in_box = (ax.min(bx)..=ax.max(bx)).contains(&x) && (ay.min(by)..=ay.max(by)).contains(&y);
        if side == 0 && in_box {
            return true;
        }
        if (ay > y) != (by > y) && (side > 0) == (by > ay) {
            odd = !odd;
        }
    }
    odd
}

/// A ring round the origin whose corners lie in turn, and now and then on each other's lines.
fn star(reach: i64, corners: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Grid>> {
    prop::collection::vec((-reach..=reach, -reach..=reach), corners).prop_map(|mut ring| {
        ring.retain(|corner| *corner != (0, 0));
        ring.sort_by(|a, b| (a.1 as f64).atan2(a.0 as f64).total_cmp(&(b.1 as f64).atan2(b.0 as f64)));
        ring.dedup();
        ring.extend(ring.first().copied());
        ring
    })
}

fn shape_of(rings: &[Vec<Grid>], turned: bool) -> Option<Shape> {
    let place = |corner: &Grid| if turned { over_antimeridian(on_grid(*corner)) } else { on_grid(*corner) };
    Shape::polygon(rings.iter().map(|ring| ring.iter().map(place).collect()).collect()).ok()
}

fn over_antimeridian(position: Position) -> Position {
    at(if position.lon > 0.0 { position.lon - 180.0 } else { position.lon + 180.0 }, position.lat)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_polygon_contains_what_the_reference_says_also_when_turned_over_the_antimeridian(
        shell in prop_oneof![star(8, 4..12), star(3_000, 4..300)],
        hole in star(2, 3..6),
        points in prop::collection::vec((-10_i64..=10, -10_i64..=10), 40),
        far_points in prop::collection::vec((-3_100_i64..=3_100, -3_100_i64..=3_100), 40),
    ) {
        let rings = [shell, hole];
        let rings = if shape_of(&rings, false).is_some() { &rings[..] } else { &rings[..1] };
        let (Some(shape), Some(turned)) = (shape_of(rings, false), shape_of(rings, true)) else {
            return Err(TestCaseError::reject("no valid ring"));
        };
        let (shape, turned) = (Prepared::new(&shape), Prepared::new(&turned));
        for point in points.into_iter().chain(far_points).chain(rings.iter().flatten().copied()) {
            let expected = reference(rings, point);
            prop_assert_eq!(shape.contains(on_grid(point)), expected, "{:?}", point);
            prop_assert_eq!(turned.contains(over_antimeridian(on_grid(point))), expected, "{:?} turned", point);
        }
    }

    #[test]
    fn a_circle_contains_what_is_within_its_radius_by_geodesic(
        lon in -180.0..=180.0_f64,
        lat in -90.0..=90.0_f64,
        size in 1.0..=5.0_f64,
        offsets in prop::collection::vec((-1.5..1.5_f64, -1.5..1.5_f64), 20),
    ) {
        let (center, radius_m) = (at(lon, lat), 10_f64.powf(size));
        let circle = Prepared::new(&Shape::circle(center, radius_m).unwrap());
        let degrees = radius_m / 111_000.0;
        for (east, north) in offsets {
            let lon = lon + east * degrees / lat.to_radians().cos().max(1e-3);
            let lon = (lon + 180.0).rem_euclid(360.0) - 180.0;
            let position = at(lon, (lat + north * degrees).clamp(-90.0, 90.0));
            let distance_m = geodesic_distance_m(center, position);
            prop_assert_eq!(circle.contains(position), distance_m <= radius_m);
            prop_assert_eq!(circle.distance_m(position), (distance_m - radius_m).max(0.0));
        }
    }
}

#[test]
fn a_circle_ends_at_its_radius_to_the_micrometre() {
    let (center, rim) = (at(2.17, 41.38), at(2.27, 41.38));
    let radius_m = geodesic_distance_m(center, rim);
    for (change_m, inside) in [(0.0, true), (1e-6, true), (-1e-6, false)] {
        let circle = Prepared::new(&Shape::circle(center, radius_m + change_m).unwrap());
        assert_eq!(circle.contains(rim), inside, "radius changed by {change_m} m");
    }
}

#[test]
fn the_ends_and_the_inside_of_an_edge_belong_to_both_neighbours() {
    // No corner of these is exact in binary.
    let west = json!({"type": "Polygon", "coordinates": [[[0.1, 0.1], [0.7, 0.3], [0.3, 0.9], [0.1, 0.1]]]});
    let east = json!({"type": "Polygon", "coordinates": [[[0.7, 0.3], [0.9, 1.1], [0.3, 0.9], [0.7, 0.3]]]});
    let (west, east) = (prepared(&west), prepared(&east));
    for step in 1..1_000 {
        let part = f64::from(step) / 1_000.0;
        let position = at(0.7 + part * (0.3 - 0.7), 0.3 + part * (0.9 - 0.3));
        assert!(west.contains(position) || east.contains(position), "a gap at {position:?}");
    }
    assert!([at(0.7, 0.3), at(0.3, 0.9)].iter().all(|end| west.contains(*end) && east.contains(*end)));
}

#[test]
fn a_point_a_rounding_away_from_an_edge_is_on_the_right_side() {
    let triangle = prepared(&json!({"type": "Polygon", "coordinates": [[[0, 0], [3, 1], [0, 1], [0, 0]]]}));
    // The edge runs where lat = lon / 3.
    for (lon, lat) in [(0.3_f64, 0.1_f64), (1.5, 0.5), (2.7, 0.9)] {
        // 0.3 and 2.7 are stored a little below, so that the stored point is above the edge or below it by chance:
        // three times lat, without rounding, decides.
        let above = |lat: f64| 3.0_f64.mul_add(lat, -lon) >= 0.0;
        for lat in [lat.next_down(), lat, lat.next_up()] {
            assert_eq!(triangle.contains(at(lon, lat)), above(lat), "{lon} {lat}");
        }
    }
}

#[test]
fn holes_islands_in_holes_and_overlapping_polygons_are_read_as_drawn() {
    let square =
        |low: f64, high: f64| json!([[low, low], [high, low], [high, high], [low, high], [low, low]]);
    let nested = prepared(
        &json!({"type": "Polygon", "coordinates": [square(0.0, 9.0), square(1.0, 8.0), square(2.0, 7.0)]}),
    );
    let island = prepared(
        &json!({"type": "MultiPolygon", "coordinates": [[square(0.0, 9.0), square(1.0, 8.0)], [square(2.0, 7.0)]]}),
    );
    for shape in [&nested, &island] {
        assert!(shape.contains(at(0.5, 0.5)) && shape.contains(at(4.0, 4.0)));
        assert!(!shape.contains(at(1.5, 4.0)) && !shape.contains(at(9.5, 4.0)));
        assert!(shape.contains(at(1.0, 4.0)) && shape.contains(at(2.0, 2.0)), "borders of holes are inside");
    }
    let overlapping =
        prepared(&json!({"type": "MultiPolygon", "coordinates": [[square(0.0, 4.0)], [square(2.0, 6.0)]]}));
    assert!(overlapping.contains(at(3.0, 3.0)));
    assert!(
        overlapping.contains(at(1.0, 1.0))
            && overlapping.contains(at(5.0, 5.0))
            && !overlapping.contains(at(5.0, 1.0))
    );
}

#[test]
fn shapes_at_the_antimeridian_have_no_seam() {
    let crossing = json!({"type": "Polygon", "coordinates": [
        [[170, 0], [-170, 0], [-170, 10], [170, 10], [170, 0]], [[-179, 4], [-177, 4], [-177, 6], [-179, 6], [-179, 4]],
    ]});
    let cut = json!({"type": "MultiPolygon", "coordinates": [
        [[[170, 0], [180, 0], [180, 10], [170, 10], [170, 0]]],
        [[[-180, 0], [-170, 0], [-170, 10], [-180, 10], [-180, 0]], [[-179, 4], [-177, 4], [-177, 6], [-179, 6], [-179, 4]]],
    ]});
    let cut_half =
        json!({"type": "Polygon", "coordinates": [[[170, 0], [-180, 0], [-180, 10], [170, 10], [170, 0]]]});
    for shape in [prepared(&crossing), prepared(&cut)] {
        for lat in [0.0, 5.0, 10.0] {
            for lon in [180.0, -180.0, 179.999_999, -179.999_999, 170.0, -170.0] {
                assert!(shape.contains(at(lon, lat)), "{lon} {lat}");
            }
        }
        assert!(!shape.contains(at(-178.0, 5.0)), "in the hole");
        assert!(
            !shape.contains(at(0.0, 5.0))
                && !shape.contains(at(169.0, 5.0))
                && !shape.contains(at(-169.0, 5.0))
        );
    }
    let half = prepared(&cut_half);
    assert!(
        half.contains(at(180.0, 5.0)) && half.contains(at(-180.0, 5.0)) && !half.contains(at(-179.9, 5.0))
    );
}

#[test]
fn a_pole_has_every_longitude() {
    let cap = prepared(
        &json!({"type": "Polygon", "coordinates": [[[-180, 80], [0, 80], [180, 80], [180, 90], [0, 90], [-180, 90], [-180, 80]]]}),
    );
    let wedge =
        prepared(&json!({"type": "Polygon", "coordinates": [[[10, 80], [20, 80], [15, 90], [10, 80]]]}));
    for lon in [-180.0, -7.0, 15.0, 180.0] {
        assert!(cap.contains(at(lon, 90.0)) && wedge.contains(at(lon, 90.0)));
        assert!(!cap.contains(at(lon, -90.0)) && cap.contains(at(lon, 85.0)));
    }
}
