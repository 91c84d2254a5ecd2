//! What `reach` and `clear_m` promise holds for every position tried, and they do not promise too little.

use geographiclib_rs::{DirectGeodesic as _, Geodesic};
use geopush_geometry::{Bounds, Position, Prepared, Reach, Shape, geodesic_distance_m};
use proptest::prelude::*;
use serde_json::json;

fn at(lon: f64, lat: f64) -> Position {
    Position::new(lon, lat).expect("in range")
}

/// The position on the globe whose longitude may be written beyond ±180.
fn wrapped(lon: f64, lat: f64) -> Position {
    let lon = if lon.abs() > 180.0 { (lon + 180.0).rem_euclid(360.0) - 180.0 } else { lon };
    at(lon.clamp(-180.0, 180.0), lat.clamp(-90.0, 90.0))
}

/// Along a geodesic.
fn moved(from: Position, azimuth: f64, metres: f64) -> Position {
    let (lat, lon): (f64, f64) = Geodesic::wgs84().direct(from.lat, from.lon, azimuth, metres);
    wrapped(lon, lat)
}

fn cut_at_the_antimeridian(ring: &[(f64, f64)]) -> Option<Shape> {
    let (west, east) = ring.iter().fold((f64::MAX, f64::MIN), |(w, e), (x, _)| (w.min(*x), e.max(*x)));
    let side = [-180.0, 180.0].into_iter().find(|side| west < *side && *side < east)?;
    // Sutherland and Hodgman's clipping leaves bridges along the cut, which are no valid rings if there are several.
    let clip = |keep: fn(f64, f64) -> bool, shift: f64| {
        let mut kept: Vec<Position> = Vec::new();
        for edge in ring.windows(2) {
            let ((ax, ay), (bx, by)) = (edge[0], edge[1]);
            if keep(ax, side) {
                kept.push(at((ax + shift).clamp(-180.0, 180.0), ay));
            }
            if keep(ax, side) != keep(bx, side) {
                kept.push(at(side + shift, ay + (by - ay) * (side - ax) / (bx - ax)));
            }
        }
        kept.push(*kept.first()?);
        Some(kept)
    };
    let (low, high) = if side > 0.0 { (0.0, -360.0) } else { (360.0, 0.0) };
    let west = clip(|x, side| x <= side, low)?;
    let east = clip(|x, side| x > side, high)?;
    Shape::multi_polygon(vec![vec![west], vec![east]]).ok()
}

prop_compose! {
    /// Corners in turn round a centre, longitudes running on over the antimeridian.
    fn ring(lat: impl Strategy<Value = f64>)(
        lon in prop_oneof![-180.0..180.0_f64, 179.9..180.0_f64, -180.0..-179.9_f64],
        lat in lat,
        size in -3.5..0.3_f64,
        corners in prop::collection::vec((0.05..0.95_f64, 0.3..1.0_f64), 3..40),
    ) -> Vec<(f64, f64)> {
        let count = corners.len() as f64;
        let mut ring: Vec<(f64, f64)> = corners.into_iter().enumerate().map(|(index, (turn, reach))| {
            let (sin, cos) = ((index as f64 + turn) / count * std::f64::consts::TAU).sin_cos();
            let reach = reach * 10_f64.powf(size);
            (lon + reach * cos / lat.to_radians().cos().max(0.03), (lat + reach * sin).clamp(-90.0, 90.0))
        }).collect();
        ring.push(ring[0]);
        ring
    }
}

fn any_lat() -> impl Strategy<Value = f64> {
    prop_oneof![-80.0..80.0_f64, 80.0..89.99_f64, -89.99..-80.0_f64]
}

/// A circle; a polygon; a polygon cut in two where it crosses the antimeridian.
fn shape() -> impl Strategy<Value = Shape> {
    let circle = (-180.0..=180.0_f64, prop_oneof![any_lat(), -90.0..=90.0_f64], 1.0..=5.0_f64)
        .prop_map(|(lon, lat, size)| Shape::circle(at(lon, lat), 10_f64.powf(size)).expect("a valid circle"));
    let polygon = ring(any_lat()).prop_filter_map("no valid ring", |ring| {
        Shape::polygon(vec![ring.iter().map(|(lon, lat)| wrapped(*lon, *lat)).collect()]).ok()
    });
    let cut = ring(any_lat()).prop_filter_map("no cut", |ring| cut_at_the_antimeridian(&ring));
    prop_oneof![circle, polygon, cut]
}

