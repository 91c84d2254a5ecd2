//! A small run of the geofence bench, so that it keeps working: every scenario, its transitions checked.

use clap::Parser;
use geopush_bench::geofence::{Options, run};
use geopush_bench::report::Report;
use geopush_bench::table::table;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

#[test]
fn a_small_run_is_right_and_holds_every_promise_against_a_number() {
    let options = Cli::parse_from(["bench", "--scale", "0.002", "--seed", "5"]).options;
    let report = run(&options).unwrap();
    assert!(report.passed(), "{:#?}", report.checks);
    assert!(report.checks[0].compared > 100, "{:#?}", report.checks);
    for goal in &report.goals {
        assert!(goal.value.is_finite(), "{}: {}", goal.name, goal.value);
    }
    assert_eq!(report.goals.len(), 24, "{}", table(&report));
    let scratch = tempfile::tempdir().unwrap();
    let [json, _] = report.write(scratch.path()).unwrap();
    assert_eq!(Report::read(&json).unwrap(), report);
}
