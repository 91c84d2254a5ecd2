//! A merchant with an app, a zone and a phone: what most journeys begin with.

use std::sync::Arc;

use geopush_service::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::client::Client;
use super::house::{House, Keys, Sandbox};
use super::until;
use super::wall_clock::WallClock;

/// The middle of the zone that [`World::circle`] makes.
pub const INSIDE: (f64, f64) = (41.3851, 2.1734);
/// Some kilometres away.
pub const OUTSIDE: (f64, f64) = (41.45, 2.25);

/// A running system with one tenant and its app, `shop`.
pub struct World {
    pub house: House,
    pub keys: Keys,
    pub api: Client,
    pub ingest: Client,
    pub sandbox: Sandbox,
}

impl World {
    pub fn start() -> Self {
        Self::start_by(None)
    }

    /// Going by this clock, if any.
    pub fn start_by(clock: Option<&Arc<WallClock>>) -> Self {
        let sandbox = Sandbox::start_by(clock.map(Arc::as_ref));
        let mut house = House::new(&sandbox);
        if let Some(clock) = clock {
            house.go_by(Arc::clone(clock));
        }
        let keys = house.tenant("merchant");
        house.start();
        let (api, ingest) = (house.api(&keys), house.ingest(&keys));
        api.insist(201, "PUT", "/v1/apps/shop", Some(&sandbox.app));
        Self { house, keys, api, ingest, sandbox }
    }

    /// A zone of 150 m round [`INSIDE`], with these further members. Gives its id.
    pub fn circle(&self, more: &Value) -> String {
        let shape = json!({"type": "circle", "center": [INSIDE.1, INSIDE.0], "radius_m": 150});
        let mut zone = json!({"name": "shop", "shape": shape});
        zone.as_object_mut().expect("an object").extend(more.as_object().expect("members").clone());
        id(&self.api.expect(201, "POST", "/v1/zones", Some(&zone)))
    }

    /// An active campaign on a zone, with these further members of its trigger. Gives its id.
    pub fn campaign(&self, on: &str, zone: &str, more: &Value) -> String {
        let mut trigger = json!({"type": "zone", "on": on, "zone_ids": [zone]});
        trigger.as_object_mut().expect("an object").extend(more.as_object().expect("members").clone());
        let campaign = json!({
            "name": format!("on {on}"), "app": "shop", "trigger": trigger,
            "message": {"title": "Hello", "body": "A coffee is on us", "data": {"offer": "7"}},
        });
        let id = id(&self.api.expect(201, "POST", "/v1/campaigns", Some(&campaign)));
        let active = self.api.expect(200, "POST", &format!("/v1/campaigns/{id}/activate"), None);
        assert_eq!(active["status"], "active");
        id
    }

    /// A phone that agrees to everything, with the token `token-{device}`.
    pub fn phone(&self, device: &str) {
        let body = phone(device);
        let path = format!("/v1/devices/{device}");
        let answer = self.api.call("PUT", &path, &[], Some(&body)).expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.status, answer.body);
    }

    /// One fix, at a time in ms.
    pub fn ping(&self, device: &str, at: (f64, f64), time_ms: i64) {
        let fix = json!({"lat": at.0, "lon": at.1, "time": time_ms, "accuracy_m": 5});
        let answer =
            self.ingest.expect(202, "POST", "/v1/pings", Some(&json!({"device_id": device, "pings": [fix]})));
        assert_eq!(answer, json!({"accepted": 1, "rejected": []}));
    }

    /// A device's transitions once there are so many, in order.
    pub fn transitions(&self, device: &str, count: usize) -> Vec<Value> {
        let path = format!("/v1/devices/{device}/transitions?order=asc");
        let rows = until(&format!("{count} transitions of {device}"), || {
            let rows = self.api.rows(&path);
            (rows.len() >= count).then_some(rows)
        });
        assert_eq!(rows.len(), count, "{rows:#?}");
        rows
    }

    /// The zones that a device is in, by what is told of its presence.
    pub fn present_in(&self, device: &str) -> Vec<String> {
        let presence = self.api.get(&format!("/v1/devices/{device}/presence"));
        let zones = presence["data"].as_array().expect("data").iter();
        zones.map(|row| row["zone_id"].as_str().expect("an id").to_owned()).collect()
    }
}

/// The body of a phone that agrees to everything.
pub fn phone(device: &str) -> Value {
    json!({
        "platform": "android", "app": "shop", "push_token": format!("token-{device}"), "locale": "ca-ES",
        "timezone": "Europe/Madrid", "attributes": {"plan": "gold"}, "tags": ["vip"],
        "consents": {"push": true, "location": true},
    })
}

pub fn id(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

/// Now, in ms since the epoch.
pub fn now_ms() -> i64 {
    SystemClock.now_ms()
}
