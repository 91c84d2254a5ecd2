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

/// The least share of fixes that their device's safe box answers, and the most zones that the others are compared
/// with, a fix.
const COUNTS: [(&str, f64, f64); 6] = [
    ("realistic", 0.97, 0.004),
    ("realistic, all standing", 0.99, 0.003),
    ("random places in a country", 0.0, 0.45),
    ("12 deep", 0.28, 14.0),
    ("crowded, 2000 zones of 10 m", 0.24, 1.2),
    ("polygons, realistic", 0.72, 0.2),
];

#[test]
fn a_small_run_is_right_and_holds_every_promise_against_a_number() {
    let options = Cli::parse_from(["bench", "--scale", "0.002", "--seed", "5"]).options;
    let report = run(&options).unwrap();
    assert!(report.passed(), "{:#?}", report.checks);
    assert!(report.checks[0].compared > 100, "{:#?}", report.checks);
    for goal in &report.goals {
        assert!(goal.value.is_finite(), "{}: {}", goal.name, goal.value);
    }
    // What a ping costs is mostly how seldom zones are asked: counts, which are the same on every machine.
    for (scenario, least_safe, most_tests) in COUNTS {
        let of = |what: &str| report.value(&format!("{scenario}: {what}")).unwrap();
        let (safe, tests) = (of("answered by the safe box"), of("exact tests"));
        assert!(safe >= least_safe && tests <= most_tests, "{scenario}: {safe}, {tests}; {}", table(&report));
    }
    assert_eq!(report.goals.len(), 57, "{}", table(&report));
    let scratch = tempfile::tempdir().unwrap();
    let [json, _] = report.write(scratch.path()).unwrap();
    assert_eq!(Report::read(&json).unwrap(), report);
}
