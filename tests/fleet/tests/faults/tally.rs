//! One line a run, kept in the project when that is asked for.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::time::format_rfc3339_ms;

use crate::binary::GIVEN;
use crate::history::History;
use crate::nemesis::Done;

const HEADER: &str =
    "date,commit,topology,seed,kills,stops,moves,fixes,transitions,pushes,sent_again,violations";

/// What a run came to.
pub struct Tally {
    topology: &'static str,
    seed: u64,
    done: Done,
    fixes: usize,
    transitions: usize,
    pushes: usize,
    sent_again: usize,
    violations: usize,
}

impl Tally {
    pub fn of(topology: &'static str, seed: u64, done: Done, history: &History, violations: usize) -> Self {
        let requests = history.asked.phones.values().flat_map(|phone| &phone.requests);
        let pushes = history.seen.pushes.len();
        Self {
            topology,
            seed,
            done,
            fixes: requests.map(|request| request.fixes.len()).sum(),
            transitions: history.seen.transitions.len(),
            pushes,
            sent_again: history.seen.taken.len().saturating_sub(pushes),
            violations,
        }
    }

    /// Adds it to the project's file if `FAULTS_TALLY` is 1.
    pub fn keep_if_asked(&self) {
        if std::env::var("FAULTS_TALLY").is_ok_and(|asked| asked == "1") {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../faults/kills.csv");
            let is_new = !path.exists();
            let mut file = File::options().create(true).append(true).open(&path).expect("the tally opens");
            if is_new {
                writeln!(file, "{HEADER}").expect("the tally is written");
            }
            let day = format_rfc3339_ms(SystemClock.now_ms());
            let Done { kills, stops, moves } = self.done;
            let Self { topology, seed, fixes, transitions, pushes, sent_again, violations, .. } = self;
            writeln!(
                file,
                "{},{},{topology},{seed},{kills},{stops},{moves},{fixes},{transitions},{pushes},{sent_again},{violations}",
                &day[..10],
                commit(),
            )
            .expect("the tally is written");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topology, seed, done: Done { kills, stops, moves }, fixes, transitions, pushes, .. } =
            self;
        write!(
            f,
            "{topology}, seed {seed}: {kills} kills, {stops} stops, {moves} moves; {fixes} fixes, {transitions} \
             transitions, {pushes} pushes, {} sent again; {} violations",
            self.sent_again, self.violations
        )
    }
}

/// What was tested, `+` for changes that were not committed; a binary that was given says nothing of its origin.
fn commit() -> String {
    if std::env::var_os(GIVEN).is_some() {
        return "given".to_owned();
    }
    let said = Command::new("git").args(["describe", "--always", "--exclude=*", "--dirty=+"]).output();
    let said = said.ok().filter(|said| said.status.success());
    said.map_or("unknown".to_owned(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}
