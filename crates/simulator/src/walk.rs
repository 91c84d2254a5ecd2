//! Made-up routes that look real: phones walk or drive from place to place along the streets of a grid, wait there
//! for a while, and jitter as GPS does.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A point, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
}

/// How a phone gets about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// 1 to 2 m/s.
    Walking,
    /// 6 to 16 m/s.
    Driving,
}

const METRES_A_DEGREE: f64 = 111_195.0;
/// The standard deviation of the jitter, in metres.
const JITTER_M: f64 = 4.0;

impl Place {
    /// The point this many metres to the east and north; fit for some tens of kilometres.
    #[must_use]
    pub fn offset(self, east_m: f64, north_m: f64) -> Self {
        Self {
            lat: self.lat + north_m / METRES_A_DEGREE,
            lon: self.lon + east_m / (METRES_A_DEGREE * self.lat.to_radians().cos()),
        }
    }
}

/// One phone on its way, the same for the same seed.
pub struct Walker {
    random: StdRng,
    centre: Place,
    half_width_m: f64,
    speed_mps: f64,
    /// Metres east and north of the centre.
    at: (f64, f64),
    target: (f64, f64),
    waits_s: f64,
}

/// The distance between two streets, in metres.
const BLOCK_M: f64 = 80.0;

impl Walker {
    /// A phone somewhere in the square of this half width round `centre`.
    pub fn new(seed: u64, centre: Place, half_width_m: f64, way: Way) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let speed_mps = match way {
            Way::Walking => random.random_range(1.0..2.0),
            Way::Driving => random.random_range(6.0..16.0),
        };
        let mut walker = Self {
            random,
            centre,
            half_width_m,
            speed_mps,
            at: (0.0, 0.0),
            target: (0.0, 0.0),
            waits_s: 0.0,
        };
        walker.at = walker.crossing();
        walker.target = walker.crossing();
        walker
    }

    /// A crossing of two streets, drawn at random.
    fn crossing(&mut self) -> (f64, f64) {
        let half = self.half_width_m;
        let mut street = || (self.random.random_range(-half..half) / BLOCK_M).round() * BLOCK_M;
        (street(), street())
    }

    /// Where the phone says it is `seconds` later.
    pub fn step(&mut self, seconds: f64) -> Place {
        let mut left_s = seconds;
        while left_s > 0.0 {
            if self.waits_s > 0.0 {
                let waited = self.waits_s.min(left_s);
                self.waits_s -= waited;
                left_s -= waited;
                continue;
            }
            if self.at == self.target {
                self.target = self.crossing();
                self.waits_s =
                    if self.random.random_bool(0.3) { self.random.random_range(5.0..90.0) } else { 0.0 };
                continue;
            }
            // First along one street, then along the other: a grid's shortest way.
            let (at, target) = if self.at.0 == self.target.0 {
                (&mut self.at.1, self.target.1)
            } else {
                (&mut self.at.0, self.target.0)
            };
            let (leg_m, can_m) = (target - *at, self.speed_mps * left_s);
            if can_m < leg_m.abs() {
                *at += can_m.copysign(leg_m);
                left_s = 0.0;
            } else {
                *at = target;
                left_s -= leg_m.abs() / self.speed_mps;
            }
        }
        let (jitter_e, jitter_n) = (self.jitter(), self.jitter());
        self.centre.offset(self.at.0 + jitter_e, self.at.1 + jitter_n)
    }

    /// Roughly normal: the sum of uniform draws.
    fn jitter(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.random.random_range(-1.0..1.0)).sum();
        sum * JITTER_M * (3.0_f64 / 4.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRE: Place = Place { lat: 41.39, lon: 2.16 };

    fn metres(a: Place, b: Place) -> f64 {
        let north = (b.lat - a.lat) * METRES_A_DEGREE;
        let east = (b.lon - a.lon) * METRES_A_DEGREE * a.lat.to_radians().cos();
        north.hypot(east)
    }

    #[test]
    fn a_phone_moves_no_faster_than_its_way_allows_and_stays_in_its_town() {
        for (way, most_mps) in [(Way::Walking, 2.0), (Way::Driving, 16.0)] {
            for seed in 0..20 {
                let mut walker = Walker::new(seed, CENTRE, 1_000.0, way);
                let mut last = walker.step(0.0);
                let mut travelled = 0.0;
                for _ in 0..500 {
                    let next = walker.step(10.0);
                    let step = metres(last, next);
                    assert!(step <= 10.0 * most_mps + 16.0 * JITTER_M, "seed {seed}: {step} m in 10 s");
                    assert!(metres(CENTRE, next) < 1_600.0, "seed {seed} left the town");
                    travelled += step;
                    last = next;
                }
                assert!(travelled > 1_000.0, "seed {seed} hardly moved");
            }
        }
    }

    #[test]
    fn the_same_seed_goes_the_same_way() {
        let route = |seed| {
            let mut walker = Walker::new(seed, CENTRE, 1_000.0, Way::Driving);
            (0..50).map(|_| walker.step(5.0)).collect::<Vec<_>>()
        };
        assert_eq!(route(1), route(1));
        assert_ne!(route(1), route(2));
    }
}
