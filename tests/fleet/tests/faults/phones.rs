//! Phones that walk about and tell where they are: each request again and again until it is answered.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use geopush_model::{DeviceId, Fix};
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use crate::history::{Fate, Phone, Request};
use crate::http::{Client, Place, RECOVERY};
use crate::scene::{self, Route};

/// Between two requests of a phone.
const PAUSE_MS: (u64, u64) = (20, 250);
/// Between two tries of a request.
const AGAIN_MS: (u64, u64) = (20, 300);
/// One in so many phones wants no pushes.
const SHY: usize = 5;

/// What phones have done by now.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: AtomicU64,
    pub fixes: AtomicU64,
    pub tries_again: AtomicU64,
}

/// The name and the registration of phone `number`.
pub fn phone(number: usize) -> (DeviceId, Phone, Value) {
    let name = format!("phone-{number}");
    let token = format!("token-{number}");
    let wants_pushes = !number.is_multiple_of(SHY);
    let body = json!({
        "platform": "android", "app": "shop", "push_token": token, "locale": "ca-ES",
        "timezone": "Europe/Madrid", "consents": {"push": wants_pushes, "location": true},
    });
    let device = DeviceId::new(&name).expect("a device id");
    (device, Phone { token, wants_pushes, requests: Vec::new() }, body)
}

/// What a phone needs to be on its way.
pub struct Walk<'a> {
    pub doors: &'a [Client],
    pub counts: &'a Counts,
    pub stop: &'a AtomicBool,
    /// When the run began.
    pub began: Instant,
}

impl Walk<'_> {
    /// Until it is told to stop; then it goes to the end.
    pub fn go(&self, device: &DeviceId, mut route: Route, mut random: StdRng) -> Vec<Request> {
        let mut requests = Vec::new();
        loop {
            let is_last = self.stop.load(Ordering::Relaxed);
            let fixes = if is_last { route.end() } else { route.next() };
            let sent = self.began.elapsed().as_micros() as u64;
            let fate = self.post(device, &fixes, &mut random);
            self.counts.requests.fetch_add(1, Ordering::Relaxed);
            self.counts.fixes.fetch_add(fixes.len() as u64, Ordering::Relaxed);
            requests.push(Request { fixes, sent, fate });
            if is_last || fate == Fate::Unknown {
                return requests;
            }
            pause(PAUSE_MS, &mut random);
        }
    }

    fn post(&self, device: &DeviceId, fixes: &[Fix], random: &mut StdRng) -> Fate {
        let body = scene::body(device.as_str(), fixes);
        let deadline = Instant::now() + RECOVERY;
        while Instant::now() < deadline {
            let door = self.doors.choose(random).expect("there is a door");
            match door.call("POST", "/v1/pings", &[], Some(&body)) {
                Ok(answer) if answer.status == 202 => {
                    let all = json!({"accepted": fixes.len(), "rejected": []});
                    assert_eq!(answer.body, all, "{device}: every fix is a good one");
                    return Fate::Accepted;
                }
                Ok(answer) if answer.status != 429 && answer.status < 500 => {
                    panic!("{device}: a good request was answered {}: {}", answer.status, answer.body);
                }
                Ok(_) | Err(_) => {
                    self.counts.tries_again.fetch_add(1, Ordering::Relaxed);
                    pause(AGAIN_MS, random);
                }
            }
        }
        Fate::Unknown
    }
}

fn pause((least, most): (u64, u64), random: &mut StdRng) {
    std::thread::sleep(Duration::from_millis(random.random_range(least..=most)));
}

/// A client for each door.
pub fn doors(places: &[Place], key: &str) -> Vec<Client> {
    places.iter().map(|place| Client::new(place, Some(key))).collect()
}
