//! What the engine must not know.

use std::path::Path;

/// Decisions take the time as an argument and do no I/O, so that they can be tested by tables and run anywhere.
const FORBIDDEN: [&str; 8] =
    ["tokio", "async", "geopush_log", "geopush_service", "std::time", "SystemTime", "Instant", "std::fs"];

#[test]
fn the_engine_knows_no_runtime_no_log_and_no_clock() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let mut files = 0;
    for entry in std::fs::read_dir(engine).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} mentions {word}", path.display());
        }
        files += 1;
    }
    assert!(files >= 6, "the engine's files were not found");
}
