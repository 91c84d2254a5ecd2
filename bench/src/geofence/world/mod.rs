//! A made-up world: cities, tenants and their zones, all out of one seed.
//!
//! A zone is a pure function of the seed and its number, so that nothing but the cities and tenants is kept, and any
//! zone can be made again.

mod city;
mod outline;

use std::ops::Range;

use geopush_model::{TenantId, UnixMillis, Zone, ZoneId};
use geopush_service::BoxError;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

pub use city::{City, Spread, normal, offset};
pub use outline::ZoneMix;

/// Where randomness comes from: fast, and the same on every machine and with every version.
pub type Random = Xoshiro256PlusPlus;

/// Cities, tenants, and how their zones are made.
#[derive(Debug)]
pub struct World {
    seed: u64,
    /// Where people are.
    pub cities: Vec<City>,
    /// Rising sums of the cities' weights, to 1.
    city_shares: Vec<f64>,
    tenants: Vec<Tenant>,
    mix: ZoneMix,
}

/// A merchant with zones in some cities.
#[derive(Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The numbers of its zones.
    pub zones: Range<usize>,
    /// Its share of everything, and all before it.
    share_up_to: f64,
    /// Where its shops are, a city as often as its share; empty: everywhere where people are.
    cities: Vec<u16>,
}

/// So that zones are as near to one another in a world with fewer of them.
const ZONES_A_CITY: usize = 3_334;
/// How many zones bring a tenant to one more place.
const ZONES_A_PLACE: usize = 20;
/// A tenant that would be in more places than this is everywhere.
const MOST_PLACES: usize = 1_000;
/// The share of all zones and devices that the largest of many tenants has.
const LARGEST_SHARE: f64 = 0.1;

impl World {
    /// Zones of many tenants in cities of realistic size all over the globe, 300 for 1M zones. The first tenant has a
    /// tenth of all; the others have shares like 1/2, 1/3, 1/4, ….
    pub fn realistic(seed: u64, zones: usize, tenants: usize, mix: ZoneMix) -> Self {
        let cities =
            u32::try_from(zones.div_ceil(ZONES_A_CITY)).expect("a world has fewer than 65,536 cities");
        Self::new(seed, City::largest_of_the_globe(seed, cities), zones, tenants, mix)
    }

    /// Zones of one tenant, evenly over a square, so many to a square kilometre.
    pub fn square(seed: u64, zones: usize, zones_a_km2: f64, mix: ZoneMix) -> Self {
        let side_m = (zones as f64 / zones_a_km2).sqrt() * 1e3;
        Self::new(seed, vec![City::square(side_m)], zones, 1, mix)
    }

    /// These cities and tenants.
    pub fn new(seed: u64, cities: Vec<City>, zones: usize, tenants: usize, mix: ZoneMix) -> Self {
        let total: f64 = cities.iter().map(|city| city.weight).sum();
        let city_shares = rising(cities.iter().map(|city| city.weight / total));
        let mut world = Self { seed, cities, city_shares, tenants: Vec::new(), mix };
        let mut first = 0;
        for (number, share_up_to) in tenant_shares(tenants).into_iter().enumerate() {
            let end = (share_up_to * zones as f64).round() as usize;
            let mut random = world.random(Kind::Tenant, number);
            let places = 1 + (end - first) / ZONES_A_PLACE;
            let cities = match places {
                ..MOST_PLACES => (0..places).map(|_| world.any_city(&mut random)).collect(),
                _ => Vec::new(),
            };
            let id = TenantId(uuid(&mut random));
            world.tenants.push(Tenant { id, zones: first..end, share_up_to, cities });
            first = end;
        }
        world
    }

    /// How many zones.
    pub fn zones(&self) -> usize {
        self.tenants.last().map_or(0, |last| last.zones.end)
    }

    /// The tenants, the largest first.
    pub fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// The tenant whose share this part of all is in, 0 to 1.
    pub fn tenant_at(&self, share: f64) -> usize {
        let at = self.tenants.partition_point(|tenant| tenant.share_up_to <= share);
        at.min(self.tenants.len() - 1)
    }

    /// One of a tenant's cities.
    pub fn city_of(&self, tenant: usize, random: &mut Random) -> u16 {
        let cities = &self.tenants[tenant].cities;
        if cities.is_empty() {
            return self.any_city(random);
        }
        cities[random.random_range(0..cities.len())]
    }

