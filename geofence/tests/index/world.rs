//! Random zones of every size, where the globe is awkward, and all of them asked one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use geopush_geofence::engine::{Around, PreparedZone, TileId, ZoneChange, ZoneIndex};
use geopush_geometry::{Bounds, Position, Shape};
use geopush_model::{TenantId, UnixMillis, Zone, ZoneId};
use h3o::{LatLng, Resolution};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

pub const TENANTS: [TenantId; 2] = [TenantId(Uuid::from_u128(7)), TenantId(Uuid::from_u128(8))];
const METRES_PER_DEGREE: f64 = 111_000.0;

pub fn zone(tenant: TenantId, number: u128, shape: Shape) -> Zone {
    Zone::new(tenant, ZoneId(Uuid::from_u128(number)), "zone", shape, UnixMillis(0))
}

/// Where a world is, and how far it reaches.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub lon: f64,
    pub lat: f64,
    pub side_m: f64,
}

impl Place {
    pub fn position(self, (east_m, north_m): (f64, f64)) -> Position {
        let lat = (self.lat + north_m / METRES_PER_DEGREE).clamp(-90.0, 90.0);
        let lon = self.lon + east_m / (METRES_PER_DEGREE * self.lat.to_radians().cos());
        Position::new((lon + 180.0).rem_euclid(360.0) - 180.0, lat).unwrap()
    }
}

/// Zones in an index, and the same in a list.
pub struct World {
    pub random: StdRng,
    pub place: Place,
    pub index: ZoneIndex,
    pub zones: BTreeMap<(TenantId, ZoneId), Arc<PreparedZone>>,
    version: i64,
}

/// What an index said of a position, to be held against what it says later.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub covering: Vec<(ZoneId, i64)>,
    pub touching: Vec<(ZoneId, i64)>,
}

impl Said {
    pub fn of(around: &Around<'_>) -> Self {
        let names = |zones: &mut dyn Iterator<Item = &Arc<PreparedZone>>| {
            let mut names: Vec<_> = zones.map(|zone| (zone.id, zone.version)).collect();
            names.sort_unstable();
            names
        };
        Self { covering: names(&mut around.covering()), touching: names(&mut around.touching()) }
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let pentagon = LatLng::from(Resolution::Five.pentagons().nth(random.random_range(0..12)).unwrap());
        let (lon, lat) = [
            (2.17, 41.39),
            (180.0, -17.0),
            (-179.99, 66.0),
            (-0.001, 0.001),
            (15.6, 78.2),
            (100.0, 88.97),
            (-30.0, -89.6),
            (pentagon.lng(), pentagon.lat()),
        ][random.random_range(0..8)];
        let side_m = [500.0, 20_000.0, 200_000.0][random.random_range(0..3)];
        let place = Place { lon, lat, side_m };
        Self { random, place, index: ZoneIndex::default(), zones: BTreeMap::new(), version: 0 }
    }

    pub fn one_in(&mut self, n: u32) -> bool {
        self.random.random_ratio(1, n)
    }

    fn spot(&mut self) -> (f64, f64) {
        let side_m = self.place.side_m;
        (self.random.random_range(-side_m..side_m), self.random.random_range(-side_m..side_m))
    }

    /// From 10 m to 100 km, as many small as large.
    fn radius_m(&mut self) -> f64 {
        (self.random.random_range(10.0_f64.ln()..=100_000.0_f64.ln()).exp()).clamp(10.0, 100_000.0)
    }

    fn ring(&mut self, (east_m, north_m): (f64, f64), radius_m: f64, corners: u32) -> Vec<Position> {
        let mut ring: Vec<_> = (0..corners)
            .map(|i| {
                let angle = std::f64::consts::TAU * f64::from(i) / f64::from(corners);
                let r = radius_m * self.random.random_range(0.7..1.0);
                self.place.position((east_m + r * angle.cos(), north_m + r * angle.sin()))
            })
            .collect();
        ring.push(ring[0]);
        ring
    }

    /// A square that shares its edges with its neighbours on a lattice.
    fn square(&mut self, step_m: f64) -> Vec<Position> {
        let (x, y) = self.spot();
        let at = |x: f64, y: f64| self.place.position((x * step_m, y * step_m));
        let (x, y) = ((x / step_m).floor(), (y / step_m).floor());
        vec![at(x, y), at(x + 1.0, y), at(x + 1.0, y + 1.0), at(x, y + 1.0), at(x, y)]
    }

