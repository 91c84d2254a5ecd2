//! Distances from a fixed place without trigonometry, with a proven bound on their error.

use crate::bounds::Bounds;
use crate::ellipsoid::{A, MIN_METRES_PER_DEGREE_LAT, radii_of_curvature};
use crate::position::Position;

/// More than the rounding errors of a square root of [`Around::square`], of its bounds and of the geodesic solver,
/// metres.
const SLACK_M: f64 = 1e-6;
/// Half the width in longitude of the box where [`Around`] may be asked: half a radian.
const TRUSTED_LON: f64 = 0.5 / RADIANS;
/// Half its greatest height: 0.03 radians, 190 km.
const MOST_TRUSTED_LAT: f64 = 0.03 / RADIANS;
const RADIANS: f64 = std::f64::consts::PI / 180.0;
/// The half of `y²/2`, for degrees.
const HALF: f64 = 0.5 * RADIANS * RADIANS;

/// Squared distances from a centre as a polynomial in degrees north (`y`) and east (`x`) of it:
///
/// `q = M² y² (1 + αy) + p² x² (1 + βy - y²/2)`
///
/// where `M` is the radius of curvature of the meridian at the centre, `M(1 + αy/2)` that halfway, `p` the centre's
/// distance from the Earth's axis and `p(1 + βy - y²/2)` that of the other place.
///
/// **Bound.** Within the trusted box, `|y| <= min(p / 4a, 0.03)` and `|x| <= 0.5` radians, the geodesic distance `s` has
/// `|s² - q| <= 0.211 q² / p²`. A distance is so known to `s³ / 9p²`: 3 micrometres at 1 km on the equator, 10 at
/// latitude 60, 9 mm at latitude 89; a thousand times that at 10 km.
///
/// *Proof*, with the Earth's equatorial radius `a` as the unit of length. The chord `c` between places at distances `p`
/// and `p'` from the axis has `c² = m² + 4 p p' sin²(x/2)`, where `m` is the chord along the meridian.
/// - `m`. The arc there is the integral of the radius of curvature, `My(1 + αy/2)` and at most `0.0035 M|y|³`, as the
///   second derivative of that radius is less than 0.021. The chord is less than the arc by at most
///   `|y|³/24`, so `|m² - M²y²(1 + αy)| <= 0.093 M² y⁴`. Let `t` be the first term of `q`: as `|αy| < 0.0004` and
///   `M² > 0.986`, that is at most `0.095 t²`.
/// - `p'` is `p(1 + βy - y²/2)` and at most `0.0102 p y² + 0.175 |y|³ <= 0.054 p y²`: half the second derivative
///   over `p` is between -0.4966 and -0.5102, the third derivative less than 1.05, and `|y| <= p/4`. The bracket is at
///   least 0.745, as `p'` changes by less than 1.004 a radian. Let `u` be the second term: that is at most `0.074 t u`.
/// - `4 sin²(x/2)` is between `x² - x⁴/12` and `x²`: at most `0.113 u² / p²`.
/// - Together `|c² - q| <= 0.113 q² / p²`, as `p <= 1` and `q = t + u`.
/// - `s >= c`; and by Schur's comparison (see `most_arc_m`) `s² <= c² + 0.09 c⁴`, at most `0.098 q²` here.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    center: Position,
    /// `M²` and `p²`, in square metres per square degree.
    north: f64,
    east: f64,
    /// `α` and `β`, per degree.
    north_change: f64,
    east_change: f64,
    /// `s²` is within `q ± error q²`; per square metre. Rounded up, and the next one down, so that a circle fits into a
    /// cache line.
    error: f32,
    /// Half the height of the trusted box, degrees.
    trusted_lat: f32,
}

/// A box as degrees from a centre: its least and greatest distance in longitude, its ends in latitude.
struct Offsets {
    x: (f64, f64),
    y: (f64, f64),
}

impl Around {
    pub(crate) fn new(center: Position) -> Self {
        let (sin_lat, cos_lat) = center.lat.to_radians().sin_cos();
        let (meridional, normal, flattening) = radii_of_curvature(sin_lat);
        let axis_m = normal * cos_lat.max(0.0);
        Self {
            center,
            north: (meridional * RADIANS).powi(2),
            east: (axis_m * RADIANS).powi(2),
            north_change: flattening * sin_lat * cos_lat * RADIANS,
            // At a pole this and the error may be infinite: nothing is trusted there.
            east_change: -meridional * sin_lat / axis_m * RADIANS,
            // A little more than the bound, so that it also holds with the square of the limit in place of `q`.
            error: ((0.222 / (axis_m * axis_m)) as f32).next_up(),
            trusted_lat: ((axis_m / (4.0 * A) / RADIANS).min(MOST_TRUSTED_LAT) as f32).next_down(),
        }
    }

