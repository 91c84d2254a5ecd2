//! What is done to the processes, and when: planned from a seed, then done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::topology::Topology;

/// Something that is done at a time, in ms from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Act {
    pub at_ms: u64,
    pub what: What,
    /// Its index among the topology's processes.
    pub process: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Kill,
    /// After a kill, or an extra process's first.
    Start,
    Stop,
    Resume,
    /// SIGTERM: an extra process goes, and others get its partitions.
    Leave,
}

/// What may be done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Always there, but for kills and stops.
    Regular,
    /// Comes and goes.
    Extra,
}

/// How hard it is.
#[derive(Clone, Copy, Debug)]
pub struct Hardness {
    pub kills: usize,
    /// The shortest and longest that a process is stopped.
    pub stop_ms: (u64, u64),
    /// The shortest and longest pause between two faults.
    pub pause_ms: (u64, u64),
}

/// How long a process is gone after a kill.
const DOWN_MS: (u64, u64) = (100, 4_000);
/// How long an extra process stays.
const VISIT_MS: (u64, u64) = (6_000, 15_000);
/// After a fault a process is left alone for so long: one that never comes up shows nothing.
const REST_MS: u64 = 3_000;

/// A plan: so many kills, with stops and visits of extra processes between them, each process under one fault at a
/// time.
pub fn plan(parts: &[Part], hardness: Hardness, random: &mut StdRng) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut busy_until: BTreeMap<usize, u64> = BTreeMap::new();
    let (mut now_ms, mut kills) = (2_000, 0);
    while kills < hardness.kills {
        now_ms += within(hardness.pause_ms, random);
        let free: Vec<usize> = (0..parts.len())
            .filter(|process| busy_until.get(process).is_none_or(|until| *until < now_ms))
            .collect();
        let Some(&process) = free.choose(random) else { continue };
        let (first, second, lasts_ms) = match parts[process] {
            Part::Extra => (What::Start, What::Leave, within(VISIT_MS, random)),
            Part::Regular if random.random_bool(0.3) => {
                (What::Stop, What::Resume, within(hardness.stop_ms, random))
            }
            Part::Regular => {
                kills += 1;
                (What::Kill, What::Start, within(DOWN_MS, random))
            }
        };
        acts.push(Act { at_ms: now_ms, what: first, process });
        acts.push(Act { at_ms: now_ms + lasts_ms, what: second, process });
        busy_until.insert(process, now_ms + lasts_ms + REST_MS);
    }
    acts.sort();
    acts
}

fn within((least, most): (u64, u64), random: &mut StdRng) -> u64 {
    random.random_range(least..=most)
}

/// How many of each were done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub kills: usize,
    pub stops: usize,
    pub moves: usize,
}

/// Does what is planned. In the end every regular process runs, and no extra one.
pub fn carry_out(plan: &[Act], topology: &Topology, progress: impl Fn(&Act, &str)) -> Done {
    let (began, mut done) = (Instant::now(), Done::default());
    for act in plan {
        let at = began + Duration::from_millis(act.at_ms);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let process = &topology.processes[act.process].process;
        progress(act, &process.name);
        match act.what {
            What::Kill => {
                process.kill();
                done.kills += 1;
            }
            What::Start => process.start(),
            What::Stop => {
                process.stop();
                done.stops += 1;
            }
            What::Resume => process.resume(),
            What::Leave => {
                process.terminate();
                // Its coming moved them, too.
                done.moves += 2;
            }
        }
    }
    done
}

#[test]
fn a_plan_has_its_kills_puts_everything_right_again_and_is_the_same_for_the_same_seed() {
    let parts = [Part::Regular, Part::Regular, Part::Extra, Part::Regular];
    let hardness = Hardness { kills: 40, stop_ms: (2_000, 15_000), pause_ms: (300, 2_500) };
    let of = |seed| plan(&parts, hardness, &mut crate::scene::random(seed, 0));
    for seed in 0..50 {
        let acts = of(seed);
        assert_eq!(acts, of(seed));
        assert_eq!(acts.iter().filter(|act| act.what == What::Kill).count(), 40);
        let mut runs = parts.map(|part| (part == Part::Regular, true));
        for act in &acts {
            let (is_running, goes) = &mut runs[act.process];
            match act.what {
                What::Kill => assert!(std::mem::replace(is_running, false) && *goes),
                What::Start => assert!(!std::mem::replace(is_running, true)),
                What::Stop => assert!(std::mem::replace(goes, false) && *is_running),
                What::Resume => assert!(!std::mem::replace(goes, true) && *is_running),
                What::Leave => assert!(std::mem::replace(is_running, false) && *goes),
            }
        }
        assert_eq!(runs, parts.map(|part| (part == Part::Regular, true)));
    }
}