    /// The zone with a number, in its `version`th version: each is somewhere else in its city.
    ///
    /// # Errors
    /// A shape that is not valid: a defect of the world.
    pub fn zone(&self, number: usize, version: i64) -> Result<Zone, BoxError> {
        let tenant = self.tenants.partition_point(|tenant| tenant.zones.end <= number);
        let mut random = self.random(Kind::Zone, number);
        let id = ZoneId(uuid(&mut random));
        let city = &self.cities[usize::from(self.city_of(tenant, &mut random))];
        let dwell_s = random.random_bool(self.mix.dwelling).then_some(300);
        let mut centre = city.place(&mut random);
        for _ in 1..version {
            centre = city.place(&mut random);
        }
        let shape = self.mix.shape(centre, &mut random)?;
        Ok(Zone {
            external_id: Some(format!("shop-{number:07}")),
            dwell_s,
            version,
            updated_at: UnixMillis(version),
            ..Zone::new(self.tenants[tenant].id, id, &format!("Shop {number}"), shape, UnixMillis(0))
        })
    }

    /// Randomness of one thing's own.
    pub fn random(&self, kind: Kind, number: usize) -> Random {
        let spread = ((kind as u64) << 40 | number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Random::seed_from_u64(self.seed ^ spread)
    }

    fn any_city(&self, random: &mut Random) -> u16 {
        let share: f64 = random.random();
        let at = self.city_shares.partition_point(|up_to| *up_to <= share).min(self.cities.len() - 1);
        u16::try_from(at).expect("a world has fewer than 65,536 cities")
    }
}

/// What randomness is for.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A tenant.
    Tenant = 1,
    /// A zone.
    Zone = 2,
    /// Devices on their way.
    Traffic = 3,
    /// Places to look at.
    Places = 4,
}

/// Rising sums.
fn rising(parts: impl Iterator<Item = f64>) -> Vec<f64> {
    parts
        .scan(0.0, |sum, part| {
            *sum += part;
            Some(*sum)
        })
        .collect()
}

/// The rising shares of tenants, up to 1.
fn tenant_shares(tenants: usize) -> Vec<f64> {
    if tenants < 2 {
        return vec![1.0];
    }
    let others: f64 = (2..=tenants).map(|rank| 1.0 / rank as f64).sum();
    let share = |rank: usize| match rank {
        1 => LARGEST_SHARE,
        _ => (1.0 - LARGEST_SHARE) / (rank as f64 * others),
    };
    rising((1..=tenants).map(share))
}

fn uuid(random: &mut Random) -> Uuid {
    uuid::Builder::from_random_bytes(random.random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use geopush_geometry::Shape;

    use super::*;

    #[test]
    fn the_largest_tenant_has_a_tenth_and_the_smallest_a_handful() {
        let world = World::realistic(1, 1_000_000, 10_000, ZoneMix::REALISTIC);
        let sizes: Vec<_> = world.tenants().iter().map(|tenant| tenant.zones.len()).collect();
        assert_eq!((sizes.len(), world.zones(), sizes[0]), (10_000, 1_000_000, 100_000));
        assert!(sizes.iter().all(|size| (5..=100_000).contains(size)), "{:?}", sizes.iter().min());
        let half = sizes.iter().scan(0, |sum, size| {
            *sum += size;
            Some(*sum)
        });
        let having_half = half.take_while(|sum| *sum < 500_000).count();
        assert!((10..200).contains(&having_half), "{having_half} tenants have half of all zones");
    }

    #[test]
    fn the_same_seed_makes_the_same_zones_and_another_makes_others() {
        let zones = |seed| {
            let world = World::realistic(seed, 300, 10, ZoneMix::REALISTIC);
            (0..300).map(|number| world.zone(number, 1).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(zones(1), zones(1));
        assert_ne!(zones(1), zones(2));
        let ids: std::collections::HashSet<_> = zones(1).iter().map(|zone| zone.id).collect();
        assert_eq!(ids.len(), 300);
    }

    #[test]
    fn a_zones_next_version_is_the_same_zone_somewhere_else() {
        let world = World::realistic(1, 300, 10, ZoneMix::REALISTIC);
        let (first, second) = (world.zone(7, 1).unwrap(), world.zone(7, 2).unwrap());
        assert_eq!((first.id, first.tenant), (second.id, second.tenant));
        assert_ne!(first.shape, second.shape);
    }

    #[test]
    fn zones_are_of_both_kinds_and_of_the_sizes_asked_for() {
        let world = World::realistic(3, 2_000, 20, ZoneMix::REALISTIC);
        let (mut circles, mut least, mut most) = (0, usize::MAX, 0);
        for number in 0..2_000 {
            match world.zone(number, 1).unwrap().shape {
                Shape::Circle { radius_m, .. } => {
                    circles += 1;
                    assert!((50.0..=500.0).contains(&radius_m));
                }
                shape => {
                    least = least.min(shape.position_count());
                    most = most.max(shape.position_count());
                }
            }
        }
        assert!((1_300..1_500).contains(&circles), "{circles}");
        assert_eq!((least, most), (4, 30));
    }
}
