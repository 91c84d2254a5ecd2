//! A zone changes again and again while a device's pings are evaluated: whichever version a ping meets, the device was
//! judged by the change before.

mod fixtures;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fixtures::site::{START, Site};
use fixtures::*;
use geopush_log::{Record, Topic};
use geopush_model::{ExitReason, Fix, Ping, Transition, TransitionKind, Wire, Zone};

const PHONES: i64 = 20;
const ROUNDS: i64 = 1_500;
/// The zone is at the one place or at the other, and so is every phone.
const APART_M: f64 = 1_000.0;

/// Where a phone is at its fix number `round`, and where the zone is by its version.
fn place(number: i64) -> i64 {
    number % 2
}

fn round_of(fix: &Fix) -> i64 {
    fix.time.since_ms(START) / 1_000
}

fn pings() -> impl Iterator<Item = Ping> {
    (0..ROUNDS).flat_map(|round| {
        let fix = Fix::at(east(place(round) as f64 * APART_M), START.plus_ms(round * 1_000));
        (0..PHONES).map(move |phone| ping(&format!("phone-{phone}"), START, vec![fix.clone()]))
    })
}

fn moved(zone: &Zone) -> Zone {
    let there = place(zone.version + 1) as f64 * APART_M;
    edited(zone, START.0 / 1_000, |zone| zone.shape = circle(there, 100.0))
}

/// Each stay ends where it must: by the zone's move, or at the next fix, by a version in which the phone was until then.
fn check(phone: &str, transitions: &[&Transition]) -> usize {
    let mut stays = transitions.chunks(2);
    for stay in &mut stays {
        let [enter, exit] = stay else { break };
        let told = format!("{phone}: {}, then {}", line(enter), line(exit));
        let (came, went) = (round_of(&enter.fix), round_of(&exit.fix));
        assert_eq!(enter.kind, TransitionKind::Enter, "{told}");
        assert_eq!(place(came), place(enter.zone_version), "{told}");
        match exit.kind.reason() {
            Some(ExitReason::ZoneChanged) => assert_eq!(went, came, "{told}"),
            Some(ExitReason::Left) => {
                assert_eq!((went, place(exit.zone_version)), (came + 1, place(came)), "{told}");
            }
            _ => panic!("{told}"),
        }
    }
    transitions.len() / 2
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_judged_after_its_device_by_every_change_that_it_sees() {
    let mut site = Site::new().await;
    let first = zone(1, circle(place(1) as f64 * APART_M, 100.0));
    assert_eq!(first.version, 1);
    site.zone(first.clone()).await;
    let record = |ping: Ping| Record::new(Topic::Pings, ping.key().to_bytes(), ping.encode());
    site.log.append(pings().map(record).collect()).await.unwrap();
    let (log, is_over) = (Arc::clone(&site.log), Arc::new(AtomicBool::new(false)));
    let running = site.run();
    let over = Arc::clone(&is_over);
    let moving = tokio::spawn(async move {
        let mut zone = first;
        while !over.load(Ordering::Relaxed) {
            zone = moved(&zone);
            log.append(vec![Record::new(Topic::Zones, zone.id.to_string(), zone.encode())]).await.unwrap();
        }
        zone.version
    });
    site.pass_markers().await;
    is_over.store(true, Ordering::Relaxed);
    let versions = moving.await.unwrap();
    running.stop().await;

    let mut stays = 0;
    for phone in 0..PHONES {
        let phone = format!("phone-{phone}");
        let of_phone: Vec<_> = site.seen.iter().filter(|seen| seen.device.as_str() == phone).collect();
        stays += check(&phone, &of_phone);
    }
    println!("{stays} stays, {versions} versions");
    assert!(stays > 1_000 && versions > 10, "{stays} stays, {versions} versions: nothing was raced");
}
