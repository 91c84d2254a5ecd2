//! A zone with many devices in it goes: all of them leave, and nobody else waits for them.

mod fixtures;

use fixtures::site::{PARTITIONS, START, Site};
use fixtures::*;
use geopush_log::{Topic, partition_of};
use geopush_model::{ExitReason, Fix, Ping, Transition, TransitionKind, Wire, Zone};

/// Enough for every slice to judge them in many portions.
const MEMBERS: i64 = 4_000;

fn at(name: &str, time_s: i64, east_m: f64) -> Ping {
    ping(name, START, vec![Fix::at(east(east_m), START.plus_ms(time_s * 1000))])
}

async fn with_many_members() -> (Site, Zone) {
    let mut site = Site::new().await;
    let stadium = zone(1, circle(0.0, 500.0));
    site.zone(stadium.clone()).await;
    site.zone(zone(2, circle(5_000.0, 100.0))).await;
    let members: Vec<_> = (0..MEMBERS).map(|i| at(&format!("fan-{i}"), 0, (i % 400) as f64)).collect();
    site.pings(&members).await;
    let running = site.run();
    site.settle().await;
    running.stop().await;
    (site, stadium)
}

#[tokio::test]
async fn a_ping_does_not_wait_until_all_members_of_a_removed_zone_have_left_it() {
    let (mut site, stadium) = with_many_members().await;
    site.zone(edited(&stadium, 60, |z| z.deleted = true)).await;
    // One visitor of each slice, and a member whose own ping comes before its turn.
    let visitors: Vec<_> = (0..50).map(|i| at(&format!("visitor-{i}"), 61, 5_000.0)).collect();
    site.pings(&visitors).await;
    site.pings(&[at("fan-3999", 62, 5_000.0)]).await;
    let running = site.run();
    site.settle().await;
    running.stop().await;

    let transitions = site.read(Topic::Transitions).await;
    let mut waited = Vec::new();
    for partition in 0..PARTITIONS {
        let of_slice = transitions.iter().filter(|t| partition_of(&t.key, PARTITIONS) == partition);
        let of_slice: Vec<Transition> =
            of_slice.map(|t| Transition::decode(t.value.as_ref().unwrap()).unwrap()).collect();
        let visit = of_slice.iter().position(|t| t.device.as_str().starts_with("visitor"));
        let left = |t: &Transition| t.kind == TransitionKind::Exit(ExitReason::ZoneRemoved);
        let last = of_slice.iter().rposition(left);
        waited.push(visit.zip(last).is_none_or(|(visit, last)| visit > last));
    }
    assert!(!waited.contains(&true), "visitors came in after all members had left: {waited:?}");
}

#[tokio::test]
async fn a_crash_among_the_exits_loses_and_repeats_none() {
    let (mut site, stadium) = with_many_members().await;
    site.zone(edited(&stadium, 60, |z| z.shape = circle(5_000.0, 100.0))).await;
    let before = site.seen.len();
    for part in 1..4 {
        let running = site.run();
        while site.seen.len() < before + part * 900 {
            site.next_transitions().await;
        }
        running.crash().await;
    }
    let running = site.run();
    site.settle().await;
    site.pass_markers().await;
    site.check();
    running.stop().await;
}
