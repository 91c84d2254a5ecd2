//! Where a line comes into a shape and goes out of it, against positions tried along it.

use geopush_geometry::{Position, Prepared, Shape, geodesic_distance_m};
use proptest::prelude::*;
use serde_json::json;

fn at(lon: f64, lat: f64) -> Position {
    Position::new(lon, lat).expect("in range")
}

fn wrapped(lon: f64, lat: f64) -> Position {
    let lon = if lon.abs() > 180.0 { (lon + 180.0).rem_euclid(360.0) - 180.0 } else { lon };
    at(lon, lat.clamp(-90.0, 90.0))
}

/// A place on the line, which goes the short way round.
fn along(from: Position, to: Position, part: f64) -> Position {
    let east = (to.lon - from.lon + 180.0).rem_euclid(360.0) - 180.0;
    wrapped(from.lon + part * east, from.lat + part * (to.lat - from.lat))
}

/// Some metres east and north.
fn moved(from: Position, (east_m, north_m): (f64, f64)) -> Position {
    wrapped(from.lon + east_m / (111_320.0 * from.lat.to_radians().cos()), from.lat + north_m / 111_000.0)
}

fn center() -> impl Strategy<Value = Position> {
    let lon = prop_oneof![-180.0..180.0_f64, 179.99..180.0_f64, -180.0..-179.99_f64];
    (lon, prop_oneof![-70.0..70.0_f64, 70.0..85.0_f64]).prop_map(|(lon, lat)| at(lon, lat))
}

/// No place tried is inside before the line comes in or after it goes out; and there is such a place if any is inside.
fn check_places(
    shape: &Prepared,
    from: Position,
    to: Position,
    slack: f64,
) -> Result<Option<(f64, f64)>, TestCaseError> {
    let passage = shape.passes(from, to);
    let (first, last) = passage.unwrap_or((2.0, -1.0));
    prop_assert!(passage.is_none() || (0.0 <= first && first <= last && last <= 1.0), "{first} {last}");
    for step in 0..=500 {
        let part = f64::from(step) / 500.0;
        if part < first - slack || part > last + slack {
            prop_assert!(
                !shape.contains(along(from, to, part)),
                "inside at {part}, not from {first} to {last}"
            );
        }
    }
    prop_assert_eq!(shape.contains(from), first == 0.0 && shape.contains(along(from, to, 0.0)));
    Ok(passage)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_line_meets_a_circle_at_its_rim_to_two_millimetres(
        center in center(),
        log_radius_m in 1.0..=5.0_f64,
        turn in 0.0..std::f64::consts::TAU,
        (away, log_away_m) in (any::<bool>(), -4.0..4.0_f64),
        to in (-7_000.0..7_000.0_f64, -7_000.0..7_000.0_f64),
    ) {
        let radius_m = 10_f64.powf(log_radius_m);
        let circle = Prepared::new(&Shape::circle(center, radius_m).expect("a valid circle"));
        let reach_m = (radius_m + if away { 1.0 } else { -1.0 } * 10_f64.powf(log_away_m)).max(0.0);
        let from = moved(center, (reach_m * turn.cos(), reach_m * turn.sin()));
        let to = moved(from, to);
        // Both ways, so that each way of coming in is also one of going out.
        for (from, to) in [(from, to), (to, from)] {
            if let Some((first, last)) = check_places(&circle, from, to, 1e-6)? {
                for part in [first, last].into_iter().filter(|part| 0.0 < *part && *part < 1.0) {
                    let off_m = geodesic_distance_m(center, along(from, to, part)) - radius_m;
                    prop_assert!(off_m.abs() < 2e-3, "{off_m} off at {part}");
                }
            }
        }
    }

    #[test]
    fn a_line_that_grazes_a_large_circle_meets_it_if_its_nearest_place_is_within(
        center in center(),
        radius_m in 10_000.0..100_000.0_f64,
        turn in 0.0..std::f64::consts::TAU,
        (within, log_depth_m) in (any::<bool>(), -2.0..1.0_f64),
    ) {
        let circle = Prepared::new(&Shape::circle(center, radius_m).expect("a valid circle"));
        let (sin, cos) = turn.sin_cos();
        // Moves are about as long as they should be; the place is set where it is as far as wanted.
        let depth_m = if within { 1.0 } else { -1.0 } * 10_f64.powf(log_depth_m);
        let away = |reach_m: f64| moved(center, (reach_m * cos, reach_m * sin));
        let (mut near_m, mut far_m) = (0.9 * radius_m, 1.3 * radius_m);
        for _ in 0..60 {
            let middle_m = f64::midpoint(near_m, far_m);
            if geodesic_distance_m(center, away(middle_m)) < radius_m - depth_m { near_m = middle_m } else { far_m = middle_m }
        }
        // To either side along the rim, nearly.
        let (middle, half_m) = (away(far_m), 4_000.0);
        let (from, to) = (moved(middle, (-half_m * sin, half_m * cos)), moved(middle, (half_m * sin, -half_m * cos)));
        let distance_m = |part: f64| geodesic_distance_m(center, along(from, to, part));
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..80 {
            let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if distance_m(a) < distance_m(b) { high = b } else { low = a }
        }
        let least_m = distance_m(low) - radius_m;
        if least_m.abs() > 3e-3 {
            prop_assert_eq!(circle.passes(from, to).is_some(), least_m < 0.0, "{} off", least_m);
        }
    }

    #[test]
    fn a_line_meets_a_polygon_at_an_edge(
        center in center(),
        count in prop_oneof![3..16_u32, 16..400_u32],
        (size_m, depth, waves) in (20.0..20_000.0_f64, 0.0..0.7_f64, 1..12_u32),
        from in (-1.5..1.5_f64, -1.5..1.5_f64),
        to in (-1.5..1.5_f64, -1.5..1.5_f64),
        corner in 0..400_usize,
    ) {
        let mut ring: Vec<Position> = (0..count).map(|index| {
            let turn = f64::from(index) / f64::from(count) * std::f64::consts::TAU;
            let reach_m = size_m * (1.0 + depth * (turn * f64::from(waves)).sin());
            moved(center, (reach_m * turn.cos(), reach_m * turn.sin()))
        }).collect();
        ring.push(ring[0]);
        let corner = ring[corner % ring.len()];
        let shape = Prepared::new(&Shape::polygon(vec![ring]).expect("a valid ring"));
        let place = |(x, y): (f64, f64)| moved(center, (x * size_m, y * size_m));
        let (from, to) = (place(from), place(to));
        for (from, to) in [(from, to), (from, corner), (corner, to)] {
            if let Some((first, last)) = check_places(&shape, from, to, 1e-9)? {
                for part in [first, last].into_iter().filter(|part| 0.0 < *part && *part < 1.0) {
                    // On an edge, but for rounding.
                    let place = along(from, to, part);
                    prop_assert!(shape.distance_m(place) < 1e-6 && shape.clear_m(place) < 1e-6);
                }
            }
        }
    }
}

