//! The quick ways say what the slow and obvious ones say, on the very border too; and what a prepared shape takes up.

use geographiclib_rs::{DirectGeodesic as _, Geodesic};
use geopush_geometry::{Position, Prepared, Shape, geodesic_distance_m};
use proptest::prelude::*;
use robust::{Coord, orient2d};

fn at(lon: f64, lat: f64) -> Position {
    Position::new(lon, lat).expect("in range")
}

/// Even-odd over every edge of each polygon with exact orientation, the boundary inside.
fn reference(polygons: &[Vec<Vec<Position>>], position: Position) -> bool {
    let coord = |position: Position| Coord { x: position.lon, y: position.lat };
    polygons.iter().any(|rings| {
        let mut odd = false;
        for edge in rings.iter().flat_map(|ring| ring.windows(2)) {
            let [a, b] = [edge[0], edge[1]];
            let side = orient2d(coord(a), coord(b), coord(position));
            let within = |a: f64, b: f64, c: f64| a.min(b) <= c && c <= a.max(b);
            if side == 0.0 && within(a.lon, b.lon, position.lon) && within(a.lat, b.lat, position.lat) {
                return true;
            }
            odd ^= (a.lat > position.lat) != (b.lat > position.lat) && (side > 0.0) == (b.lat > a.lat);
        }
        odd
    })
}

prop_compose! {
    /// Corners in turn round a centre, from half the size away up to all of it: no coordinate is a round number.
    fn ring(most: usize)(
        count in prop_oneof![3..40_usize, 40..=most],
        waves in 1..60_u32,
        depth in 0.0..0.5_f64,
        (lon, lat, size) in (-5.0..5.0_f64, -60.0..60.0_f64, 1e-4..2.0_f64),
    ) -> (Vec<Position>, [f64; 3]) {
        let mut ring: Vec<Position> = (0..count).map(|index| {
            let turn = (index as f64 + 0.3) / count as f64 * std::f64::consts::TAU;
            let reach = size * (1.0 - depth * (0.5 + 0.5 * (turn * f64::from(waves)).sin()));
            at(lon + reach * turn.cos(), lat + reach * turn.sin())
        }).collect();
        ring.push(ring[0]);
        (ring, [lon, lat, size])
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn polygons_of_any_size_contain_what_the_reference_says(
        rings in prop::collection::vec(ring(3_000), 1..4),
        with_holes in any::<bool>(),
        corners in prop::collection::vec((0..3_000_usize, 0.0..1.0_f64), 60),
        places in prop::collection::vec((-1.1..1.1_f64, -1.1..1.1_f64), 60),
    ) {
        let polygons: Vec<Vec<Vec<Position>>> = rings.iter().map(|(ring, [lon, lat, _])| {
            // A hole is the ring drawn smaller.
            let inner = |p: &Position| at(lon + (p.lon - lon) * 0.45, lat + (p.lat - lat) * 0.45);
            let hole = with_holes.then(|| ring.iter().map(inner).collect());
            std::iter::once(ring.clone()).chain(hole).collect()
        }).collect();
        let Ok(shape) = Shape::multi_polygon(polygons.clone()) else {
            return Err(TestCaseError::reject("no valid polygons"));
        };
        let prepared = Prepared::new(&shape);
        for (ring, [lon, lat, size]) in &rings {
            let scattered = places.iter().map(|(x, y)| at(lon + x * size, lat + y * size));
            let at_the_border = corners.iter().flat_map(|(index, part)| {
                let edge = index % (ring.len() - 1);
                let (a, b) = (ring[edge], ring[edge + 1]);
                let (x, y) = (a.lon + part * (b.lon - a.lon), a.lat + part * (b.lat - a.lat));
                [a, at(x, y), at(x.next_up(), y), at(x, y.next_down()), at(a.lon, y), at(x, a.lat), at(a.lon - size, a.lat)]
            });
            for place in scattered.chain(at_the_border) {
                prop_assert_eq!(prepared.contains(place), reference(&polygons, place), "{:?}", place);
            }
        }
    }

    #[test]
    fn a_circle_ends_where_the_geodesic_solver_says_at_any_latitude_and_size(
        (lon, lat) in (-180.0..=180.0_f64, prop_oneof![-89.0..89.0_f64, 80.0..=90.0_f64]),
        log_radius_m in 1.0..=5.0_f64,
        metres in prop_oneof![Just(0.0), 0.0..1_000.0_f64],
        // Within the rims where one way gives over to the next: nanometres to metres.
        places in prop::collection::vec((0.0..360.0_f64, -9.0..2.0_f64, any::<bool>()), 60),
    ) {
        let (center, radius_m) = (at(lon, lat), 10_f64.powf(log_radius_m));
        let circle = Prepared::new(&Shape::circle(center, radius_m).expect("a valid circle"));
        for (azimuth, log_off_m, outside) in places {
            let off_m = if outside { 1.0 } else { -1.0 } * 10_f64.powf(log_off_m).min(radius_m);
            let (lat, lon): (f64, f64) = Geodesic::wgs84().direct(lat, lon, azimuth, radius_m + metres + off_m);
            let place = at(lon, lat);
            let distance_m = geodesic_distance_m(center, place);
            prop_assert_eq!(circle.contains(place), distance_m <= radius_m, "{:?}, {} off", place, off_m);
            prop_assert_eq!(
                circle.is_farther_than(place, metres), distance_m - radius_m > metres, "{:?}, {} off", place, off_m
            );
        }
    }
}

#[test]
fn prepared_shapes_are_small() {
    // A circle is all in here; of polygons the positions, 16 bytes each, and a tree over more than 16 edges are elsewhere.
    assert!(size_of::<Prepared>() <= 80, "{} bytes", size_of::<Prepared>());
    let positions = 8;
    assert!(size_of::<Prepared>() + positions * size_of::<Position>() <= 208);
}
