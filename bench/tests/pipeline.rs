//! A small run of the part of the pipeline bench that needs no servers, so that it keeps working. The other parts' are
//! in `tests/fleet`.

use clap::Parser;
use geopush_bench::pipeline::{Options, run};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

#[test]
fn a_small_embedded_run_is_right_and_measures_what_is_promised() {
    let scratch = tempfile::tempdir().unwrap();
    let arguments = "bench --only embedded --seconds 1 --steps 2 --step-seconds 0.5 --first-rate 150 --phones 50 \
                     --zones 60 --connections 8 --seed 5 --scratch";
    let mut arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
    arguments.push(scratch.path().to_string_lossy().into_owned());
    let options = Cli::parse_from(arguments).options;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(run(&options)).unwrap();
    assert!(report.passed(), "{:#?}", report.checks);
    assert_eq!(report.checks.len(), 4, "pings, transitions, ends and extra pushes");
    let promised: Vec<_> = report.goals.iter().map(|goal| goal.name.as_str()).collect();
    assert_eq!(promised, ["ping to push, p50, embedded", "ping to push, p99, embedded"]);
    assert!(report.latencies[0].count > 0, "{:?}", report.latencies[0]);
}
