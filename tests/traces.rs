//! Recorded traces through the real binary: its transitions are the reference's, one by one and under the same ids,
//! whatever is sent twice, in whichever order between devices, and however often the process is killed on the way.
//!
//! `GEOPUSH_LONG=1` takes the traces whole, `SEED=n` repeats a run.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use geopush_model::TenantId;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};
use support::client::Client;
use support::house::{House, Keys, Sandbox};
use support::scene::{self, Requests};
use support::{seed, until, world};

const TRACE: &str = "traces/geolife.csv";
const PLACES: &str = "zones/us-places.geojson";
const ZONES: usize = 60;
const KILLS: usize = 10;

/// Two houses with the same tenant, zones, phones and campaign, in the state before the first ping; and what must
/// come of the pings.
struct Scene {
    keys: Keys,
    sandbox: Sandbox,
    house: House,
    requests: Requests,
    expected: BTreeMap<String, Vec<Value>>,
}

impl Scene {
    fn set(trace: &Path, places: &Path, random: &mut StdRng) -> Self {
        let share = if std::env::var_os("GEOPUSH_LONG").is_some() { 1.0 } else { 0.2 };
        let requests = scene::requests(trace, share, random);
        let sandbox = Sandbox::start();
        let mut house = House::new(&sandbox);
        let keys = house.tenant("traces");
        house.start();
        let api = house.api(&keys);
        for zone in scene::zones(&requests, ZONES, random) {
            api.expect(201, "POST", "/v1/zones", Some(&zone));
        }
        let places: Value = serde_json::from_slice(&std::fs::read(places).expect("places")).expect("GeoJSON");
        let report = api.expect(200, "POST", "/v1/zones/import", Some(&places));
        assert_eq!(
            (&report["created"], &report["failed"]),
            (&json!(684), &json!([])),
            "all places are imported"
        );
        let tenant = TenantId(keys.tenant.parse().expect("a UUID"));
        let zones = api.rows("/v1/zones").iter().map(|told| scene::zone(tenant, told)).collect::<Vec<_>>();
        assert_eq!(zones.len(), ZONES + 1 + 684);

        api.expect(201, "PUT", "/v1/apps/shop", Some(&sandbox.app));
        for device in requests.keys() {
            api.expect(201, "PUT", &format!("/v1/devices/{device}"), Some(&world::phone(device)));
        }
        let campaign = json!({
            "name": "every visit", "app": "shop", "message": {"title": "Hello", "body": "again"},
            "trigger": {"type": "zone", "on": "enter", "zone_tags": ["all"], "max_age_s": null, "on_initial": true},
        });
        let campaign = world::id(&api.expect(201, "POST", "/v1/campaigns", Some(&campaign)));
        api.expect(200, "POST", &format!("/v1/campaigns/{campaign}/activate"), None);
        assert!(house.terminate().success());

        let expected = scene::expected(tenant, zones, &requests);
        let count: usize = expected.values().map(Vec::len).sum();
        println!("{} requests, {count} transitions expected", requests.values().map(Vec::len).sum::<usize>());
        assert!(count > 100, "too few transitions to mean anything");
        Self { keys, sandbox, house, requests, expected }
    }

    /// The enters, each of which is a push.
    fn enters(&self) -> BTreeSet<&str> {
        let all = self.expected.values().flatten();
        all.filter(|row| row["kind"] == "enter").map(|row| row["id"].as_str().expect("an id")).collect()
    }

    /// The API tells every device's transitions as they are expected, no more and no fewer.
    fn assert_told(&self, api: &Client) {
        for (device, expected) in &self.expected {
            let end = expected.last().expect("every device comes to the end");
            let last = format!("/v1/devices/{device}/transitions?limit=1&order=desc");
            until(&format!("{device} comes to the end"), || {
                let told = api.insist(200, "GET", &last, None);
                (told["data"][0]["id"] == end["id"]).then_some(())
            });
            let told = api.rows(&format!("/v1/devices/{device}/transitions?order=asc"));
            for (told, expected) in told.iter().zip(expected) {
                assert_eq!(told, expected, "{device}");
            }
            assert_eq!(told.len(), expected.len(), "{device}");
        }
    }

