//! The real binary with the sandbox, after phones came by.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::json;

use crate::support::until;
use crate::support::world::{INSIDE, OUTSIDE, World, now_ms};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The binary, with no variables of ours from around the test.
pub fn geopush() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_geopush"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GEOPUSH_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A system that phones came by, shared by the tests that run at the same time. The last to let go of it ends it.
pub fn visited() -> Arc<World> {
    static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let world = Arc::new(World::start());
        let_phones_come_by(&world);
        *shared = Arc::downgrade(&world);
        world
    })
}

/// `/metrics`, as Prometheus reads it.
pub fn scrape(world: &World) -> String {
    world.house.admin().get("/metrics").as_str().expect("a page of text").to_owned()
}

/// Phones of both providers come by a shop and go on, each with a fix that none can have made; waits until each has
/// its push and every stage has told of itself.
fn let_phones_come_by(world: &World) {
    let zone = world.circle(&json!({}));
    world.campaign("enter", &zone, &json!({}));
    let phones = [("android", "a-token".to_owned()), ("ios", "ab".repeat(32))];
    let now = now_ms();
    for (platform, token) in &phones {
        let device = json!({"platform": platform, "app": "shop", "push_token": token});
        world.ingest.call("PUT", &format!("/v1/devices/{platform}"), &[], Some(&device)).expect("an answer");
        for (seconds_ago, at) in [(30, OUTSIDE), (20, INSIDE), (10, OUTSIDE)] {
            world.ping(platform, at, now - seconds_ago * 1_000);
        }
        let nowhere = json!({"device_id": platform, "pings": [{"lat": 91, "lon": 2, "time": now}]});
        world.ingest.expect(202, "POST", "/v1/pings", Some(&nowhere));
    }
    until("each phone has its push", || (world.sandbox.sent().len() == phones.len()).then_some(()));
    until("each stage says how far it is behind", || {
        let scrape = scrape(world);
        let tells = |stage| scrape.contains(&format!("geopush_stage_lag_seconds{{stage=\"{stage}\""));
        ["geofence", "plan", "expand", "send", "record"].into_iter().all(tells).then_some(())
    });
}