/// A place of interest: a corner, or on a circle's rim.
fn landmark(shape: &Shape, choice: usize) -> Position {
    match shape {
        Shape::Circle { center, radius_m, .. } => moved(*center, choice as f64 * 17.0, *radius_m),
        Shape::Polygon(rings) => rings[0][choice % rings[0].len()],
        Shape::MultiPolygon(polygons) => {
            let ring = &polygons[choice % polygons.len()][0];
            ring[choice % ring.len()]
        }
    }
}

/// Round a position, some metres to each side; within ±180.
fn box_round(center: Position, [west, south, east, north]: [f64; 4]) -> Bounds {
    let lat = |metres: f64| (center.lat + metres / 110_574.0).clamp(-90.0, 90.0);
    let lon = |metres: f64| {
        (center.lon + metres / (111_320.0 * center.lat.to_radians().cos()).max(1_000.0)).clamp(-180.0, 180.0)
    };
    Bounds { west: lon(-west), south: lat(-south), east: lon(east), north: lat(north) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_box_is_covered_or_missed_by_each_of_its_positions(
        shape in shape(),
        choice in 0_usize..100,
        (azimuth, log_away_m) in (0.0..360.0_f64, -1.0..5.0_f64),
        (log_size_m, sides) in (0.0..4.5_f64, [0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64]),
        margin_m in prop_oneof![Just(0.0), 0.0..1_000.0_f64, 0.0..100_000.0_f64],
        places in prop::collection::vec((0.0..=1.0_f64, 0.0..=1.0_f64), 40),
    ) {
        let prepared = Prepared::new(&shape);
        let middle = moved(landmark(&shape, choice), azimuth, 10_f64.powf(log_away_m));
        let area = box_round(middle, sides.map(|side| side * 10_f64.powf(log_size_m)));
        let corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)];
        let inside = |(x, y): (f64, f64)| at(
            (area.west + x * (area.east - area.west)).clamp(area.west, area.east),
            (area.south + y * (area.north - area.south)).clamp(area.south, area.north),
        );
        match prepared.reach(&area, margin_m) {
            Reach::Covers => for place in places.into_iter().chain(corners).map(inside) {
                prop_assert!(prepared.contains(place), "{place:?} of {area:?}");
            },
            Reach::Misses => for place in places.into_iter().chain(corners).map(inside) {
                prop_assert!(prepared.is_farther_than(place, margin_m), "{place:?} of {area:?}");
                prop_assert!(!prepared.contains(place) && prepared.distance_m(place) > margin_m, "{place:?} of {area:?}");
            },
            Reach::Touches => {}
        }
    }

    #[test]
    fn within_the_clear_metres_all_is_on_one_side(
        shape in shape(),
        choice in 0_usize..100,
        (azimuth, log_away_m) in (0.0..360.0_f64, -3.0..6.0_f64),
        places in prop::collection::vec((0.0..360.0_f64, 0.9..=1.0_f64), 40),
    ) {
        let prepared = Prepared::new(&shape);
        let position = moved(landmark(&shape, choice), azimuth, 10_f64.powf(log_away_m));
        let (side, clear_m) = (prepared.contains(position), prepared.clear_m(position));
        prop_assert!(clear_m >= 0.0);
        if !side {
            prop_assert!(clear_m <= prepared.distance_m(position), "{clear_m}");
        }
        for (azimuth, part) in places {
            let place = moved(position, azimuth, part * clear_m);
            prop_assert_eq!(prepared.contains(place), side, "{:?} within {} of {:?}", place, clear_m, position);
        }
    }

    #[test]
    fn within_its_room_nobody_gets_farther_than_the_margin(
        shape in shape(),
        choice in 0_usize..100,
        (azimuth, log_away_m) in (0.0..360.0_f64, -1.0..4.0_f64),
        margin_m in prop_oneof![Just(0.0), 0.0..1_000.0_f64],
        places in prop::collection::vec((0.0..360.0_f64, 0.9..=1.0_f64), 40),
    ) {
        let prepared = Prepared::new(&shape);
        let position = moved(landmark(&shape, choice), azimuth, 10_f64.powf(log_away_m));
        let room_m = prepared.room_m(position, margin_m);
        if prepared.is_farther_than(position, margin_m) {
            prop_assert_eq!(room_m, 0.0);
        }
        if let Shape::Circle { center, radius_m, .. } = shape && radius_m <= 10_000.0 && center.lat.abs() < 80.0 {
            let expected_m = radius_m + margin_m - geodesic_distance_m(center, position);
            prop_assert!(room_m > 0.999 * expected_m - 0.1 - 1e-4 * radius_m, "{} of {}", room_m, expected_m);
        }
        if room_m > 0.0 && position.lat.abs() < 85.0 {
            for (azimuth, part) in places {
                let place = moved(position, azimuth, part * room_m);
                prop_assert!(!prepared.is_farther_than(place, margin_m), "{:?} within {} of {:?}", place, room_m, position);
            }
        }
    }

    #[test]
    fn little_is_left_in_doubt(
        shape in prop_oneof![
            (-180.0..180.0_f64, -80.0..80.0_f64, 1.0..4.0_f64)
                .prop_map(|(lon, lat, size)| Shape::circle(at(lon, lat), 10_f64.powf(size)).expect("a valid circle")),
            ring(-80.0..80.0_f64).prop_filter_map("no valid ring", |ring| {
                Shape::polygon(vec![ring.iter().map(|(lon, lat)| wrapped(*lon, *lat)).collect()]).ok()
            }),
        ],
        choice in 0_usize..100,
        (azimuth, away_m) in (0.0..360.0_f64, 0.0..5_000.0_f64),
    ) {
        let prepared = Prepared::new(&shape);
        let position = moved(landmark(&shape, choice), azimuth, away_m);
        let clear_m = prepared.clear_m(position);
        if let Shape::Circle { center, radius_m, .. } = shape {
            let expected_m = (geodesic_distance_m(center, position) - radius_m).abs();
            prop_assert!(clear_m > 0.999 * expected_m - 0.1, "{clear_m} of {expected_m}");
        } else if !prepared.contains(position) {
            // A tree is not looked into for the last sixth.
            let part = if shape.position_count() > 17 { 0.81 } else { 0.98 };
            prop_assert!(clear_m > part * prepared.distance_m(position) - 1e-3);
        }
        // A square whose corners are less than that away, with its margin.
        let side_m = 0.3 * clear_m;
        let area = box_round(position, [side_m; 4]);
        let expected = if prepared.contains(position) { Reach::Covers } else { Reach::Misses };
        if side_m > 0.1 {
            prop_assert_eq!(prepared.reach(&area, 0.35 * clear_m), expected);
            prop_assert_eq!(prepared.reach(&area, 0.0), expected);
        }
    }
}

