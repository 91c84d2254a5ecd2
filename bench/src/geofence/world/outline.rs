//! What zones look like.

use std::f64::consts::TAU;

use geopush_geometry::{Position, Shape};
use geopush_service::BoxError;
use rand::RngExt as _;

use super::{Random, offset};

/// What zones look like, and how often.
#[derive(Clone, Copy, Debug)]
pub struct ZoneMix {
    /// The share of polygons; the others are circles.
    pub polygons: f64,
    /// The least and greatest number of a polygon's positions, its closing one included.
    pub positions: (usize, usize),
    /// The least and greatest radius in metres; small ones are as much more frequent as they are smaller.
    pub radius_m: (f64, f64),
    /// How near to the middle a polygon's corners come, as a part of its radius.
    pub least_corner: f64,
    /// The share of zones with dwells.
    pub dwelling: f64,
}

impl ZoneMix {
    /// Seven circles of ten, of 50 to 500 m; polygons of 4 to 30 positions; a fifth with dwells.
    pub const REALISTIC: Self =
        Self { polygons: 0.3, positions: (4, 30), radius_m: (50.0, 500.0), least_corner: 0.6, dwelling: 0.2 };

    /// Circles alone, of these radii.
    pub const fn circles(least_m: f64, most_m: f64) -> Self {
        Self { polygons: 0.0, radius_m: (least_m, most_m), ..Self::REALISTIC }
    }

    /// Polygons alone, of so many positions.
    pub const fn polygons(positions: usize) -> Self {
        Self { polygons: 1.0, positions: (positions, positions), ..Self::REALISTIC }
    }

    /// The mean area of a zone, in square metres, if all were circles.
    pub fn mean_circle_m2(&self) -> f64 {
        let (least, most) = self.radius_m;
        let mean_square = match most / least {
            1.0 => least * least,
            times => (most * most - least * least) / (2.0 * times.ln()),
        };
        TAU / 2.0 * mean_square
    }

    /// A shape round a place.
    ///
    /// # Errors
    /// A shape that is not valid: a defect here.
    pub fn shape(&self, centre: Position, random: &mut Random) -> Result<Shape, BoxError> {
        let (least, most) = self.radius_m;
        let radius_m = least * (most / least).powf(random.random());
        if !random.random_bool(self.polygons) {
            return Ok(Shape::circle(centre, radius_m)?);
        }
        let corners = random.random_range(self.positions.0..=self.positions.1) - 1;
        // Neighbours differ less the nearer they are, or 10,000 corners would be a hedgehog.
        let roughness = (30.0 / corners as f64).min(1.0);
        let waves: [f64; 3] = [3.0, 7.0, 13.0].map(|times| times * TAU);
        let phases: [f64; 3] = random.random();
        let mut ring: Vec<_> = (0..corners)
            .map(|corner| {
                let part = corner as f64 / corners as f64;
                let wave: f64 =
                    waves.iter().zip(phases).map(|(wave, phase)| (wave * part + phase * TAU).sin()).sum();
                let smooth = 0.5 + wave / 6.0;
                let rough: f64 = random.random();
                let outward = smooth + (rough - smooth) * roughness;
                let distance_m = radius_m * (self.least_corner + (1.0 - self.least_corner) * outward);
                let (sin, cos) = (TAU * part).sin_cos();
                offset(centre, distance_m * sin, distance_m * cos)
            })
            .collect();
        ring.extend(ring.first().copied());
        Shape::polygon(vec![ring]).map_err(|errors| format!("{errors:?}").into())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn polygons_of_any_number_of_positions_are_valid() {
        let mut random = Random::seed_from_u64(1);
        let centre = Position { lon: 2.0, lat: 48.0 };
        for positions in [4, 5, 30, 1_000, 10_000] {
            let shape = ZoneMix::polygons(positions).shape(centre, &mut random).unwrap();
            assert_eq!(shape.position_count(), positions);
        }
    }

    #[test]
    fn the_mean_area_is_that_of_the_circles_drawn() {
        let mix = ZoneMix::circles(50.0, 500.0);
        let mut random = Random::seed_from_u64(1);
        let areas = (0..20_000).map(|_| match mix.shape(Position { lon: 0.0, lat: 0.0 }, &mut random) {
            Ok(Shape::Circle { radius_m, .. }) => TAU / 2.0 * radius_m * radius_m,
            other => panic!("{other:?}"),
        });
        let mean = areas.sum::<f64>() / 20_000.0;
        assert!((mean / mix.mean_circle_m2() - 1.0).abs() < 0.03, "{mean}");
    }
}