#[test]
fn a_line_is_followed_over_the_antimeridian_and_from_hole_to_hole() {
    let ring = json!({"type": "Polygon", "coordinates": [
        [[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]], [[179.5, 0.2], [-179.5, 0.2], [-179.5, 0.8], [179.5, 0.8], [179.5, 0.2]],
    ]});
    let ring = Prepared::new(&Shape::from_json(&ring).unwrap());
    let close = |found: Option<(f64, f64)>, first: f64, last: f64| {
        let found = found.expect("the line meets it");
        assert!((found.0 - first).abs() < 1e-12 && (found.1 - last).abs() < 1e-12, "{found:?}");
    };
    close(ring.passes(at(178.0, 0.5), at(-178.0, 0.5)), 0.25, 0.75);
    close(ring.passes(at(-178.0, 0.5), at(180.0, 0.5)), 0.5, 0.75);
    close(ring.passes(at(-180.0, 0.5), at(-178.0, 0.5)), 0.25, 0.5);
    // Along an edge; through a corner alone; from inside to inside through the hole.
    close(ring.passes(at(178.0, 1.0), at(-178.0, 1.0)), 0.25, 0.75);
    close(ring.passes(at(178.0, 0.0), at(180.0, 2.0)), 0.5, 0.5);
    close(ring.passes(at(179.2, 0.5), at(-179.2, 0.5)), 0.0, 1.0);
    assert_eq!(ring.passes(at(179.8, 0.5), at(-179.8, 0.5)), None);
    assert_eq!(ring.passes(at(178.0, 0.5), at(170.0, 0.5)), None);

    let circle = Prepared::new(&Shape::circle(at(180.0, 0.0), 11_131.95).unwrap());
    let (first, last) = circle.passes(at(179.8, 0.0), at(-179.8, 0.0)).unwrap();
    assert!((first - 0.25).abs() < 1e-4 && (last - 0.75).abs() < 1e-4);
    let pole = Prepared::new(&Shape::circle(at(0.0, 90.0), 11_169.0).unwrap());
    let (first, last) = pole.passes(at(10.0, 89.8), at(10.0, 90.0)).unwrap();
    assert!((first - 0.5).abs() < 1e-3 && last == 1.0);
    assert_eq!(pole.passes(at(10.0, 89.8), at(15.0, 89.8)), None);
}
