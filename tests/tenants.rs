//! What an operator says of tenants on the command line.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn tenant(dir: &TempDir, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_geopush"));
    command.arg("tenant").args(words).arg("--data-dir").arg(dir.path());
    command.output().expect("the binary runs")
}

#[test]
fn a_tenant_is_given_its_weight_and_what_is_no_weight_or_tenant_is_told() {
    let dir = TempDir::new().expect("a directory");
    let made = tenant(&dir, &["create", "Shop"]);
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let id = made["tenant_id"].as_str().expect("an id");

    let given = tenant(&dir, &["weight", id, "3"]);
    assert!(given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
    let given: Value = serde_json::from_slice(&given.stdout).expect("JSON");
    assert_eq!((given["tenant_id"].as_str(), given["weight"].as_i64()), (Some(id), Some(3)));

    let nobody = "00000000-0000-4000-8000-000000000000";
    for (words, why) in [
        (["weight", id, "0"], "from 1 to 100"),
        (["weight", id, "101"], "from 1 to 100"),
        (["weight", nobody, "2"], "there is no tenant"),
    ] {
        let refused = tenant(&dir, &words);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(why), "{words:?}: {said}");
    }
}
