//! The stage on a real log: crashes, repeats, zones and devices that go while it is down.

mod fixtures;

use std::collections::BTreeMap;
use std::time::Duration;

use fixtures::site::{DAY_MS, PARTITIONS, PATIENCE, START, Site};
use fixtures::*;
use geopush_log::{Cursor, Event, Record, Topic, TraceId, Until, partition_of};
use geopush_model::{DeviceState, Fix, Ping, PingKind, TransitionKind, UnixMillis, Wire, Zone};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn shop() -> Zone {
    zone(1, circle(0.0, 100.0))
}

fn at(name: &str, time_s: i64, east_m: f64) -> Ping {
    ping(name, START, vec![Fix::at(east(east_m), START.plus_ms(time_s * 1000))])
}

fn forget(name: &str) -> Ping {
    Ping { kind: PingKind::Forget, ..ping(name, START, Vec::new()) }
}

/// Walks along the zones: devices that come, go, stay and repeat themselves.
struct Walks {
    random: StdRng,
    at: Vec<(i64, f64)>,
}

impl Walks {
    fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), at: vec![(0, 0.0); 12] }
    }

    fn pings(&mut self, count: usize) -> Vec<Ping> {
        (0..count).map(|_| self.ping()).collect()
    }

    fn ping(&mut self) -> Ping {
        let number = self.random.random_range(0..self.at.len());
        if self.random.random_ratio(1, 60) {
            return forget(&format!("d{number}"));
        }
        let (time_s, east_m) = &mut self.at[number];
        *time_s += [60, 60, 60, 1, 0, -120][self.random.random_range(0..6)];
        *east_m = (*east_m + self.random.random_range(-90.0..90.0)).clamp(-300.0, 900.0);
        let mut ping = at(&format!("d{number}"), *time_s, *east_m);
        if let PingKind::Fixes(fixes) = &mut ping.kind
            && self.random.random_ratio(1, 5)
        {
            fixes[0].accuracy_m = Some(300.0);
        }
        ping
    }
}

fn zones() -> [Zone; 3] {
    let dwelling = Zone { dwell_s: Some(120), ..zone(2, circle(150.0, 120.0)) };
    [shop(), dwelling, zone(3, circle(600.0, 200.0))]
}

async fn crash_all_the_time(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut site = Site::new().await;
    let mut walks = Walks::new(seed);
    for zone in zones() {
        site.zone(zone).await;
    }
    let mut zone = shop();
    for round in 0..4 {
        site.pings(&walks.pings(150)).await;
        for _ in 0..4 {
            let running = site.run();
            let enough = site.seen.len() + random.random_range(0..30);
            while site.seen.len() < enough.min(site.expected.len()) {
                site.next_transitions().await;
            }
            // Somewhere in the flushes, too.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
            running.crash().await;
        }
        let running = site.run();
        site.pass_markers().await;
        site.settle().await;
        if random.random() {
            running.crash().await;
        } else {
            running.stop().await;
        }
        // While it is down: zones change, and pings come that see the change.
        zone = match round {
            0 => edited(&zone, START.0 / 1000, |z| z.shape = circle(400.0, 100.0)),
            1 => edited(&zone, START.0 / 1000, |z| z.deleted = true),
            _ => edited(&zone, START.0 / 1000, |z| (z.deleted, z.shape) = (false, circle(0.0, 150.0))),
        };
        site.zone(zone.clone()).await;
    }
    let running = site.run();
    site.pass_markers().await;
    site.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_at_any_moment_change_no_transition_and_no_id() {
    let seed: u64 = rand::random();
    for seed in [1, 2, seed] {
        println!("seed {seed}");
        crash_all_the_time(seed).await;
    }
}

#[tokio::test]
async fn every_batch_sent_twice_gives_the_same_transitions() {
    let mut site = Site::new().await;
    for zone in zones() {
        site.zone(zone).await;
    }
    let running = site.run();
    let pings: Vec<_> =
        Walks::new(5).pings(300).into_iter().filter(|ping| ping.kind != PingKind::Forget).collect();
    for batch in pings.chunks(20) {
        site.pings(batch).await;
        let before = site.expected.len();
        site.pings(batch).await;
        assert_eq!(site.expected.len(), before, "the reference does not repeat itself either");
    }
    site.pass_markers().await;
    site.settle().await;
    running.stop().await;
}

#[tokio::test]
async fn a_removed_zone_is_left_by_all_within_it_though_nobody_pings() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    let names: Vec<_> = (0..2_500).map(|i| format!("d{i}")).collect();
    site.pings(&names.iter().map(|name| at(name, 0, 0.0)).collect::<Vec<_>>()).await;
    site.settle().await;
    site.zone(edited(&shop(), START.0 / 1000 + 5, |z| z.deleted = true)).await;
    site.settle().await;
    assert_eq!(site.seen.len(), 5_000);
    running.stop().await;
}