    /// Every enter's push was accepted, by its row and at the sandbox. Gives how many came more than once.
    fn assert_pushed(&self, api: &Client, sent_before: usize) -> usize {
        let enters = self.enters();
        let rows = until("every push has its row", || {
            let devices = self.requests.keys();
            let rows: Vec<Value> =
                devices.flat_map(|device| api.rows(&format!("/v1/devices/{device}/deliveries"))).collect();
            (rows.len() >= enters.len()).then_some(rows)
        });
        let causes: BTreeSet<&str> =
            rows.iter().map(|row| row["cause_id"].as_str().expect("a cause")).collect();
        assert_eq!((rows.len(), &causes), (enters.len(), &enters), "each enter is decided once");
        for row in &rows {
            assert_eq!(row["outcome"], "accepted", "{row}");
        }
        let text = |row: &Value| row["push_id"].as_str().expect("a push id").to_owned();
        let decided: BTreeSet<String> = rows.iter().map(text).collect();
        let sent: Vec<String> = self.sandbox.sent()[sent_before..].iter().map(text).collect();
        assert_eq!(
            sent.iter().cloned().collect::<BTreeSet<_>>(),
            decided,
            "what was sent is what was decided"
        );
        sent.len() - decided.len()
    }
}

/// Posts a request until it is answered, as a phone does.
fn post(ingest: &Client, device: &str, request: &[geopush_model::Fix]) {
    let answer = ingest.insist(202, "POST", "/v1/pings", Some(&scene::body(device, request)));
    assert_eq!(answer, json!({"accepted": request.len(), "rejected": []}));
}

#[test]
fn a_recorded_trace_gives_the_references_transitions_even_when_everything_is_doubled_shuffled_and_killed() {
    let name = "recorded traces against the reference";
    let (Some(trace), Some(places)) = (scene::data(TRACE, name), scene::data(PLACES, name)) else { return };
    let mut random = scene::random(seed());
    let mut scene = Scene::set(&trace, &places, &mut random);
    let mut rough = scene.house.copy();

    scene.house.start();
    let (api, ingest) = (scene.house.api(&scene.keys), scene.house.ingest(&scene.keys));
    for (device, requests) in &scene.requests {
        requests.iter().for_each(|request| post(&ingest, device, request));
    }
    scene.assert_told(&api);
    assert_eq!(scene.assert_pushed(&api, 0), 0, "each push is sent once");
    assert!(scene.house.terminate().success());

    let sent_before = scene.sandbox.sent().len();
    rough.start();
    feed_roughly(&mut rough, &scene, &mut random);
    let api = rough.api(&scene.keys);
    scene.assert_told(&api);
    // A push whose answer died with the process is sent again, under the same id.
    let again = scene.assert_pushed(&api, sent_before);
    println!("{again} pushes were sent again after {KILLS} kills");
    let most = KILLS * 100;
    assert!(again <= most, "{again} pushes were sent again: more than can be under way at {KILLS} kills");
}

/// Everything twice, devices in a shuffled order, and the process killed on the way.
fn feed_roughly(house: &mut House, scene: &Scene, random: &mut StdRng) {
    let mut turns: Vec<&str> = Vec::new();
    for (device, requests) in &scene.requests {
        turns.extend(std::iter::repeat_n(device.as_str(), requests.len()));
    }
    turns.shuffle(random);
    let (total, posted) = (2 * turns.len(), AtomicUsize::new(0));
    let ingest = house.ingest(&scene.keys);
    std::thread::scope(|threads| {
        let (posted, requests) = (&posted, &scene.requests);
        let phones = threads.spawn(move || {
            let mut next: BTreeMap<&str, std::slice::Iter<'_, _>> =
                requests.iter().map(|(device, requests)| (device.as_str(), requests.iter())).collect();
            for device in turns {
                let request = next.get_mut(device).and_then(Iterator::next).expect("a turn for each request");
                for _ in 0..2 {
                    post(&ingest, device, request);
                    posted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        for kill in 1..=KILLS {
            until(&format!("share {kill} is posted"), || {
                let enough = posted.load(Ordering::Relaxed) * (KILLS + 1) >= total * kill;
                (enough || phones.is_finished()).then_some(())
            });
            house.kill();
            house.start();
        }
        phones.join().expect("every request is answered in the end");
    });
}
