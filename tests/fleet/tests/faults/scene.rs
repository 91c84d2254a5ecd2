//! A small town: zones that overlap, and where phones go. All by chance that can be had again.

use std::f64::consts::TAU;

use geopush_geometry::{Position, Shape};
use geopush_model::{Fix, TenantId, UnixMillis, Zone, ZoneId};
use geopush_service::time::parse_rfc3339_ms;
use geopush_simulator::{Place, Walker, Way};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

const CENTRE: Place = Place { lat: 41.3874, lon: 2.1686 };
const HALF_WIDTH_M: f64 = 600.0;
/// Where every phone goes in the end, and nobody before.
const END: Place = Place { lat: -30.0, lon: -30.0 };
/// The end's zone by its merchant's name.
pub const END_ZONE: &str = "end";
/// Phones' clocks begin so long ago, and go faster than ours.
const BEGINS_BEFORE_MS: i64 = 18 * 3_600_000;

/// Chance of one purpose, apart from that of others.
pub fn random(seed: u64, purpose: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(purpose))
}

/// Bodies of `POST /v1/zones`.
pub fn zones(count: usize, random: &mut StdRng) -> Vec<Value> {
    let mut zones: Vec<Value> = (0..count)
        .map(|i| {
            let name = format!("zone-{i}");
            let mut zone =
                json!({"external_id": name, "name": name, "shape": shape(random), "tags": ["all"]});
            if random.random_bool(0.5) {
                zone["exit_buffer_m"] = json!([0.0, 5.0, 60.0].choose(random).expect("three"));
            }
            if random.random_bool(0.5) {
                zone["dwell_s"] = json!([20, 60, 300].choose(random).expect("three"));
            }
            if random.random_bool(0.3) {
                zone["max_accuracy_m"] = json!(50);
            }
            zone
        })
        .collect();
    let shape = json!({"type": "circle", "center": [END.lon, END.lat], "radius_m": 100});
    zones.push(json!({"external_id": END_ZONE, "name": END_ZONE, "shape": shape, "tags": ["all"]}));
    zones
}

/// A zone's body as its merchant may want it next: moved, of another size, away, or there again.
pub fn changed(told: &Value, random: &mut StdRng) -> Value {
    let mut next = json!({"tags": ["all"]});
    for member in ["external_id", "name", "shape", "exit_buffer_m", "dwell_s", "max_accuracy_m", "active"] {
        if !told[member].is_null() {
            next[member] = told[member].clone();
        }
    }
    let is_active = told["active"] != json!(false);
    next["active"] = json!(!is_active || random.random_bool(0.8));
    if random.random_bool(0.7) {
        next["shape"] = shape(random);
    }
    next
}

fn shape(random: &mut StdRng) -> Value {
    let mut offset = || random.random_range(-HALF_WIDTH_M..HALF_WIDTH_M);
    let middle = CENTRE.offset(offset(), offset());
    let radius_m = 40.0 * 8.0_f64.powf(random.random::<f64>());
    if random.random_bool(0.5) {
        return json!({"type": "circle", "center": [middle.lon, middle.lat], "radius_m": radius_m});
    }
    let corners = random.random_range(5..24);
    let mut ring: Vec<[f64; 2]> = (0..corners)
        .map(|i| {
            let (sin, cos) = (TAU * f64::from(i) / f64::from(corners)).sin_cos();
            let r = radius_m * random.random_range(0.5..1.0);
            let corner = middle.offset(r * cos, r * sin);
            [corner.lon, corner.lat]
        })
        .collect();
    ring.push(ring[0]);
    json!({"type": "Polygon", "coordinates": [ring]})
}

/// A zone as the API told it, for the reference.
pub fn zone(tenant: TenantId, told: &Value) -> Zone {
    Zone {
        external_id: told["external_id"].as_str().map(str::to_owned),
        exit_buffer_m: told["exit_buffer_m"].as_f64(),
        dwell_s: told["dwell_s"].as_i64(),
        max_accuracy_m: told["max_accuracy_m"].as_f64(),
        active: told["active"].as_bool().expect("active or not"),
        version: told["version"].as_i64().expect("a version"),
        updated_at: UnixMillis(
            parse_rfc3339_ms(told["updated_at"].as_str().expect("a time")).expect("a time"),
        ),
        ..Zone::new(
            tenant,
            ZoneId(told["id"].as_str().expect("an id").parse().expect("a UUID")),
            "",
            Shape::from_json(&told["shape"]).expect("a shape that was accepted"),
            UnixMillis(0),
        )
    }
}

/// A phone's route, request by request.
pub struct Route {
    walker: Walker,
    random: StdRng,
    time_ms: i64,
    now_ms: i64,
    /// Of the request before.
    last: Vec<Fix>,
}

impl Route {
    /// The way of phone `number`; `now_ms` is when the run begins.
    pub fn new(seed: u64, number: u64, now_ms: i64) -> Self {
        let mut random = random(seed, 1_000 + number);
        let way = if random.random_bool(0.5) { Way::Walking } else { Way::Driving };
        let walker = Walker::new(random.random(), CENTRE, HALF_WIDTH_M, way);
        Self { walker, random, time_ms: now_ms - BEGINS_BEFORE_MS, now_ms, last: Vec::new() }
    }

    /// The next request: some fixes, in any order, with one that was sent before now and then.
    pub fn next(&mut self) -> Vec<Fix> {
        let count = self.random.random_range(1..=6);
        let mut fixes: Vec<Fix> = (0..count).map(|_| self.step()).collect();
        if self.random.random_bool(0.2)
            && let Some(again) = self.last.choose(&mut self.random)
        {
            fixes.push(again.clone());
        }
        self.last = fixes.clone();
        let middle = self.random.random_range(0..fixes.len());
        fixes.rotate_left(middle);
        fixes
    }

    fn step(&mut self) -> Fix {
        let seconds = self.random.random_range(2.0..20.0);
        let place = self.walker.step(seconds);
        self.advance((seconds * 1_000.0) as i64);
        let accuracy_m =
            *[None, None, Some(15.0), Some(60.0), Some(210.0)].choose(&mut self.random).expect("five");
        Fix { accuracy_m, ..fix_at(place, self.time_ms) }
    }

    /// The last request: the phone is at the end.
    pub fn end(&mut self) -> Vec<Fix> {
        self.advance(1_000);
        vec![fix_at(END, self.time_ms)]
    }

    /// No later than a phone's clock may be; a run that lasts that long goes on in slow motion.
    fn advance(&mut self, ms: i64) {
        self.time_ms = std::cmp::max((self.time_ms + ms).min(self.now_ms), self.time_ms + 1);
    }
}

fn fix_at(place: Place, time_ms: i64) -> Fix {
    Fix::at(Position::new(place.lon, place.lat).expect("a position"), UnixMillis(time_ms))
}

/// The body of `POST /v1/pings`.
pub fn body(device: &str, fixes: &[Fix]) -> Value {
    let ping = |fix: &Fix| {
        let mut ping = json!({"lat": fix.position.lat, "lon": fix.position.lon, "time": fix.time.0});
        if let Some(accuracy_m) = fix.accuracy_m {
            ping["accuracy_m"] = json!(accuracy_m);
        }
        ping
    };
    json!({"device_id": device, "pings": fixes.iter().map(ping).collect::<Vec<_>>()})
}
