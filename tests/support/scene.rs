//! A recorded trace, zones where it goes, and the transitions that it must give.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use geopush_geofence::engine::{Reference, Rules};
use geopush_geometry::{Position, Shape};
use geopush_model::{DeviceId, ExitReason, Fix, TenantId, Transition, UnixMillis, Zone, ZoneId};
use geopush_service::time::format_rfc3339_ms;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

/// Fixes of one request at most.
const BATCH: usize = 100;
/// Where nobody is before the end of the trace.
const END: (f64, f64) = (-30.0, -30.0);

/// Recorded data beside the repository; `None`, said aloud, where it is not.
pub fn data(name: &str, test: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    // Past the capture of passing tests' output.
    let _ = writeln!(std::io::stderr(), "DID NOT RUN: {test}: there is no {}", path.display());
    None
}

/// A phone's requests, in order; each is the fixes as they stand in its body.
pub type Requests = BTreeMap<String, Vec<Vec<Fix>>>;

/// Reads `device,time_ms,lat,lon` and cuts it into requests whose fixes are shuffled, with a few that come too late.
/// Of each device only the first share of its fixes is taken.
pub fn requests(csv: &Path, share: f64, random: &mut StdRng) -> Requests {
    let mut of_device: BTreeMap<String, Vec<Fix>> = BTreeMap::new();
    for row in csv::Reader::from_path(csv).expect("a trace").deserialize() {
        let (device, time_ms, lat, lon): (String, i64, f64, f64) = row.expect("a row of four");
        let position = Position::new(lon, lat).expect("a position");
        // Some are less accurate than zones ask for.
        let accuracy_m = *[None, None, Some(15.0), Some(60.0), Some(210.0)].choose(random).expect("five");
        let fix = Fix { accuracy_m, ..Fix::at(position, UnixMillis(time_ms)) };
        of_device.entry(device).or_default().push(fix);
    }
    let mut cut = |mut fixes: Vec<Fix>| {
        fixes.truncate((fixes.len() as f64 * share) as usize);
        let last = fixes.iter().map(|fix| fix.time.0).max().expect("a device has fixes");
        let mut requests = Vec::new();
        for (i, chunk) in fixes.chunks(BATCH).enumerate() {
            let mut request = chunk.to_vec();
            request.extend(fixes[..i * BATCH].sample(random, 3).cloned());
            request.shuffle(random);
            requests.push(request);
        }
        let end = Position::new(END.1, END.0).expect("a position");
        requests.push(vec![Fix::at(end, UnixMillis(last + 1_000))]);
        requests
    };
    of_device.into_iter().map(|(device, fixes)| (device, cut(fixes))).collect()
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

/// Bodies of `POST /v1/zones`: circles and polygons with holes where the phones go, and one where they end.
pub fn zones(requests: &Requests, count: usize, random: &mut StdRng) -> Vec<Value> {
    let fixes: Vec<&Fix> =
        requests.values().flatten().flatten().filter(|fix| fix.position.lat > 0.0).collect();
    let mut zones = Vec::new();
    for i in 0..count {
        let near = fixes.choose(random).expect("a fix").position;
        let radius_m = 30.0 * (2000.0_f64 / 30.0).powf(random.random::<f64>());
        let shape = match random.random_bool(0.5) {
            true => json!({"type": "circle", "center": [near.lon, near.lat], "radius_m": radius_m}),
            false => polygon(near, radius_m, random),
        };
        let mut zone = json!({"external_id": format!("zone-{i}"), "name": format!("zone {i}"), "shape": shape, "tags": ["all"]});
        if random.random_bool(0.5) {
            zone["exit_buffer_m"] = json!([0.0, 5.0, 150.0, 1000.0].choose(random).expect("four"));
        }
        if random.random_bool(0.5) {
            zone["dwell_s"] = json!([30, 300, 1800].choose(random).expect("three"));
        }
        if random.random_bool(0.3) {
            zone["max_accuracy_m"] = json!(50);
        }
        zones.push(zone);
    }
    let shape = json!({"type": "circle", "center": [END.1, END.0], "radius_m": 100});
    zones.push(json!({"external_id": "end", "name": "end", "shape": shape, "tags": ["all"]}));
    zones
}

/// A ring of as many corners as it likes, round another.
fn polygon(middle: Position, radius_m: f64, random: &mut StdRng) -> Value {
    let (north, east) = (1.0 / 111_000.0, 1.0 / (111_000.0 * middle.lat.to_radians().cos()));
    let mut ring = |least: f64, most: f64| {
        let corners = random.random_range(6..40);
        let mut ring: Vec<[f64; 2]> = (0..corners)
            .map(|i| {
                let (sin, cos) = (TAU * f64::from(i) / f64::from(corners)).sin_cos();
                let r = radius_m * random.random_range(least..most);
                [middle.lon + r * cos * east, middle.lat + r * sin * north]
            })
            .collect();
        ring.push(ring[0]);
        ring
    };
    json!({"type": "Polygon", "coordinates": [ring(0.6, 1.0), ring(0.1, 0.3)]})
}

/// A zone as the API told it, for the reference.
pub fn zone(tenant: TenantId, told: &Value) -> Zone {
    Zone {
        external_id: told["external_id"].as_str().map(str::to_owned),
        exit_buffer_m: told["exit_buffer_m"].as_f64(),
        dwell_s: told["dwell_s"].as_i64(),
        max_accuracy_m: told["max_accuracy_m"].as_f64(),
        version: told["version"].as_i64().expect("a version"),
        ..Zone::new(
            tenant,
            ZoneId(told["id"].as_str().expect("an id").parse().expect("a UUID")),
            "",
            Shape::from_json(&told["shape"]).expect("a shape that was accepted"),
            UnixMillis(0),
        )
    }
}

/// What the API must tell of each device's transitions, by the slow reference.
pub fn expected(tenant: TenantId, zones: Vec<Zone>, requests: &Requests) -> BTreeMap<String, Vec<Value>> {
    let mut reference = Reference::new(tenant, Rules::default());
    for zone in zones {
        reference.zone_changed(zone);
    }
    let mut all = BTreeMap::new();
    for (device, requests) in requests {
        let id = DeviceId::new(device).expect("a device id");
        let rows: &mut Vec<Value> = all.entry(device.clone()).or_default();
        for request in requests {
            let mut fixes = request.clone();
            fixes.sort_by_key(|fix| fix.time.0);
            for fix in &fixes {
                rows.extend(reference.fix(&id, fix, UnixMillis(0)).iter().map(row));
            }
        }
    }
    all
}

/// A transition as the API tells it.
fn row(transition: &Transition) -> Value {
    let fix = &transition.fix;
    json!({
        "id": transition.id.to_string(),
        "seq": transition.seq,
        "device_id": transition.device.as_str(),
        "zone_id": transition.zone.to_string(),
        "zone_external_id": transition.zone_external_id,
        "kind": transition.kind.as_str(),
        "at": format_rfc3339_ms(transition.at.0),
        "reason": transition.kind.reason().map(ExitReason::as_str),
        "initial": transition.initial,
        "dwell_s": transition.dwell_s,
        "zone_version": transition.zone_version,
        "fix": {
            "lat": fix.position.lat, "lon": fix.position.lon, "time": format_rfc3339_ms(fix.time.0),
            "accuracy_m": fix.accuracy_m,
        },
    })
}

/// Chance that can be had again.
pub fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