#[test]
fn a_box_with_a_place_just_across_the_rim_is_neither_covered_nor_missed() {
    for (lat, radius_m) in [0.0, 45.0, -70.0, 80.0, 85.0]
        .iter()
        .flat_map(|lat| [(*lat, 100.0), (*lat, 10_000.0), (*lat, 100_000.0)])
    {
        let center = at(10.0, lat);
        let circle = Prepared::new(&Shape::circle(center, radius_m).unwrap());
        for azimuth in (0..360).step_by(3).map(f64::from) {
            // All of the box from this corner away from the centre is outside, or to the centre inside; but for the corner.
            for (corner, toward, refused) in [
                (moved(center, azimuth, radius_m - 1e-3), 1.0, Reach::Misses),
                (moved(center, azimuth, radius_m + 1e-3), -1.0, Reach::Covers),
            ] {
                let (east, north) = (corner.lon - center.lon, corner.lat - center.lat);
                for (width, height) in [(0.3, 0.3), (0.001, 0.9), (0.9, 0.001)] {
                    let other = at(corner.lon + toward * width * east, corner.lat + toward * height * north);
                    let area = Bounds {
                        west: corner.lon.min(other.lon),
                        south: corner.lat.min(other.lat),
                        east: corner.lon.max(other.lon),
                        north: corner.lat.max(other.lat),
                    };
                    assert_ne!(circle.reach(&area, 0.0), refused, "{lat} {radius_m} {azimuth} {area:?}");
                    // Across the axis too, where the nearest or farthest place is not a corner.
                    let across = Bounds { west: area.west.min(2.0 * center.lon - area.east), ..area };
                    assert_ne!(circle.reach(&across, 0.0), refused, "{lat} {radius_m} {azimuth} {across:?}");
                }
            }
        }
    }
}