    pub(crate) fn center(&self) -> Position {
        self.center
    }

    /// Half the width and height of the trusted box, degrees.
    pub(crate) fn trusted_box(&self) -> (f64, f64) {
        (TRUSTED_LON, self.trusted_lat())
    }

    #[inline]
    fn trusted_lat(&self) -> f64 {
        self.trusted_lat.into()
    }

    #[inline]
    fn error(&self) -> f64 {
        self.error.into()
    }

    /// All within this of the centre is in the trusted box: beyond its sides in longitude too, where the distance is
    /// at least that to a meridian half a radian away, `0.74 p sin(0.5)`.
    pub(crate) fn trusted_m(&self) -> f64 {
        self.trusted_lat() * MIN_METRES_PER_DEGREE_LAT
    }

    /// The squared distance in square metres, within [`Around::blur_m`]; `None` outside the trusted box.
    #[inline]
    pub(crate) fn square(&self, position: Position) -> Option<f64> {
        let y = position.lat - self.center.lat;
        let mut x = (position.lon - self.center.lon).abs();
        if x > 180.0 {
            x = 360.0 - x;
        }
        (y.abs() <= self.trusted_lat() && x <= TRUSTED_LON).then(|| self.square_at(x, y))
    }

    /// `q` so many degrees east and north of the centre, in the trusted box.
    #[inline]
    pub(crate) fn square_at(&self, x: f64, y: f64) -> f64 {
        self.north * (1.0 + self.north_change * y) * (y * y) + self.east * self.narrowing(y) * (x * x)
    }

    /// How `q` changes with `x` and with `y`, per degree.
    pub(crate) fn slopes_at(&self, x: f64, y: f64) -> (f64, f64) {
        let by_y = self.north * (2.0 + 3.0 * self.north_change * y) * y;
        let narrowing_by_y = self.east_change - 2.0 * HALF * y;
        (2.0 * self.east * self.narrowing(y) * x, by_y + self.east * narrowing_by_y * (x * x))
    }

    /// How much shorter degrees of longitude are there than at the centre.
    #[inline]
    fn narrowing(&self, y: f64) -> f64 {
        1.0 + y * (self.east_change - HALF * y)
    }

    /// Whether a distance is more than a limit of at most [`Around::trusted_m`], if its square tells.
    #[inline]
    pub(crate) fn is_beyond(&self, square: f64, limit_m: f64) -> Option<bool> {
        let limit = limit_m * limit_m;
        let blur = self.error() * limit * limit + 4.0 * SLACK_M * (limit_m + SLACK_M);
        ((square - limit).abs() > blur).then_some(square > limit)
    }

    /// How far a distance may be from the root of [`Around::square`].
    pub(crate) fn blur_m(&self, root_m: f64) -> f64 {
        self.error() * root_m * root_m * root_m + SLACK_M
    }

    /// Whether a whole box is surely within a limit of at most [`Around::trusted_m`].
    ///
    /// In the trusted box `q` grows with `|x|`, and is convex in `y` for each `x`: the corners are farthest.
    pub(crate) fn is_box_within(&self, bounds: &Bounds, limit_m: f64) -> bool {
        let Offsets { x: (_, x), y: (south, north) } = self.offsets(bounds);
        -south <= self.trusted_lat()
            && north <= self.trusted_lat()
            && x <= TRUSTED_LON
            && [south, north].iter().all(|y| self.is_beyond(self.square_at(x, *y), limit_m) == Some(false))
    }

    /// Whether a whole box is surely beyond a limit of at most [`Around::trusted_m`].
    ///
    /// What of it is outside the trusted box is beyond. In the rest each term is at least its least value there: the
    /// narrowing is concave, so it is least at an end.
    pub(crate) fn is_box_beyond(&self, bounds: &Bounds, limit_m: f64) -> bool {
        let Offsets { x: (x, _), y: (south, north) } = self.offsets(bounds);
        let (south, north) = (south.max(-self.trusted_lat()), north.min(self.trusted_lat()));
        if south > north || x > TRUSTED_LON {
            return true;
        }
        let y = south.max(-north).max(0.0);
        let shrunk = 1.0 - self.north_change.abs() * y;
        let narrowing = self.narrowing(south).min(self.narrowing(north));
        let square = self.north * shrunk * (y * y) + self.east * narrowing * (x * x);
        self.is_beyond(square, limit_m) == Some(true)
    }

    fn offsets(&self, bounds: &Bounds) -> Offsets {
        let mut middle = (f64::midpoint(bounds.west, bounds.east) - self.center.lon).abs();
        if middle > 180.0 {
            middle = 360.0 - middle;
        }
        let half = 0.5 * (bounds.east - bounds.west);
        let y = (bounds.south - self.center.lat, bounds.north - self.center.lat);
        Offsets { x: ((middle - half).max(0.0), middle + half), y }
    }
}
