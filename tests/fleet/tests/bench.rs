//! Small runs of the parts of the pipeline bench that need servers, so that they keep working: everything is consumed,
//! and what comes out is right. Speeds are looked at by people.

use clap::Parser;
use geopush_bench::pipeline::{Options, run};
use geopush_bench::report::Report;
use geopush_fleet::{shared_cql, shared_kafka};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn small(arguments: &str) -> Report {
    let scratch = tempfile::tempdir().expect("there is room for files");
    let scratch_is = format!(" --scratch {}", scratch.path().display());
    let options = Cli::parse_from(format!("bench {arguments}{scratch_is}").split_whitespace()).options;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let report = runtime.expect("threads start").block_on(run(&options)).expect("the bench runs");
    assert!(report.passed(), "{:#?}", report.checks);
    report
}

#[test]
fn the_evaluator_and_the_null_stages_work_off_the_same_backlog_on_kafka() {
    let kafka = shared_kafka();
    let report =
        small(&format!("--only kafka --rounds 1 --pings 3000 --phones 100 --zones 60 --kafka {kafka}"));
    assert_eq!((report.goals.len(), report.checks.len()), (2, 3));
}

#[test]
fn the_record_stage_and_the_driver_write_the_same_rows() {
    let cql = shared_cql();
    let report = small(&format!("--only store --rounds 1 --deliveries 500 --cql {cql}"));
    assert_eq!((report.goals.len(), report.checks.len()), (1, 1));
}

#[test]
fn every_ping_of_a_fleet_under_load_ends_as_it_must() {
    let (kafka, cql) = (shared_kafka(), shared_cql());
    let report = small(&format!(
        "--only fleet --seconds 8 --steps 2 --step-seconds 0.5 --first-rate 100 --phones 40 --zones 60 \
         --connections 8 --kafka {kafka} --cql {cql}"
    ));
    assert_eq!((report.goals.len(), report.checks.len()), (2, 4));
    assert!(report.latencies[0].count > 0, "{:?}", report.latencies[0]);
}
