//! Faults: phones walk, a merchant changes zones and sends messages, and meanwhile processes are killed and stopped
//! and come and go. Afterwards everything that was asked, answered and seen must be the history of a right system.
//!
//! `FAULTS_SEED=n` repeats a plan (processes keep their own pace, so not every run to the letter), `FAULTS_KILLS=n`
//! sets its length, `FAULTS_PHONES=n` its load, `FAULTS_TALLY=1` adds the run to `tests/faults/kills.csv`. What a
//! failed run leaves behind is in `target/faults/`.

mod binary;
mod check;
mod crowd;
mod history;
mod http;
mod merchant;
mod nemesis;
mod observe;
mod phones;
mod process;
mod run;
mod scene;
mod tally;
mod topology;

use std::sync::{Mutex, MutexGuard, PoisonError};

use nemesis::Hardness;
use run::Run;
use topology::Shape;

/// A fleet with its servers is as much as two processors carry: one at a time.
static FLEET: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    FLEET.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seed() -> u64 {
    number("FAULTS_SEED").unwrap_or_else(|| rand::random_range(0..1_000_000))
}

fn number(variable: &str) -> Option<u64> {
    let given = std::env::var(variable).ok()?;
    Some(given.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn kills(otherwise: usize) -> usize {
    number("FAULTS_KILLS").map_or(otherwise, |kills| kills as usize)
}

/// How many phones walk.
fn phones() -> usize {
    number("FAULTS_PHONES").map_or(24, |phones| phones as usize)
}

#[test]
fn one_process_that_is_killed_and_stopped_loses_nothing_and_does_nothing_twice() {
    let hardness = Hardness { kills: kills(10), stop_ms: (200, 4_000), pause_ms: (500, 2_500) };
    // Nobody else can have looked before.
    Run { shape: Shape::Embedded, seed: seed(), hardness, phones: phones(), zones: 14, handover_ms: 0 }
        .judge();
}

#[test]
fn a_fleet_whose_processes_are_killed_stopped_and_moved_loses_nothing_and_does_nothing_twice() {
    let _alone = alone();
    // Longer than Kafka waits for a member, too.
    let hardness = Hardness { kills: kills(6), stop_ms: (2_000, 15_000), pause_ms: (500, 4_000) };
    Run { shape: Shape::Fleet, seed: seed(), hardness, phones: phones(), zones: 14, handover_ms: 5_000 }
        .judge();
}