#[tokio::test]
async fn a_crash_amid_the_exits_of_a_removed_zone_leaves_none_out() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    let names: Vec<_> = (0..5_000).map(|i| format!("d{i}")).collect();
    site.pings(&names.iter().map(|name| at(name, 0, 0.0)).collect::<Vec<_>>()).await;
    site.settle().await;
    site.zone(edited(&shop(), START.0 / 1000 + 5, |z| z.deleted = true)).await;
    site.next_transitions().await;
    running.crash().await;
    let running = site.run();
    site.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_sees_every_zone_that_was_there_before_it() {
    let mut site = Site::new().await;
    let running = site.run();
    site.pass_markers().await;
    for number in 1..200 {
        site.zone(zone(number, circle(number as f64 * 10.0, 10.0))).await;
        site.pings(&[at(&format!("d{number}"), 0, number as f64 * 10.0)]).await;
    }
    site.settle().await;
    running.stop().await;
}

#[tokio::test]
async fn a_zone_deleted_while_the_stage_is_down_is_left_when_it_is_back() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    site.pings(&[at("d1", 0, 0.0), at("d2", 0, 500.0)]).await;
    site.settle().await;
    running.crash().await;
    site.zone(edited(&shop(), START.0 / 1000 + 60, |z| z.active = false)).await;
    let running = site.run();
    site.settle().await;
    assert_eq!(line(&site.seen[1]), format!("2 exit z1 @{} v2 zone_removed after 60", START.0 / 1000 + 60));
    running.stop().await;
}

#[tokio::test]
async fn an_inaccurate_last_fix_is_no_reason_to_leave_at_a_restart() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    site.pings(&[at("d1", 0, 0.0)]).await;
    site.settle().await;
    // Seen by the stage before the vague fix, and by the restore after it.
    site.zone(edited(&shop(), START.0 / 1000, |z| z.name = "new".into())).await;
    let vague = Fix { accuracy_m: Some(900.0), ..Fix::at(east(5_000.0), START.plus_ms(60_000)) };
    site.pings(&[ping("d1", START, vec![vague])]).await;
    site.pass_markers().await;
    running.crash().await;
    let running = site.run();
    site.pings(&[at("d1", 120, 0.0)]).await;
    site.pass_markers().await;
    site.settle().await;
    running.stop().await;
}

#[tokio::test]
async fn a_device_forgotten_while_the_stage_is_down_begins_anew() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    site.pings(&[at("d1", 100, 0.0), at("d2", 100, 500.0)]).await;
    site.pass_markers().await;
    running.crash().await;
    let again = |name| ping(name, START.plus_ms(1), vec![Fix::at(east(0.0), START.plus_ms(50_000))]);
    site.pings(&[forget("d1"), forget("d2"), again("d1"), again("d2")]).await;
    let running = site.run();
    site.pass_markers().await;
    site.settle().await;
    let enters = site.seen.iter().filter(|t| t.kind == TransitionKind::Enter && t.zone == shop().id);
    assert_eq!(enters.filter(|t| t.initial && t.seq == 1).count(), 3);
    running.crash().await;
    // The old incarnation must not come back from a bucket.
    let running = site.run();
    site.pings(&[at("d1", 99, 500.0), at("d2", 99, 500.0)]).await;
    site.pass_markers().await;
    site.settle().await;
    running.stop().await;
}

