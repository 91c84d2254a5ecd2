//! Boxes in which a device may move without anything to be said.

mod making;

use geopush_geometry::{Bounds, Position};

pub(super) use making::Safe;

/// A box of longitudes and latitudes in 12 bytes, in units of a 2³²nd of 360 degrees (9 mm).
///
/// It is always within the box that it was made of: rounded inwards, and cut where it would be too large to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SafeBox {
    west: u32,
    south: u32,
    /// In steps of [`SafeBox::WIDTH_STEP`] and [`SafeBox::HEIGHT_STEP`] units.
    width: u16,
    height: u16,
}

const UNITS_PER_DEGREE: f64 = (1_u64 << 32) as f64 / 360.0;

impl SafeBox {
    /// The box without a position.
    pub(super) const EMPTY: Self = Self { west: 0, south: 0, width: 0, height: 0 };

    /// So that a box may be 0.35 degrees wide and 0.17 high: as large as a tile in most places.
    const WIDTH_STEP: u32 = 64;
    const HEIGHT_STEP: u32 = 32;

    /// The box within `bounds`, borders excluded, round a position where not all of them can be kept.
    pub(super) fn within(bounds: &Bounds, position: Position) -> Self {
        let across = side(bounds.west + 180.0, bounds.east + 180.0, position.lon + 180.0, Self::WIDTH_STEP);
        let along = side(bounds.south + 90.0, bounds.north + 90.0, position.lat + 90.0, Self::HEIGHT_STEP);
        match (across, along) {
            (Some((west, width)), Some((south, height))) => Self { west, south, width, height },
            _ => Self::EMPTY,
        }
    }

    #[inline]
    pub(super) fn contains(self, position: Position) -> bool {
        // Units wrap at the antimeridian, as longitudes do.
        let east_of_west = (units(position.lon + 180.0) as u32).wrapping_sub(self.west);
        let north_of_south = (units(position.lat + 90.0) as u32).wrapping_sub(self.south);
        (east_of_west < u32::from(self.width) * Self::WIDTH_STEP)
            & (north_of_south < u32::from(self.height) * Self::HEIGHT_STEP)
    }
}

/// Whole units from 0: never less for more degrees, which is all that rounding inwards needs.
#[inline]
fn units(degrees: f64) -> i64 {
    (degrees * UNITS_PER_DEGREE) as i64
}

/// Where a side begins and how many steps it has, between two borders in degrees and round `middle`.
fn side(from: f64, to: f64, middle: f64, step: u32) -> Option<(u32, u16)> {
    // What shares its unit with a border may lie on either side of it.
    let (first, end) = (units(from) + 1, units(to));
    let step = i64::from(step);
    let steps = u16::try_from((end - first).max(0) / step).unwrap_or(u16::MAX);
    let length = i64::from(steps) * step;
    let start = (units(middle) - length / 2).min(end - length).max(first);
    (steps > 0).then_some((start as u32, steps))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(most: f64) -> impl Strategy<Value = Bounds> {
        let size = move || prop_oneof![0.0..1e-5, 0.0..most, 0.0..1e-7];
        (-180.0..180.0, -90.0..90.0, size(), size()).prop_map(|(west, south, width, height)| Bounds {
            west,
            south,
            east: f64::min(west + width, 180.0),
            north: f64::min(south + height, 90.0),
        })
    }

    fn strictly_inside(bounds: &Bounds, position: Position) -> bool {
        bounds.west < position.lon
            && position.lon < bounds.east
            && bounds.south < position.lat
            && position.lat < bounds.north
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_a_box_contains_lies_strictly_within_its_bounds(bounds in bounds(0.6), x in -0.1..1.1, y in -0.1..1.1) {
            let at = |from: f64, to: f64, part: f64| from + (to - from) * part;
            let near = |lon: f64, lat: f64| Position::new(lon.clamp(-180.0, 180.0), lat.clamp(-90.0, 90.0)).unwrap();
            let middle = near(at(bounds.west, bounds.east, 0.5), at(bounds.south, bounds.north, 0.5));
            let safe = SafeBox::within(&bounds, middle);
            let here = near(at(bounds.west, bounds.east, x), at(bounds.south, bounds.north, y));
            let borders = [bounds.west, bounds.west.next_down(), bounds.west.next_up(), bounds.east, bounds.east.next_down(), here.lon];
            for lon in borders {
                for lat in [bounds.south, bounds.south.next_up(), bounds.north, bounds.north.next_down(), here.lat] {
                    let position = near(lon, lat);
                    prop_assert!(!safe.contains(position) || strictly_inside(&bounds, position));
                }
            }
        }

        #[test]
        fn a_box_loses_less_than_a_step_a_side(bounds in bounds(0.08), x in 0.0..1.0, y in 0.0..1.0) {
            let (width, height) = (bounds.east - bounds.west, bounds.north - bounds.south);
            let (lost_x, lost_y) = (66.0 / UNITS_PER_DEGREE, 34.0 / UNITS_PER_DEGREE);
            let position = Position::new(bounds.west + width * x, bounds.south + height * y).unwrap();
            let inner = Bounds {
                west: bounds.west + lost_x,
                south: bounds.south + lost_y,
                east: bounds.east - lost_x,
                north: bounds.north - lost_y,
            };
            let safe = SafeBox::within(&bounds, position);
            prop_assert!(safe.contains(position) || !strictly_inside(&inner, position));
        }
    }

    #[test]
    fn a_box_that_is_too_large_is_kept_round_the_position() {
        let world = Bounds { west: -180.0, south: -90.0, east: 180.0, north: 90.0 };
        for (lon, lat) in [(2.0, 41.0), (-179.999, 89.999), (179.999, -89.999)] {
            let position = Position::new(lon, lat).unwrap();
            let safe = SafeBox::within(&world, position);
            assert!(safe.contains(position));
            let beside =
                |dx: f64, dy: f64| Position::new(lon - dx * lon.signum(), lat - dy * lat.signum()).unwrap();
            assert!(safe.contains(beside(0.17, 0.08)));
            assert!(!safe.contains(beside(0.36, 0.0)));
            assert!(!safe.contains(beside(0.0, 0.18)));
        }
    }

    #[test]
    fn a_box_at_the_antimeridian_ends_there() {
        let bounds = Bounds { west: 179.9, south: 0.0, east: 180.0, north: 0.05 };
        let at = |lon| Position::new(lon, 0.02).unwrap();
        let safe = SafeBox::within(&bounds, at(179.95));
        assert!(safe.contains(at(179.999_99)));
        assert!(!safe.contains(at(180.0)) && !safe.contains(at(-180.0)) && !safe.contains(at(-179.95)));
    }

    #[test]
    fn the_empty_box_contains_nothing() {
        assert!(!SafeBox::EMPTY.contains(Position::new(-180.0, -90.0).unwrap()));
        assert_eq!(size_of::<SafeBox>(), 12);
    }
}
