//! A made-up town: zones, and phones on their way through it. The same for the same seed.

use std::f64::consts::TAU;

use geopush_geometry::{Position, Shape};
use geopush_model::{DeviceId, Fix, TenantId, UnixMillis, Zone, ZoneId};
use geopush_service::BoxError;
use geopush_simulator::{Place, Walker, Way};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

/// The middle of the town.
const CENTRE: Place = Place { lat: 41.39, lon: 2.16 };
/// The town grows with the zones, so that a phone crosses borders as often whatever their number: a square of twice
/// this half width has this many zones.
const HALF_WIDTH_M: f64 = 3_000.0;
const ZONES_THERE: f64 = 200.0;
/// Every so many zones one is a polygon; the others are circles.
const POLYGON_EVERY: usize = 5;
/// Every so many phones one does not want pushes.
const MUTED_EVERY: usize = 20;
/// 2025-01-01T00:00:00Z: when the phones set out. Always the past, since fixes ahead of the clock are refused.
const SET_OUT_MS: i64 = 1_735_689_600_000;
/// The simulated time from one fix of a phone to its next.
pub const STEP_MS: i64 = 10_000;
/// What phones say of their accuracy.
const ACCURACY_M: f64 = 5.0;
/// Coordinates are sent with seven decimals, as phones do: about a centimetre.
const DECIMALS: f64 = 1e7;

/// The tags of the zones, each with a campaign of its own.
pub const TAGS: [&str; 2] = ["shop", "district"];

/// The town.
#[derive(Clone, Debug)]
pub struct Town {
    seed: u64,
    half_width_m: f64,
    zones: Vec<TownZone>,
}

#[derive(Clone, Debug)]
struct TownZone {
    external_id: String,
    /// As the API takes a shape.
    shape: Value,
    tag: &'static str,
}

/// A phone of the town.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// Which one.
    pub index: usize,
    /// Its device id.
    pub device: String,
    /// `android` or `ios`.
    pub platform: &'static str,
    /// Its address with its provider.
    pub push_token: String,
    /// Whether its owner wants pushes.
    pub wants_pushes: bool,
}

/// A fix as a phone sends it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SentFix {
    time_ms: i64,
    place: Place,
}

impl Town {
    /// A town with this many zones.
    pub fn new(seed: u64, zones: usize) -> Self {
        let half_width_m = HALF_WIDTH_M * (zones.max(1) as f64 / ZONES_THERE).sqrt();
        let mut random = StdRng::seed_from_u64(seed);
        let zones = (0..zones).map(|index| zone(&mut random, index, half_width_m)).collect();
        Self { seed, half_width_m, zones }
    }

    /// The zones as features to be imported.
    pub fn features(&self) -> Vec<Value> {
        self.zones.iter().map(TownZone::feature).collect()
    }

    /// The zones as they must be once they are imported; their times are unknown.
    ///
    /// # Errors
    /// A shape that is not valid: a defect of the town.
    pub fn zones(&self, tenant: TenantId) -> Result<Vec<Zone>, BoxError> {
        self.zones.iter().map(|zone| zone.imported(tenant)).collect()
    }

    /// A phone of the town.
    pub fn phone(index: usize) -> Phone {
        let device = format!("phone-{index:06}");
        let (platform, push_token) = match index % 2 {
            0 => ("android", format!("bench-token-{index:06}")),
            // APNs's are hexadecimal.
            _ => ("ios", format!("{index:064x}")),
        };
        Phone { index, device, platform, push_token, wants_pushes: !index.is_multiple_of(MUTED_EVERY) }
    }

    /// The fixes of a phone from its first on, without end.
    pub fn route(&self, phone: usize) -> impl Iterator<Item = SentFix> + Send + use<> {
        let way = if phone.is_multiple_of(3) { Way::Driving } else { Way::Walking };
        // Phones differ by the hash of both, so that no two seeds share a phone.
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ phone as u64;
        let mut walker = Walker::new(seed, CENTRE, self.half_width_m, way);
        (0..).map(move |step: i64| {
            let place = walker.step(if step == 0 { 0.0 } else { STEP_MS as f64 / 1e3 });
            SentFix::of(phone, step, place)
        })
    }

    /// The fixes of a phone that stays where its route begins, without end, as far apart as its errors are large.
    pub fn stay(&self, phone: usize) -> impl Iterator<Item = SentFix> + Send + use<> {
        let start = self.route(phone).next().map_or(CENTRE, |first| first.place);
        let mut random = StdRng::seed_from_u64(self.seed ^ phone as u64);
        (0..).map(move |step: i64| {
            let mut error_m = || random.random_range(-ACCURACY_M..ACCURACY_M);
            SentFix::of(phone, step, start.offset(error_m(), error_m()))
        })
    }
}

/// Which phone, and which of its fixes, counted from 0.
pub fn step_of(device: &DeviceId, fix: &Fix) -> Option<(usize, u64)> {
    let phone = device.as_str().strip_prefix("phone-")?.parse().ok()?;
    let since_ms = fix.time.0 - first_fix_ms(phone);
    let step = u64::try_from(since_ms / STEP_MS).ok()?;
    (since_ms % STEP_MS == 0).then_some((phone, step))
}

