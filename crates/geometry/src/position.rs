//! A position on the globe and the exact distance between two of them.

use std::sync::LazyLock;

use geographiclib_rs::{Geodesic, InverseGeodesic};

static WGS84: LazyLock<Geodesic> = LazyLock::new(Geodesic::wgs84);

/// Longitude and latitude in degrees, WGS84. [`Position::new`] accepts only finite values in range.
///
/// Longitudes -180 and 180 are the same meridian but different values: both are kept as given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Degrees east, -180 to 180.
    pub lon: f64,
    /// Degrees north, -90 to 90.
    pub lat: f64,
}

impl Position {
    /// A position, or `None` unless both are finite, `lon` within ±180 and `lat` within ±90.
    #[must_use]
    pub fn new(lon: f64, lat: f64) -> Option<Self> {
        // NaN and the infinities are in no range.
        ((-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat)).then_some(Self { lon, lat })
    }
}

/// Metres along the shortest path on the WGS84 ellipsoid (Karney's solution of the inverse problem, good to 15 nm).
#[must_use]
pub fn geodesic_distance_m(a: Position, b: Position) -> f64 {
    WGS84.inverse(a.lat, a.lon, b.lat, b.lon)
}
