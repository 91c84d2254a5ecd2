//! The first thing that people run works, on any ports, and ends by itself when told to.

use std::process::Command;

#[test]
fn the_demo_pushes_and_ends_cleanly() {
    let ended = Command::new(env!("CARGO_BIN_EXE_geopush"))
        .args(["demo", "--phones", "300", "--zones", "200", "--every", "1", "--for", "10"])
        .output()
        .expect("the binary runs");
    let shown = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{shown}\n{}", String::from_utf8_lossy(&ended.stderr));
    assert!(shown.contains("API docs") && shown.contains("transitions"), "{shown}");
}

#[test]
fn a_wrong_configuration_is_told_whole_and_nothing_is_started() {
    let ended = Command::new(env!("CARGO_BIN_EXE_geopush"))
        .args(["run", "--role", "cook", "--ingest-adr", ":0", "--log-partitions=many"])
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1));
    for part in ["--role", "did you mean --ingest-addr", "--log-partitions", "3 errors"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
