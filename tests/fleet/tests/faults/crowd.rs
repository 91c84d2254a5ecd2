//! A send to thousands by dispatchers that are killed at random, one or both, and told of by an API that is, too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use geopush_sandbox::{Options, Sandbox};
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use tempfile::TempDir;

use crate::http::{Client, Crowd, until};
use crate::run::say;
use crate::scene::random;
use crate::topology::{Shape, Topology};

const PHONES: usize = 2_000;
/// How often what is counted is looked at, since a killed process's counts are gone.
const LOOK: Duration = Duration::from_millis(50);
/// The purpose of chance.
const CROWD: u64 = 7;

/// Processes that die together.
const VICTIMS: [&[&str]; 4] =
    [&["dispatcher-1"], &["dispatcher-2"], &["dispatcher-1", "dispatcher-2"], &["control-api"]];

#[test]
fn a_send_to_thousands_by_a_fleet_adds_up_through_kills_and_repeats_only_what_it_counts() {
    let _alone = crate::alone();
    let (seed, kills) = (crate::seed(), crate::kills(2));
    say(&format!("a crowd: FAULTS_SEED={seed} FAULTS_KILLS={kills}"));
    let mut random = random(seed, CROWD);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sandbox = runtime.block_on(Sandbox::start(Options::default())).expect("the sandbox starts");
    let dir = TempDir::new().expect("a directory");
    let topology = Topology::start(Shape::Senders, sandbox, dir.path());
    let api = Client::new(&topology.api(), Some(&topology.keys.secret));
    let mut crowd = Crowd::begin(&api, topology.sandbox.app_json(), PHONES);
    let (is_over, topology) = (AtomicBool::new(false), &topology);
    let done = std::thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                topology.look();
                topology.scrape();
                std::thread::sleep(LOOK);
            }
        });
        let sending = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for kill in 0..kills {
                let sent = topology.sandbox.sent_count() as usize;
                let enough = (sent + random.random_range(100..500)).min(crowd.reachable());
                until("more pushes are taken", || {
                    crowd.look();
                    (topology.sandbox.sent_count() as usize >= enough).then_some(())
                });
                let victims = *VICTIMS.choose(&mut random).expect("four");
                say(&format!("kill {kill}, after {}: {victims:?}", topology.sandbox.sent_count()));
                let processes =
                    || topology.regular().filter(|process| victims.contains(&process.name.as_str()));
                processes().for_each(|process| process.kill());
                processes().for_each(|process| process.start());
            }
            until("the send is done", || crowd.look().filter(|send| send["status"] == "done"))
        }));
        is_over.store(true, Ordering::Relaxed);
        sending.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    topology.scrape();
    let taken = topology.sandbox.sent_after(0, usize::MAX).into_iter();
    let again = crowd.judge(&done, taken.map(|sent| sent.push_id.expect("every push has its id")));
    let counted = topology.uncertain();
    say(&format!("{again} went out again, {counted} were counted as maybe sent"));
    assert!(
        again <= counted,
        "FAULTS_SEED={seed}: {again} went out again, and {counted} may have, by the count"
    );
    topology.terminate();
}