    /// `None`: it came out as none, which happens near the poles.
    fn shape(&mut self) -> Option<Shape> {
        let (spot, radius_m) = (self.spot(), self.radius_m());
        match self.random.random_range(0..10) {
            0..5 => Shape::circle(self.place.position(spot), radius_m).ok(),
            5 => Shape::polygon(vec![self.square(500.0)]).ok(),
            6 => {
                let outer = self.ring(spot, radius_m, 12);
                let hole = self.ring(spot, radius_m * 0.5, 7);
                Shape::polygon(vec![outer, hole]).ok()
            }
            7 => {
                let corners = if self.one_in(5) { 5_000 } else { 40 };
                Shape::polygon(vec![self.ring(spot, radius_m, corners)]).ok()
            }
            8 => {
                let other = self.spot();
                let parts = [spot, other].map(|spot| vec![self.ring(spot, radius_m.min(5_000.0), 9)]);
                Shape::multi_polygon(parts.into()).ok()
            }
            _ => {
                // On the other side of the Earth, too.
                let here = self.ring(spot, radius_m, 9);
                let there =
                    here.iter().map(|p| Position { lon: (p.lon + 270.0) % 180.0, lat: -p.lat }).collect();
                Shape::multi_polygon(vec![vec![here], vec![there]]).ok()
            }
        }
    }

    /// A change of one of so many zones: made, edited or removed.
    pub fn change(&mut self, zones: u128) -> Option<ZoneChange> {
        let number = self.random.random_range(1..=zones);
        let tenant = TENANTS[usize::from(self.one_in(4))];
        self.version += 1;
        let zone = Zone {
            exit_buffer_m: [None, Some(0.0), Some(1_000.0)][self.random.random_range(0..3)],
            version: self.version,
            deleted: self.one_in(4),
            ..zone(tenant, number, self.shape()?)
        };
        Some(ZoneChange::to(&zone))
    }

    pub fn apply(&mut self, changes: &[ZoneChange]) {
        self.index.apply(changes);
        for change in changes {
            match &change.now {
                Some(zone) => self.zones.insert((change.tenant, change.zone), Arc::clone(zone)),
                None => self.zones.remove(&(change.tenant, change.zone)),
            };
        }
    }

    /// Anywhere, or where it is easy to be wrong: on borders of boxes, at the antimeridian, at zones' rims.
    pub fn position(&mut self, bounds: Option<Bounds>) -> Position {
        let spot = self.spot();
        let position = self.place.position(spot);
        match (self.random.random_range(0..6), bounds) {
            (0, Some(b)) => Position { lon: b.west, lat: f64::midpoint(b.south, b.north) },
            (1, Some(b)) => Position { lon: b.east, lat: b.north },
            (2, _) if self.place.lon.abs() > 179.0 => {
                Position { lon: if self.one_in(2) { 180.0 } else { -180.0 }, ..position }
            }
            (3, _) => {
                let number = self.random.random_range(0..self.zones.len().max(1));
                let Some(zone) = self.zones.values().nth(number) else { return position };
                let b = zone.shape.bounds(0.0)[0];
                let lat = self.random.random_range(b.south..=b.north);
                Position { lon: self.random.random_range(b.west..=b.east), lat }
            }
            _ => position,
        }
    }

    /// Asks the index about a position, and everyone else, too.
    pub fn check(&mut self, tenant: TenantId, position: Position, hint: Option<TileId>) {
        let World { random, index, zones, .. } = self;
        let around = index.around(tenant, position, hint);
        let bounds = around.bounds();
        assert!(bounds.contains(position), "{position:?} is not in {bounds:?}");
        assert!(index.is_current(around.stamp()));

        let said = Said::of(&around);
        let listed = |zone: &PreparedZone, list: &[(ZoneId, i64)]| list.contains(&(zone.id, zone.version));
        let within = |random: &mut StdRng| Position {
            lon: random.random_range(bounds.west..=bounds.east),
            lat: random.random_range(bounds.south..=bounds.north),
        };
        let mine: Vec<_> = zones.values().filter(|zone| zone.tenant == tenant).collect();
        for zone in &mine {
            let (covers, touches) = (listed(zone, &said.covering), listed(zone, &said.touching));
            assert!(!(covers && touches), "{zone:?} is listed twice");
            for position in [position, within(random), within(random)] {
                if covers {
                    assert!(zone.contains(position), "{zone:?} covers {bounds:?} but for {position:?}");
                } else if !touches {
                    assert!(zone.is_left_at(position), "{zone:?} comes to {position:?} in {bounds:?}");
                }
                if touches && zone.contains(position) {
                    let told = around.touching_at(position).any(|other| Arc::ptr_eq(other, zone));
                    assert!(told, "{zone:?} contains {position:?} in {bounds:?}");
                }
            }
            assert!(around.get(zone.id).is_some_and(|found| Arc::ptr_eq(&found, zone)));
        }
        let known = [said.covering.as_slice(), &said.touching].concat();
        let named = mine.iter().filter(|zone| listed(zone, &known)).count();
        assert_eq!(named, known.len(), "zones are listed that are not there, or twice");
    }
}
