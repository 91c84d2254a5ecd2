//! A small run of the end-to-end bench, so that it keeps working: the whole system, over HTTP, checked.

use geopush_bench::e2e::{Options, run};
use geopush_bench::report::Report;

#[test]
fn a_small_run_is_right_and_measures_every_stage() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options {
        rate: Some(200),
        duration: Some(2.0),
        warmup: Some(0.5),
        phones: Some(60),
        zones: 60,
        batch: 2,
        connections: 8,
        seed: 5,
        quick: true,
        scratch: scratch.path().to_owned(),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("bench-load").build().unwrap();
    let report = runtime.block_on(run(&options)).unwrap();
    assert!(report.passed(), "{:#?}", report.checks);
    for latency in &report.latencies {
        assert!(latency.count > 0 && latency.max_us > 0, "nothing was measured of {}", latency.stage);
    }
    assert_eq!(report.value("requests"), Some(250.0));
    assert_eq!(report.value("requests not accepted"), Some(0.0));
    assert!(report.value("pushes to be suppressed").unwrap() > 0.0, "some phones want no pushes");
    assert!(report.value("data directory").unwrap() > 0.0);
    let [json, _] = report.write(scratch.path()).unwrap();
    assert_eq!(Report::read(&json).unwrap(), report);
}