#[test]
fn a_box_at_the_antimeridian_is_read_as_where_it_is_on_the_globe() {
    let raw =
        json!({"type": "Polygon", "coordinates": [[[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]]]});
    let raw = Prepared::new(&Shape::from_json(&raw).unwrap());
    let cut = json!({"type": "MultiPolygon", "coordinates": [
        [[[179, 0], [180, 0], [180, 1], [179, 1], [179, 0]]], [[[-180, 0], [-179, 0], [-179, 1], [-180, 1], [-180, 0]]],
    ]});
    let cut = Prepared::new(&Shape::from_json(&cut).unwrap());
    let circle = Prepared::new(&Shape::circle(at(180.0, 0.5), 50_000.0).unwrap());
    let area = |west: f64, east: f64| Bounds { west, south: 0.4, east, north: 0.6 };
    for shape in [&raw, &cut, &circle] {
        assert_eq!(shape.reach(&area(179.7, 179.9), 100.0), Reach::Covers);
        assert_eq!(shape.reach(&area(-179.9, -179.7), 100.0), Reach::Covers);
        assert_eq!(shape.reach(&area(-178.9, -178.0), 100.0), Reach::Misses);
        assert_eq!(shape.reach(&area(178.0, 178.9), 100.0), Reach::Misses);
        assert_eq!(shape.reach(&area(178.0, 178.99), 75_000.0), Reach::Touches);
        assert_eq!(shape.reach(&area(-180.0, 180.0), 0.0), Reach::Touches);
    }
    for shape in [&raw, &circle] {
        assert_eq!(shape.reach(&area(179.8, 180.0), 0.0), Reach::Covers);
        assert_eq!(shape.reach(&area(-180.0, -179.8), 0.0), Reach::Covers);
    }
    let beside = Prepared::new(&Shape::circle(at(-179.999, 0.5), 200.0).unwrap());
    assert_eq!(beside.reach(&area(179.9, 180.0), 0.0), Reach::Touches);
    assert_eq!(beside.reach(&area(179.9, 179.99), 0.0), Reach::Misses);
}

#[test]
fn a_pole_is_near_on_every_meridian() {
    let wedge = json!({"type": "Polygon", "coordinates": [[[10, 80], [20, 80], [15, 90], [10, 80]]]});
    let wedge = Prepared::new(&Shape::from_json(&wedge).unwrap());
    let cap = Prepared::new(&Shape::circle(at(0.0, 89.99), 5_000.0).unwrap());
    let area = Bounds { west: 100.0, south: 89.9, east: 101.0, north: 90.0 };
    assert_eq!(wedge.reach(&area, 0.0), Reach::Touches);
    assert_eq!(cap.reach(&area, 0.0), Reach::Touches);
    // At latitude 89.9 the wedge is 15 km away.
    let area = Bounds { south: 89.8, north: 89.9, ..area };
    assert_eq!(wedge.reach(&area, 0.0), Reach::Misses);
    assert_eq!(wedge.reach(&area, 3_000.0), Reach::Misses);
    assert_eq!(wedge.reach(&area, 16_000.0), Reach::Touches);
}
