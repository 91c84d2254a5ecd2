//! What the WGS84 ellipsoid gives cheaply: chords, and bounds on geodesic distances.

use crate::position::Position;

/// Equatorial radius, metres.
pub(crate) const A: f64 = 6_378_137.0;
/// First eccentricity, squared.
const E2: f64 = 6.694_379_990_141_316e-3;
/// Least radius of curvature of the ellipsoid in any direction: along the meridian at the equator, `b²/a`.
pub(crate) const MIN_CURVATURE_RADIUS_M: f64 = A * (1.0 - E2);
/// Mean radius, for distances too long for their curvature to matter.
const MEAN_RADIUS_M: f64 = 6_371_008.8;
/// Fewest metres in a degree of latitude.
pub(crate) const MIN_METRES_PER_DEGREE_LAT: f64 = MIN_CURVATURE_RADIUS_M * std::f64::consts::PI / 180.0;

/// More than the rounding errors of chords and of the bounds made from them, metres.
pub(crate) const CHORD_SLACK_M: f64 = 1e-6;

/// A position in metres from the middle of the Earth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cartesian {
    x: f64,
    y: f64,
    z: f64,
}

impl From<Position> for Cartesian {
    fn from(position: Position) -> Self {
        let (sin_lat, cos_lat) = position.lat.to_radians().sin_cos();
        let (sin_lon, cos_lon) = position.lon.to_radians().sin_cos();
        let normal = normal_radius(sin_lat);
        Self {
            x: normal * cos_lat * cos_lon,
            y: normal * cos_lat * sin_lon,
            z: normal * (1.0 - E2) * sin_lat,
        }
    }
}

impl Cartesian {
    /// Metres through the Earth: never more than the geodesic distance.
    pub(crate) fn chord_m(self, other: Self) -> f64 {
        let (dx, dy, dz) = (self.x - other.x, self.y - other.y, self.z - other.z);
        (dx * dx + dy * dy + dz * dz).sqrt()
    }
}

/// The most that the geodesic distance of two positions can be whose chord is this long.
///
/// A geodesic's curvature is the surface's in its direction, so by Schur's comparison theorem its chord is at least
/// that of an equally long arc of the tightest circle.
pub(crate) fn most_arc_m(chord_m: f64) -> f64 {
    arc_m(chord_m, MIN_CURVATURE_RADIUS_M)
}

/// The geodesic distance of two positions whose chord is this long, to 1e-6 within 100 km and 1 % anywhere.
pub(crate) fn likely_arc_m(chord_m: f64) -> f64 {
    arc_m(chord_m, MEAN_RADIUS_M)
}

fn arc_m(chord_m: f64, radius_m: f64) -> f64 {
    2.0 * radius_m * (chord_m / (2.0 * radius_m)).min(1.0).asin()
}

/// Surely no less than the angle in degrees between two radii at least this long whose ends are this far apart; little
/// more where it is small.
pub(crate) fn greatest_angle(chord_m: f64, radius_m: f64) -> f64 {
    // The angle is twice the arcsine, which is at most this up to a half.
    let sine = chord_m / (2.0 * radius_m);
    if sine.abs() <= 0.5 { (2.0 * sine * (1.0 + 0.2 * sine * sine)).to_degrees() } else { 360.0 }
}

/// Surely no more than the distance from the Earth's axis in metres, and less by no more than 1 % up to latitude 89:
/// the cosine's Taylor series up to a negative term.
pub(crate) fn least_axis_distance_m(lat: f64) -> f64 {
    let square = lat.to_radians().powi(2);
    let inner = 1.0 / 720.0 - square * (1.0 / 40_320.0 - square / 3_628_800.0);
    let cos_lat = 1.0 - square * (0.5 - square * (1.0 / 24.0 - square * inner));
    A * cos_lat.max(0.0)
}

/// Distance from the Earth's axis, metres.
pub(crate) fn axis_distance_m(lat: f64) -> f64 {
    let (sin_lat, cos_lat) = lat.to_radians().sin_cos();
    normal_radius(sin_lat) * cos_lat.max(0.0)
}

/// Metres per degree (of longitude, of latitude) round a latitude.
pub(crate) fn metres_per_degree(lat: f64) -> (f64, f64) {
    let (sin_lat, cos_lat) = lat.to_radians().sin_cos();
    let (meridional, normal, _) = radii_of_curvature(sin_lat);
    ((normal * cos_lat.max(0.0)).to_radians(), meridional.to_radians())
}

/// Radii of curvature along and across the meridian in metres, and the relative change of the first with latitude
/// over the sine and cosine of that.
pub(crate) fn radii_of_curvature(sin_lat: f64) -> (f64, f64, f64) {
    let normal = normal_radius(sin_lat);
    let stretched = (normal / A).powi(2);
    (normal * (1.0 - E2) * stretched, normal, 3.0 * E2 * stretched)
}

/// Radius of curvature across the meridian.
fn normal_radius(sin_lat: f64) -> f64 {
    A / (1.0 - E2 * sin_lat * sin_lat).sqrt()
}
