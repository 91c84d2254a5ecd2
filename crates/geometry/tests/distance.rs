//! How far outside a position is, and the boxes round shapes.

use geopush_geometry::{Bounds, Position, Prepared, Shape, geodesic_distance_m};
use proptest::prelude::*;
use serde_json::json;

fn at(lon: f64, lat: f64) -> Position {
    Position::new(lon, lat).expect("in range")
}

fn wrapped(lon: f64, lat: f64) -> Position {
    let lon = if lon.abs() > 180.0 { (lon + 180.0).rem_euclid(360.0) - 180.0 } else { lon };
    at(lon, lat.clamp(-90.0, 90.0))
}

/// A place on an edge of a ring, at a part of its length in degrees.
fn along(edge: &[(f64, f64)], part: f64) -> Position {
    let [(ax, ay), (bx, by)] = *edge else { panic!("an edge has two ends") };
    wrapped(ax + part * (bx - ax), ay + part * (by - ay))
}

/// The least geodesic distance to places set ever closer along each edge.
fn densified_m(ring: &[(f64, f64)], position: Position) -> f64 {
    let nearest_on = |edge: &[(f64, f64)]| {
        let (mut low, mut high, mut least) = (0.0, 1.0, f64::INFINITY);
        for _ in 0..6 {
            let step = (high - low) / 50.0;
            let (part, distance_m) = (0..=50)
                .map(|index| low + step * f64::from(index))
                .map(|part| (part, geodesic_distance_m(position, along(edge, part))))
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .expect("51 places");
            (low, high, least) = ((part - step).max(0.0), (part + step).min(1.0), distance_m.min(least));
        }
        least
    };
    ring.windows(2).map(nearest_on).fold(f64::INFINITY, f64::min)
}

prop_compose! {
    /// Corners in turn round a centre anywhere up to latitude 84, longitudes running on over the antimeridian.
    fn ring()(
        lon in prop_oneof![-180.0..180.0_f64, 179.9..180.0_f64],
        lat in prop_oneof![-80.0..80.0_f64, 80.0..84.0_f64],
        size in -3.5..0.0_f64,
        corners in prop::collection::vec((0.05..0.95_f64, 0.3..1.0_f64), 3..9),
    ) -> Vec<(f64, f64)> {
        let count = corners.len() as f64;
        let mut ring: Vec<(f64, f64)> = corners.into_iter().enumerate().map(|(index, (turn, reach))| {
            let (sin, cos) = ((index as f64 + turn) / count * std::f64::consts::TAU).sin_cos();
            let reach = reach * 10_f64.powf(size);
            (lon + reach * cos / lat.to_radians().cos(), lat + reach * sin)
        }).collect();
        ring.push(ring[0]);
        ring
    }
}

fn polygon(ring: &[(f64, f64)]) -> Shape {
    Shape::polygon(vec![ring.iter().map(|(lon, lat)| wrapped(*lon, *lat)).collect()]).expect("a valid ring")
}

