//! The bench of the dispatcher runs, counts what it should, and finds everything right.
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use geopush_bench::dispatch::{Options, Part, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_run_is_right_and_tells_of_every_goal() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options {
        only: vec![Part::Plan, Part::Send, Part::Memory],
        rounds: 1,
        causes: 2_000,
        pushes: 2_000,
        many: 4_000,
        devices: 500,
        connections: 2,
        streams: 20,
        scratch: scratch.path().to_owned(),
        program: Some(env!("CARGO_BIN_EXE_geopush-bench").into()),
    };
    let report = run(&options).await.unwrap();
    assert!(report.passed(), "{:?}", report.checks);
    for goal in ["plan stage", "stage / h2load", "a second and core", "half load", "loses", "memory"] {
        assert!(report.goals.iter().any(|told| told.name.contains(goal)), "{goal}: {:?}", report.goals);
    }
    assert!(report.value("send: pushes").unwrap() > 0.0);
}
