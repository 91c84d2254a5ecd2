//! A circle made ready to be asked: by a polynomial where that tells, by the chord in the rim where it does not, by the
//! geodesic solver in the chord's own rim.

use crate::around::Around;
use crate::bounds::{Bounds, Extent};
use crate::ellipsoid::{CHORD_SLACK_M, Cartesian, most_arc_m};
use crate::position::{Position, geodesic_distance_m};
use crate::reach::Reach;

#[derive(Clone, Debug)]
pub(crate) struct Circle {
    around: Around,
    radius_m: f64,
}

impl Circle {
    pub(crate) fn new(center: Position, radius_m: f64) -> Self {
        Self { around: Around::new(center), radius_m }
    }

    pub(crate) fn around(&self) -> &Around {
        &self.around
    }

    pub(crate) fn touch(&self) -> u64 {
        self.around.center().lon.to_bits() ^ self.radius_m.to_bits()
    }

    pub(crate) fn radius_m(&self) -> f64 {
        self.radius_m
    }

    #[inline]
    pub(crate) fn contains(&self, position: Position) -> bool {
        !self.is_farther_than(position, 0.0)
    }

    pub(crate) fn distance_m(&self, position: Position) -> f64 {
        (geodesic_distance_m(self.around.center(), position) - self.radius_m).max(0.0)
    }

    /// Whether the position is outside by more than this, which is not negative.
    #[inline]
    pub(crate) fn is_farther_than(&self, position: Position, metres: f64) -> bool {
        let limit_m = self.radius_m + metres;
        if limit_m <= self.around.trusted_m() {
            match self.around.square(position).map(|square| self.around.is_beyond(square, limit_m)) {
                None => return true,
                Some(Some(beyond)) => return beyond,
                Some(None) => {}
            }
        }
        self.is_farther_by_chord(position, metres)
    }

    /// The chord tells but for a rim of micrometres at 1 km and of a metre at 100 km.
    #[cold]
    fn is_farther_by_chord(&self, position: Position, metres: f64) -> bool {
        let limit_m = self.radius_m + metres;
        let chord_m = self.chord_m(position);
        if chord_m > limit_m + CHORD_SLACK_M {
            true
        } else if most_arc_m(chord_m) < limit_m - CHORD_SLACK_M {
            false
        } else {
            self.distance_m(position) > metres
        }
    }

    pub(crate) fn reach(&self, bounds: &Bounds, margin_m: f64) -> Reach {
        let limit_m = self.radius_m + margin_m;
        let trusted = limit_m <= self.around.trusted_m();
        if trusted && self.around.is_box_beyond(bounds, limit_m) {
            Reach::Misses
        } else if trusted && self.around.is_box_within(bounds, self.radius_m) {
            Reach::Covers
        } else {
            Reach::Touches
        }
    }

    pub(crate) fn clear_m(&self, position: Position) -> f64 {
        let square = self.around.square(position).filter(|_| self.radius_m <= self.around.trusted_m());
        let clear_m = match square {
            Some(square) => {
                let root_m = square.sqrt();
                (root_m - self.radius_m).abs() - self.around.blur_m(root_m)
            }
            None => {
                let chord_m = self.chord_m(position);
                (chord_m - self.radius_m).max(self.radius_m - most_arc_m(chord_m)) - CHORD_SLACK_M
            }
        };
        clear_m.max(0.0)
    }

    /// How far it is from there to the circle that is larger by the margin, from inside that.
    pub(crate) fn room_m(&self, position: Position, margin_m: f64) -> f64 {
        let limit_m = self.radius_m + margin_m;
        let square = self.around.square(position).filter(|_| limit_m <= self.around.trusted_m());
        let room_m = match square {
            Some(square) => {
                let root_m = square.sqrt();
                limit_m - root_m - self.around.blur_m(root_m)
            }
            None => limit_m - most_arc_m(self.chord_m(position)) - CHORD_SLACK_M,
        };
        room_m.max(0.0)
    }

    pub(crate) fn extent(&self) -> Extent {
        Extent::of_circle(self.around.center(), self.radius_m)
    }

    fn chord_m(&self, position: Position) -> f64 {
        Cartesian::from(self.around.center()).chord_m(position.into())
    }
}