#[tokio::test]
async fn a_silent_member_expires_by_the_clock_and_only_then() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    site.pings(&[at("d1", 0, 0.0), at("d2", 0, 500.0)]).await;
    site.settle().await;
    site.clock.set(START.0 + DAY_MS - 1);
    site.pass_markers().await;
    site.check();
    site.clock.set(START.0 + DAY_MS);
    let expired = site.reference.silence(UnixMillis(START.0 + DAY_MS));
    assert_eq!(expired.len(), 1 + PARTITIONS as usize, "d1 and the markers");
    site.expected.extend(expired);
    site.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_expires_nobody() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    site.pings(&[at("d1", 0, 0.0)]).await;
    site.settle().await;
    running.crash().await;
    // Two days of pings that nobody consumed; so many that silences are looked for on the way.
    site.pings(&vec![at("d1", 0, 0.0); 5_000]).await;
    let hourly = (1..=48).map(|hour| {
        let time = START.plus_ms(hour * 3_600_000);
        ping("d1", time, vec![Fix::at(east(0.0), time)])
    });
    site.pings(&hourly.collect::<Vec<_>>()).await;
    site.clock.set(START.0 + 2 * DAY_MS + 60_000);
    let running = site.run();
    let leaving = START.plus_ms(2 * DAY_MS + 120_000);
    site.pings(&[ping("d1", leaving, vec![Fix::at(east(500.0), leaving)])]).await;
    site.settle().await;
    assert_eq!(site.seen.len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn an_undecodable_ping_is_rejected_and_blocks_nothing() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    let key = at("d1", 0, 0.0).key().to_bytes();
    let garbage = Record::new(Topic::Pings, key.clone(), "no ping");
    site.log.append(vec![garbage, Record::tombstone(Topic::Pings, key)]).await.unwrap();
    site.pings(&[at("d1", 0, 0.0)]).await;
    site.settle().await;
    running.stop().await;
    let rejected = site.read(Topic::Rejected).await;
    assert_eq!(rejected.len(), 2);
    assert!(rejected.iter().all(|record| record.key == "geopush.pings"));
}

#[tokio::test]
async fn a_pings_trace_follows_to_its_transitions() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let trace = TraceId::parse("0af7651916cd43dd8448eb211c80319c");
    let ping = at("d1", 0, 0.0);
    site.log
        .append(vec![Record::new(Topic::Pings, ping.key().to_bytes(), ping.encode()).traced(trace)])
        .await
        .unwrap();
    site.expected.extend(site.reference.ping(&ping));
    let running = site.run();
    site.settle().await;
    running.stop().await;
    let received = site.read(Topic::Transitions).await;
    assert_eq!((received.len(), received[0].trace), (1, trace));
    assert_eq!(received[0].key, ping.key().to_bytes());
}

#[tokio::test]
async fn pings_that_change_nothing_write_nothing_of_their_own() {
    let mut site = Site::new().await;
    site.config.flush_interval = Duration::from_secs(3_600);
    site.zone(shop()).await;
    let running = site.run();
    site.pings(&[at("d1", 0, 0.0)]).await;
    let standing: Vec<_> = (1..500).map(|i| at("d1", i, 10.0)).collect();
    site.pings(&standing).await;
    site.pass_markers().await;
    site.settle().await;
    running.stop().await;
    let states = site.read(Topic::DeviceState).await;
    assert_eq!(states.len(), 1 + PARTITIONS as usize, "one for d1's enter and one for each marker's");
}

#[tokio::test]
async fn a_clean_stop_leaves_nothing_to_evaluate_again() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    site.pings(&[at("d1", 0, 0.0)]).await;
    site.pass_markers().await;
    site.pings(&[at("d1", 1, 0.0), at("d1", 2, 0.0)]).await;
    site.pass_markers().await;
    running.stop().await;
    let mut group = site.log.join("geofence", &[Topic::Pings]).await.unwrap();
    let event = tokio::time::timeout(PATIENCE, group.next()).await.unwrap().unwrap();
    let Event::Given(given) = event else { panic!("{event:?}") };
    for slice in given {
        let end = site.log.end(Topic::Pings, slice.slice).await.unwrap();
        assert_eq!(slice.positions, [end], "slice {}", slice.slice);
    }
    group.leave().await;
}

#[tokio::test]
async fn a_device_silent_for_thirty_days_is_removed_from_the_changelog() {
    let mut site = Site::new().await;
    site.zone(shop()).await;
    let running = site.run();
    site.pings(&[at("d1", 0, 0.0), at("d1", 60, 500.0)]).await;
    site.settle().await;
    site.clock.set(START.0 + 30 * DAY_MS);
    // The tombstone of its own record tells that it is forgotten.
    let key = at("d1", 0, 0.0).key();
    let partition = partition_of(&key.to_bytes(), PARTITIONS);
    let cursor = Cursor { topic: Topic::DeviceState, partition, offset: 0 };
    let mut reader = site.log.read(vec![cursor], Until::Never).await.unwrap();
    let mut latest = BTreeMap::new();
    while !matches!(latest.get(&key.to_bytes()), Some(None)) {
        let next = reader.next(PATIENCE).await.unwrap().expect("a tombstone in time");
        latest.extend(next.1.into_iter().map(|record| (record.key, record.value)));
    }
    running.stop().await;
    for record in site.read(Topic::DeviceState).await {
        latest.insert(record.key, record.value);
    }
    let left: Vec<_> =
        latest.into_values().flatten().map(|value| DeviceState::decode(&value).unwrap()).collect();
    assert!(left.iter().all(|state| state.devices.is_empty()), "{left:?}");
}