/// A position some metres east and north of another.
fn moved(from: Position, east_m: f64, north_m: f64) -> Position {
    let lon = from.lon + east_m / (111_320.0 * from.lat.to_radians().cos());
    wrapped(lon, from.lat + north_m / 111_320.0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn distance_within_a_kilometre_is_right_to_one_percent(
        ring in ring(), edge in 0_usize..3, part in 0.0..1.0_f64, east_m in -700.0..700.0_f64, north_m in -700.0..700.0_f64,
    ) {
        let shape = Prepared::new(&polygon(&ring));
        let position = moved(along(&ring[edge..edge + 2], part), east_m, north_m);
        let distance_m = shape.distance_m(position);
        if shape.contains(position) {
            prop_assert_eq!(distance_m, 0.0);
        } else {
            let expected_m = densified_m(&ring, position);
            prop_assert!((distance_m - expected_m).abs() <= 0.01 * expected_m + 1e-6, "{distance_m} not {expected_m}");
        }
    }

    #[test]
    fn farther_than_is_outside_and_more_distant_and_what_is_near_is_in_the_bounds(
        ring in ring(), metres in prop_oneof![Just(0.0), 0.0..1_000.0_f64], edge in 0_usize..3, part in 0.0..1.0_f64,
        steps in prop::collection::vec((-3.0..3.0_f64, -3.0..3.0_f64), 20),
    ) {
        let center = wrapped(ring[0].0, ring[0].1);
        for shape in [polygon(&ring), Shape::circle(center, 10.0 + metres * 3.0).unwrap()] {
            let shape = Prepared::new(&shape);
            let bounds = shape.bounds(metres);
            let from = along(&ring[edge..edge + 2], part);
            for (east, north) in &steps {
                for scale_m in [0.0, 1.0, metres, 100_000.0] {
                    let position = moved(from, east * scale_m, north * scale_m);
                    let expected = !shape.contains(position) && shape.distance_m(position) > metres;
                    prop_assert_eq!(shape.is_farther_than(position, metres), expected);
                    let near = !expected || geodesic_distance_m(from, position) <= metres && shape.contains(from);
                    prop_assert!(!near || bounds.iter().any(|bounds| bounds.contains(position)), "{position:?} {bounds:?}");
                }
            }
        }
    }
}

#[test]
fn distance_to_a_long_edge_is_to_its_straight_line_in_longitude_and_latitude() {
    let band =
        Prepared::new(&polygon(&[(-60.0, 40.0), (60.0, 60.0), (60.0, 70.0), (-60.0, 70.0), (-60.0, 40.0)]));
    // Halfway along the edge it is at latitude 50; the geodesic between its ends goes far to the north of that.
    let place = at(0.0, 50.0);
    assert!(band.contains(place));
    let south = at(0.0, 49.995);
    let expected_m = densified_m(&[(-60.0, 40.0), (60.0, 60.0)], south);
    assert!((band.distance_m(south) - expected_m).abs() < 0.01 * expected_m);
    assert!((500.0..560.0).contains(&expected_m));
}

#[test]
fn distance_goes_over_the_antimeridian() {
    let east = polygon(&[(-179.999, 0.0), (-179.9, 0.0), (-179.9, 0.1), (-179.999, 0.1), (-179.999, 0.0)]);
    let distance_m = Prepared::new(&east).distance_m(at(179.999, 0.05));
    assert!((distance_m - 222.6).abs() < 0.2, "{distance_m}");
    assert!(!Prepared::new(&east).is_farther_than(at(179.999, 0.05), 223.0));
    assert!(Prepared::new(&east).is_farther_than(at(179.999, 0.05), 222.0));

    let circle = Shape::circle(at(-179.999, 10.0), 100.0).unwrap();
    let distance_m = Prepared::new(&circle).distance_m(at(179.999, 10.0));
    assert!((distance_m - (geodesic_distance_m(at(-179.999, 10.0), at(179.999, 10.0)) - 100.0)).abs() < 1e-9);
}

#[test]
fn the_cut_of_a_shape_at_the_antimeridian_is_no_border() {
    let cut = Shape::from_json(&json!({"type": "MultiPolygon", "coordinates": [
        [[[179, 0], [180, 0], [180, 1], [179, 1], [179, 0]]], [[[-180, 0], [-179, 0], [-179, 1], [-180, 1], [-180, 0]]],
    ]}));
    let cut = Prepared::new(&cut.unwrap());
    for lon in [180.0, -180.0, 179.999, -179.999] {
        assert_eq!(cut.distance_m(at(lon, 0.5)), 0.0);
        let north_m = cut.distance_m(at(lon, 1.001));
        assert!((north_m - 110.6).abs() < 0.1, "{north_m}");
    }
}

#[test]
fn a_position_far_away_is_far_away() {
    let square = Prepared::new(&polygon(&[(2.0, 41.0), (2.1, 41.0), (2.1, 41.1), (2.0, 41.1), (2.0, 41.0)]));
    let mut before_m = 0.0;
    for lon in [3.0, 10.0, 40.0, 90.0, 150.0, 180.0] {
        let distance_m = square.distance_m(at(lon, 41.0));
        assert!(distance_m > before_m && square.is_farther_than(at(lon, 41.0), 1_000.0));
        before_m = distance_m;
    }
    assert!(
        square.is_farther_than(at(2.05, 89.0), 1_000.0)
            && square.is_farther_than(at(-177.95, -41.0), 1_000.0)
    );
}

#[test]
fn bounds_are_split_at_the_antimeridian_and_have_all_longitudes_at_a_pole() {
    let boxes = |shape: &Shape, margin_m: f64| Prepared::new(shape).bounds(margin_m);
    let close = |found: &[Bounds], expected: &[[f64; 4]]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            let sides = [found.west, found.south, found.east, found.north];
            assert!(
                sides.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
                "{found:?}, not {expected:?}"
            );
        }
    };
    let plain = polygon(&[(2.0, 41.0), (2.1, 41.0), (2.1, 41.1), (2.0, 41.0)]);
    close(&boxes(&plain, 0.0), &[[2.0, 41.0, 2.1, 41.1]]);
    let crossing = polygon(&[(179.0, 0.0), (182.0, 0.0), (182.0, 1.0), (179.0, 0.0)]);
    close(&boxes(&crossing, 0.0), &[[179.0, 0.0, 180.0, 1.0], [-180.0, 0.0, -178.0, 1.0]]);
    let up_to_it = polygon(&[(179.0, 0.0), (180.0, 0.0), (180.0, 1.0), (179.0, 0.0)]);
    close(&boxes(&up_to_it, 0.0), &[[179.0, 0.0, 180.0, 1.0], [-180.0, 0.0, -180.0, 1.0]]);
    let parts = json!({"type": "MultiPolygon", "coordinates": [
        [[[-179, 0], [-178, 0], [-178, 1], [-179, 0]]], [[[10, 0], [11, 0], [11, 1], [10, 0]]], [[[170, 0], [171, 0], [171, 1], [170, 0]]],
    ]});
    let parts = Shape::from_json(&parts).unwrap();
    close(&boxes(&parts, 0.0), &[[10.0, 0.0, 180.0, 1.0], [-180.0, 0.0, -178.0, 1.0]]);

    let polar = Shape::circle(at(30.0, 89.95), 10_000.0).unwrap();
    let [cap] = boxes(&polar, 0.0)[..] else { panic!("one box") };
    assert_eq!((cap.west, cap.east, cap.north), (-180.0, 180.0, 90.0));
}
