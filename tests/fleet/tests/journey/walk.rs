//! Phones that go in and out of a zone, and what must have come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use geopush_sandbox::Sandbox;
use geopush_service::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::http::{Client, until};

/// The middle of the zone.
pub const INSIDE: (f64, f64) = (41.3851, 2.1734);
/// Some kilometres away.
const OUTSIDE: (f64, f64) = (41.45, 2.25);
/// Between two fixes of a phone.
const PACE: Duration = Duration::from_millis(200);

/// The phones' names.
pub fn devices(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("phone-{i}")).collect()
}

/// Registers them, so that pushes have an address.
pub fn register(api: &Client, devices: &[String]) {
    for device in devices {
        let body = json!({"platform": "android", "app": "shop", "push_token": format!("token-{device}")});
        let path = format!("/v1/devices/{device}");
        until("a phone is registered", || {
            let answer = api.call("PUT", &path, &[], Some(&body)).ok()?;
            matches!(answer.status, 200 | 201).then_some(())
        });
    }
}

/// Walks in and out until `stop`, then once more outside; a fix that is not taken is sent again, to the next door.
/// Returns when the phone was where: every fix was answered 202.
pub fn walk(device: &str, doors: &[Client], stop: &AtomicBool) -> Vec<(i64, bool)> {
    let mut taken = Vec::new();
    let (mut inside, mut last_ms) = (false, 0);
    loop {
        let is_last = stop.load(Ordering::Relaxed) && inside;
        inside = !inside && !is_last;
        let at_ms = SystemClock.now_ms().max(last_ms + 1);
        last_ms = at_ms;
        let (lat, lon) = if inside { INSIDE } else { OUTSIDE };
        let body = json!({"device_id": device, "pings": [{"lat": lat, "lon": lon, "time": at_ms}]});
        let mut tries = 0..;
        until(&format!("a ping of {device} is taken"), || {
            let door = &doors[tries.next()? % doors.len()];
            let answer = door.call("POST", "/v1/pings", &[], Some(&body)).ok()?;
            assert!(answer.status == 202 || answer.status == 503, "{}: {}", answer.status, answer.body);
            (answer.status == 202).then_some(())
        });
        taken.push((at_ms, inside));
        if is_last {
            return taken;
        }
        std::thread::sleep(PACE);
    }
}

/// Waits for everything that must come of these walks, and fails when there is anything else: each device's
/// transitions in order, one push and one row a visit, nobody inside at the end. Returns how many visits there were.
pub fn check(api: &Client, sandbox: &Sandbox, walks: &BTreeMap<String, Vec<(i64, bool)>>) -> usize {
    let mut visits = 0;
    let mut rows_of_pushes = BTreeSet::new();
    for (device, walk) in walks {
        let mut expected: Vec<(&str, i64)> = Vec::new();
        for (at_ms, inside) in walk {
            match (*inside, expected.last()) {
                (true, None | Some(("exit", _))) => expected.push(("enter", *at_ms)),
                (false, Some(("enter", _))) => expected.push(("exit", *at_ms)),
                _ => {}
            }
        }
        let entered = expected.iter().filter(|(kind, _)| *kind == "enter").count();
        visits += entered;
        let path = format!("/v1/devices/{device}/transitions?order=asc");
        let rows = until(&format!("{device}'s transitions are told"), || {
            Some(api.rows(&path)).filter(|rows| rows.len() >= expected.len())
        });
        let told: Vec<(&str, i64)> = rows.iter().map(|row| (text(row, "kind"), time(row, "at"))).collect();
        assert_eq!(told, expected, "{device}");
        let seqs: Vec<i64> = rows.iter().map(|row| row["seq"].as_i64().expect("a seq")).collect();
        let count = i64::try_from(rows.len()).expect("few");
        assert_eq!(seqs, (1..=count).collect::<Vec<_>>(), "{device}");

        let path = format!("/v1/devices/{device}/deliveries");
        let rows = until(&format!("{device}'s deliveries are told"), || {
            Some(api.rows(&path)).filter(|rows| rows.len() >= entered)
        });
        assert_eq!(rows.len(), entered, "{device}: one push a visit: {rows:#?}");
        for row in &rows {
            assert_eq!(row["outcome"], "accepted", "{row}");
            assert!(rows_of_pushes.insert(text(row, "push_id").to_owned()), "two rows of one push: {row}");
        }
        until(&format!("{device} is in no zone"), || {
            let presence = api.insist(200, "GET", &format!("/v1/devices/{device}/presence"), None);
            (presence["data"] == json!([])).then_some(())
        });
    }
    let sent: BTreeSet<String> = sandbox
        .sent_after(0, usize::MAX)
        .into_iter()
        .map(|push| push.push_id.expect("every push carries its id"))
        .collect();
    assert_eq!(sent, rows_of_pushes, "what the provider took is what the rows say");
    visits
}

fn text<'a>(row: &'a Value, member: &str) -> &'a str {
    row[member].as_str().unwrap_or_else(|| panic!("no {member} in {row}"))
}

fn time(row: &Value, member: &str) -> i64 {
    geopush_service::time::parse_rfc3339_ms(text(row, member)).expect("a time")
}