/// Phones do not all tell at the same moment.
fn first_fix_ms(phone: usize) -> i64 {
    SET_OUT_MS + (phone as i64 * 7) % STEP_MS
}

fn rounded(degrees: f64) -> f64 {
    (degrees * DECIMALS).round() / DECIMALS
}

impl SentFix {
    fn of(phone: usize, step: i64, place: Place) -> Self {
        let place = Place { lat: rounded(place.lat), lon: rounded(place.lon) };
        Self { time_ms: first_fix_ms(phone) + step * STEP_MS, place }
    }

    /// As a ping of a request.
    pub fn json(&self) -> Value {
        let Self { time_ms, place } = self;
        json!({"lat": place.lat, "lon": place.lon, "time": time_ms, "accuracy_m": ACCURACY_M})
    }

    /// As the system has it; `None` when the place is none on earth.
    pub fn fix(&self) -> Option<Fix> {
        let position = Position::new(self.place.lon, self.place.lat)?;
        Some(Fix { accuracy_m: Some(ACCURACY_M), ..Fix::at(position, UnixMillis(self.time_ms)) })
    }

    /// Whether it is this fix.
    pub fn is(&self, fix: &Fix) -> bool {
        self.fix().is_some_and(|sent| sent == *fix)
    }
}

fn zone(random: &mut StdRng, index: usize, half_width_m: f64) -> TownZone {
    let mut along = || random.random_range(-half_width_m..half_width_m);
    let centre = CENTRE.offset(along(), along());
    let (shape, tag) = if index.is_multiple_of(POLYGON_EVERY) {
        (json!({"type": "Polygon", "coordinates": [star(random, centre)]}), TAGS[1])
    } else {
        let radius_m = random.random_range(50.0_f64..150.0).round();
        let center = [rounded(centre.lon), rounded(centre.lat)];
        (json!({"type": "circle", "center": center, "radius_m": radius_m}), TAGS[0])
    };
    TownZone { external_id: format!("zone-{index:05}"), shape, tag }
}

/// A closed ring that sees its centre from everywhere, and so never crosses itself.
fn star(random: &mut StdRng, centre: Place) -> Vec<[f64; 2]> {
    let corners = random.random_range(5..40);
    let mut ring: Vec<_> = (0..corners)
        .map(|corner| {
            let angle = TAU * f64::from(corner) / f64::from(corners);
            let distance_m = random.random_range(80.0..250.0);
            let at = centre.offset(distance_m * angle.cos(), distance_m * angle.sin());
            [rounded(at.lon), rounded(at.lat)]
        })
        .collect();
    ring.extend(ring.first().copied());
    ring
}

impl TownZone {
    fn feature(&self) -> Value {
        let mut properties =
            json!({"external_id": self.external_id, "name": self.external_id, "tags": [self.tag]});
        let geometry = match self.shape["type"].as_str() {
            Some("circle") => {
                properties["radius_m"] = self.shape["radius_m"].clone();
                json!({"type": "Point", "coordinates": self.shape["center"]})
            }
            _ => self.shape.clone(),
        };
        json!({"type": "Feature", "geometry": geometry, "properties": properties})
    }

    fn imported(&self, tenant: TenantId) -> Result<Zone, BoxError> {
        let shape =
            Shape::from_json(&self.shape).map_err(|errors| format!("{}: {errors:?}", self.external_id))?;
        Ok(Zone {
            external_id: Some(self.external_id.clone()),
            tags: vec![self.tag.to_owned()],
            ..Zone::new(
                tenant,
                ZoneId::of_external(tenant, &self.external_id),
                &self.external_id,
                shape,
                UnixMillis(0),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use geopush_model::TenantId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_zone_is_valid_and_both_kinds_are_there() {
        let town = Town::new(3, 500);
        let zones = town.zones(TenantId(Uuid::nil())).unwrap();
        let circles = zones.iter().filter(|zone| matches!(zone.shape, Shape::Circle { .. })).count();
        assert_eq!((zones.len(), circles), (500, 400));
        assert_eq!(town.features().len(), 500);
    }

    #[test]
    fn a_fix_says_whose_and_which_it_is() {
        let town = Town::new(3, 10);
        for phone in [0, 1, 1_999] {
            for (step, sent) in town.route(phone).take(5).enumerate() {
                let position = Position::new(sent.place.lon, sent.place.lat).unwrap();
                let fix = Fix { accuracy_m: Some(ACCURACY_M), ..Fix::at(position, UnixMillis(sent.time_ms)) };
                let device = DeviceId::new(&Town::phone(phone).device).unwrap();
                assert_eq!(step_of(&device, &fix), Some((phone, step as u64)));
                assert!(sent.is(&fix));
                assert!(!sent.is(&Fix { time: fix.time.plus_ms(1), ..fix.clone() }));
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_town() {
        let fixes = |seed| Town::new(seed, 10).route(4).take(20).collect::<Vec<_>>();
        assert_eq!(fixes(1), fixes(1));
        assert_ne!(fixes(1), fixes(2));
        assert_eq!(Town::new(1, 50).features(), Town::new(1, 50).features());
        assert_ne!(Town::new(1, 50).features(), Town::new(2, 50).features());
    }
}
