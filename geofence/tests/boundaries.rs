//! What the engine must not know.

use std::path::{Path, PathBuf};

/// Decisions take the time as an argument and do no I/O, so that they can be tested by tables and run anywhere.
const FORBIDDEN: [&str; 8] =
    ["tokio", "async", "geopush_log", "geopush_service", "std::time", "SystemTime", "Instant", "std::fs"];

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

#[test]
fn the_engine_knows_no_runtime_no_log_and_no_clock() {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine"), &mut files);
    assert!(files.len() >= 6, "the engine's files were not found");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} mentions {word}", path.display());
        }
    }
}
