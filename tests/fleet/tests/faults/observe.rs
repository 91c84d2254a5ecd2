//! What there is to see: waits until everything has come to rest, then collects it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use geopush_log::{Cursor, Received, SharedLog, Topic, Until};
use geopush_model::{Delivery, DeviceId, Push, Transition, Wire};
use geopush_sandbox::Sandbox;
use serde_json::Value;

use crate::history::{End, Seen, Send, Taken, Told};
use crate::http::{Client, RECOVERY};
use crate::merchant::look;
use crate::scene::END_ZONE;

const WAIT: Duration = Duration::from_millis(200);
/// Nothing new for so long is rest.
const REST: Duration = Duration::from_secs(4);
/// Pushes that are taken from the sandbox at a time.
const PAGE: usize = 10_000;

/// Waits until every phone has come to the end, every send is done, and nothing more is told; or for
/// [`RECOVERY`], and then the checker says what is missing.
pub fn wait_for_rest(api: &Client, phones: &BTreeSet<DeviceId>, sends: &mut [Send]) {
    let deadline = Instant::now() + RECOVERY;
    let (mut last, mut since) = (usize::MAX, Instant::now());
    while Instant::now() < deadline && since.elapsed() < REST {
        std::thread::sleep(Duration::from_millis(500));
        let at_end = phones.iter().filter(|device| is_at_end(api, device)).count();
        let done =
            sends.iter_mut().filter_map(|send| look(api, send)).filter(|told| told.pending == 0).count();
        let is_over = at_end == phones.len() && done == sends.len();
        let rows: usize = phones.iter().map(|device| api.rows(&deliveries(device)).len()).sum();
        if !is_over || rows != last {
            (last, since) = (rows, Instant::now());
        }
    }
}

fn is_at_end(api: &Client, device: &DeviceId) -> bool {
    let told = api.insist(200, "GET", &format!("/v1/devices/{device}/transitions?limit=1&order=desc"), None);
    told["data"][0]["zone_external_id"] == END_ZONE
}

fn deliveries(device: &DeviceId) -> String {
    format!("/v1/devices/{device}/deliveries")
}

/// What the API tells of each device.
pub fn told(api: &Client, phones: &BTreeSet<DeviceId>) -> BTreeMap<DeviceId, Told> {
    let of = |device: &DeviceId| {
        let presence = api.insist(200, "GET", &format!("/v1/devices/{device}/presence"), None);
        let zone = |row: &Value| row["zone_id"].as_str().expect("an id").to_owned();
        Told {
            transitions: api.rows(&format!("/v1/devices/{device}/transitions?order=asc")),
            deliveries: api.rows(&deliveries(device)),
            present_in: presence["data"].as_array().expect("data").iter().map(zone).collect(),
        }
    };
    phones.iter().map(|device| (device.clone(), of(device))).collect()
}

/// Reads the topics to their ends.
pub async fn topics(log: &SharedLog) -> Seen {
    let end = |record: &Received, delivery: Delivery| End { durable_at_ms: record.appended_at_ms, delivery };
    // A push that waits for its retry has not ended.
    let is_end = |end: &End| end.delivery.outcome.is_end();
    Seen {
        pings: records(log, Topic::Pings, |_, ping| ping).await,
        transitions: records(log, Topic::Transitions, |_, transition: Transition| transition).await,
        pushes: records(log, Topic::Pushes, |_, push: Push| (push.id, push.origin.cause)).await,
        ends: records(log, Topic::Deliveries, end).await.into_iter().filter(is_end).collect(),
        ..Seen::default()
    }
}

async fn records<W: Wire, T>(log: &SharedLog, topic: Topic, keep: impl Fn(&Received, W) -> T) -> Vec<T> {
    let beginnings =
        (0..log.partitions(topic)).map(|partition| Cursor { topic, partition, offset: 0 }).collect();
    let mut reader = log.read(beginnings, Until::Now).await.expect("the topic can be read");
    let mut all = Vec::new();
    while !reader.done() {
        for record in
            reader.next(WAIT).await.expect("the topic can be read on").into_iter().flat_map(|page| page.1)
        {
            let Some(value) = record.value.as_ref() else { continue };
            all.push(keep(&record, W::decode(value).expect("a record that can be decoded")));
        }
    }
    all
}

/// Everything that the providers' stand-ins took.
pub fn taken(sandbox: &Sandbox) -> Vec<Taken> {
    let mut all = Vec::new();
    loop {
        let page = sandbox.sent_after(all.len() as u64, PAGE);
        if page.is_empty() {
            return all;
        }
        all.extend(page.into_iter().map(|sent| Taken {
            push: sent.push_id.and_then(|id| id.parse().ok()),
            token: sent.token,
            at_ms: sent.received_at.as_millisecond(),
        }));
    }
}
