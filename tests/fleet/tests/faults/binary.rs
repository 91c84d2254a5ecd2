//! The binary of this build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Names the binary to test, where it is not the one of this build.
pub const GIVEN: &str = "FLEET_BINARY";

pub fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::var_os(GIVEN).map_or_else(built, PathBuf::from));
    &BINARY
}

/// Brought up to date first: cargo does not do it for a package that only runs it.
fn built() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built =
        Command::new(cargo).current_dir(&root).args(["build", "--locked", "--bin", "geopush"]).status();
    assert!(built.is_ok_and(|status| status.success()), "cargo build --bin geopush works");
    let target = geopush_fleet::home().parent().map(PathBuf::from).expect("a target directory");
    target.join("debug").join("geopush")
}
