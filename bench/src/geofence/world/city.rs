//! Where people are.

use std::f64::consts::{PI, TAU};

use geopush_geometry::Position;
use rand::{RngExt as _, SeedableRng as _};

use super::Random;

/// A city, or whatever else people are in.
#[derive(Clone, Debug)]
pub struct City {
    /// Its middle.
    pub centre: Position,
    /// How things are spread round it.
    pub spread: Spread,
    /// How much of everything is there, beside the other cities'.
    pub weight: f64,
}

/// How things are spread round a middle.
#[derive(Clone, Copy, Debug)]
pub enum Spread {
    /// Normally to all sides, with this standard deviation in metres.
    Bell(f64),
    /// Evenly over a square that reaches so many metres to each side.
    Even(f64),
}

/// The people of the largest city; the others follow by rank to the power of [`RANK_POWER`], so that the 300th has 1.2
/// million, as on the globe.
const LARGEST_PEOPLE: f64 = 37e6;
const RANK_POWER: f64 = -0.6;
/// Which makes 54 km of radius of the largest, and 10 km of the 300th.
const PEOPLE_A_KM2: f64 = 4_000.0;
/// Four fifths of a city lie within 1.8 standard deviations.
const DEVIATIONS_A_RADIUS: f64 = 1.8;
/// Devices turn back where nothing is any more.
const DEVIATIONS_TO_THE_END: f64 = 2.5;
/// Where most people live, degrees north.
const LATITUDES: std::ops::Range<f64> = -40.0..62.0;
const METRES_A_DEGREE: f64 = 111_195.0;

impl City {
    /// So many of the largest cities, somewhere on the globe.
    pub fn largest_of_the_globe(seed: u64, count: u32) -> Vec<Self> {
        let mut random = Random::seed_from_u64(seed);
        let of_rank = |rank: u32| {
            let people = LARGEST_PEOPLE * f64::from(rank).powf(RANK_POWER);
            let radius_m = (people / PEOPLE_A_KM2 / PI).sqrt() * 1e3;
            Self {
                centre: Position {
                    lon: random.random_range(-180.0..180.0),
                    lat: random.random_range(LATITUDES),
                },
                spread: Spread::Bell(radius_m / DEVIATIONS_A_RADIUS),
                weight: people,
            }
        };
        (1..=count).map(of_rank).collect()
    }

    /// A square round a place in the middle of Europe.
    pub fn square(side_m: f64) -> Self {
        let centre = Position { lon: 9.0, lat: 50.0 };
        Self { centre, spread: Spread::Even(side_m / 2.0), weight: 1.0 }
    }

    /// A place in it, drawn by its spread.
    pub fn place(&self, random: &mut Random) -> Position {
        let (east_m, north_m) = match self.spread {
            Spread::Bell(deviation_m) => {
                let (a, b) = normal(random);
                (a * deviation_m, b * deviation_m)
            }
            Spread::Even(half_m) => {
                (random.random_range(-half_m..half_m), random.random_range(-half_m..half_m))
            }
        };
        offset(self.centre, east_m, north_m)
    }

    /// The direction back to the middle, in radians clockwise from north, if a place is out of the city.
    pub fn way_back(&self, place: Position) -> Option<f64> {
        let north_m = (self.centre.lat - place.lat) * METRES_A_DEGREE;
        let east_m = turn(self.centre.lon - place.lon) * METRES_A_DEGREE * place.lat.to_radians().cos();
        let is_out = match self.spread {
            Spread::Bell(deviation_m) => east_m.hypot(north_m) > deviation_m * DEVIATIONS_TO_THE_END,
            Spread::Even(half_m) => east_m.abs().max(north_m.abs()) > half_m,
        };
        is_out.then(|| east_m.atan2(north_m))
    }
}

/// The position some metres to the east and north, a thousandth more or less; fit for some tens of kilometres.
pub fn offset(from: Position, east_m: f64, north_m: f64) -> Position {
    let lat = (from.lat + north_m / METRES_A_DEGREE).clamp(-89.0, 89.0);
    let lon = from.lon + east_m / (METRES_A_DEGREE * from.lat.to_radians().cos());
    Position { lon: turn(lon), lat }
}

/// Longitudes from -180 to 180.
fn turn(lon: f64) -> f64 {
    match lon {
        180.0.. => lon - 360.0,
        ..-180.0 => lon + 360.0,
        _ => lon,
    }
}

/// Two independent numbers of the standard normal distribution (Box and Muller).
pub fn normal(random: &mut Random) -> (f64, f64) {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    let (sin, cos) = (TAU * random.random::<f64>()).sin_cos();
    (radius * sin, radius * cos)
}

#[cfg(test)]
mod tests {
    use geopush_geometry::geodesic_distance_m;

    use super::*;

    #[test]
    fn an_offset_is_as_long_as_it_says_also_over_the_antimeridian() {
        let far_east = Position { lon: 179.99, lat: 60.0 };
        let beyond = offset(far_east, 3_000.0, 4_000.0);
        assert!(beyond.lon < -179.9, "{beyond:?}");
        let metres = geodesic_distance_m(far_east, beyond);
        assert!((metres - 5_000.0).abs() < 25.0, "{metres}");
    }

    #[test]
    fn who_is_out_of_the_city_is_sent_back_to_it() {
        let city = City { centre: Position { lon: -179.99, lat: 10.0 }, ..City::square(2_000.0) };
        assert_eq!(city.way_back(offset(city.centre, -900.0, 900.0)), None);
        let out = offset(city.centre, -5_000.0, 10.0);
        let way = city.way_back(out).unwrap();
        let back = offset(out, 5_000.0 * way.sin(), 5_000.0 * way.cos());
        assert!(geodesic_distance_m(back, city.centre) < 50.0, "{back:?}");
    }
}
