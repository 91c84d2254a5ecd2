//! A zone with many devices in it goes: all of them leave, once.

mod fixtures;

use fixtures::site::{START, Site};
use fixtures::*;
use geopush_model::{Fix, Ping, Zone};

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
async fn everyone_leaves_a_removed_zone_once_whoever_pings_meanwhile() {
    let (mut site, stadium) = with_many_members().await;
    let running = site.run();
    site.zone(edited(&stadium, 60, |z| z.deleted = true)).await;
    for round in 0..10 {
        let own: Vec<_> = (0..50).map(|i| at(&format!("fan-{}", 77 * i + round), 61, 5_000.0)).collect();
        site.pings(&own).await;
    }
    site.settle().await;
    running.stop().await;
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
