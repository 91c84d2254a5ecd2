//! Boxes of longitude and latitude round shapes.

use crate::ellipsoid::{MIN_METRES_PER_DEGREE_LAT, axis_distance_m};
use crate::position::Position;

/// Degrees by which boxes are made larger than computed: far more than rounding can take away, about a micrometre.
const SLACK_DEGREES: f64 = 1e-11;

/// A box of longitudes and latitudes in degrees, borders included; `west <= east`, all within ±180 and ±90.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Least longitude.
    pub west: f64,
    /// Least latitude.
    pub south: f64,
    /// Greatest longitude.
    pub east: f64,
    /// Greatest latitude.
    pub north: f64,
}

impl Bounds {
    /// Whether a position is in the box or on its border.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        (self.west..=self.east).contains(&position.lon) && (self.south..=self.north).contains(&position.lat)
    }
}

/// Where a shape is: everything within `reach_m` of the box from `west` over `width` degrees to the east.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    west: f64,
    width: f64,
    south: f64,
    north: f64,
    reach_m: f64,
}

impl Extent {
    pub(crate) fn of_circle(center: Position, radius_m: f64) -> Self {
        Self { west: center.lon, width: 0.0, south: center.lat, north: center.lat, reach_m: radius_m }
    }

    /// Round ranges of longitudes, which may lie beyond ±180: the narrowest that holds them all on the globe.
    pub(crate) fn of_ranges(mut ranges: Vec<(f64, f64)>, south: f64, north: f64) -> Self {
        for (west, east) in &mut ranges {
            let turned = turn_into_range(*west);
            *east += turned - *west;
            *west = turned;
        }
        ranges.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // The widest gap between them, going east from the first range and round to it again.
        let (first, mut reached) = ranges.first().copied().unwrap_or((0.0, 0.0));
        let (mut gap, mut west, mut before_gap) = (f64::NEG_INFINITY, first, reached);
        for (start, end) in ranges.into_iter().skip(1) {
            if start - reached > gap {
                (gap, west, before_gap) = (start - reached, start, reached);
            }
            reached = reached.max(end);
        }
        let width = if first + 360.0 - reached >= gap {
            west = first;
            reached - first
        } else {
            // The ranges before the gap end a turn later than those after it; one of those may reach round to them.
            (before_gap + 360.0).max(reached) - west
        };
        Self { west, width: width.min(360.0), south, north, reach_m: 0.0 }
    }

    /// One or two boxes that hold every position within `margin_m` of the shape.
    pub(crate) fn bounds(&self, margin_m: f64) -> Vec<Bounds> {
        let reach_m = self.reach_m + margin_m.max(0.0);
        let higher = reach_m / MIN_METRES_PER_DEGREE_LAT + SLACK_DEGREES;
        let (south, north) = ((self.south - higher).max(-90.0), (self.north + higher).min(90.0));
        let least_axis_distance_m = axis_distance_m(self.south.abs().max(self.north.abs()));
        let over_pole = south <= -90.0 || north >= 90.0 || reach_m >= least_axis_distance_m;
        let wider = (reach_m / least_axis_distance_m).min(1.0).asin().to_degrees() + SLACK_DEGREES;
        if over_pole || self.width + 2.0 * wider >= 360.0 {
            return vec![Bounds { west: -180.0, south, east: 180.0, north }];
        }
        let west = turn_into_range(self.west - wider);
        let east = west + self.width + 2.0 * wider;
        // Rounding of the sum above is within the slack twice.
        if east < 180.0 {
            vec![Bounds { west, south, east, north }]
        } else {
            vec![
                Bounds { west, south, east: 180.0, north },
                Bounds { west: -180.0, south, east: east - 360.0, north },
            ]
        }
    }
}

/// The same meridian from -180 up to but not 180; unchanged if it is there already.
fn turn_into_range(lon: f64) -> f64 {
    if (-180.0..180.0).contains(&lon) {
        return lon;
    }
    let turned = (lon + 180.0).rem_euclid(360.0) - 180.0;
    // Just under -180 rounds up to a whole turn.
    if turned >= 180.0 { -180.0 } else { turned }
}
