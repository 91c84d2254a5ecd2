//! The metrics that the sources count, also those that no quiet run shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const FOLDERS: [&str; 6] =
    ["crates", "ingest/src", "geofence/src", "dispatcher/src", "control-api/src", "src"];
const MACROS: [&str; 3] = ["counter!(", "gauge!(", "histogram!("];

/// Each metric that is named where it is counted, with the labels that are named there too.
pub fn metrics(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for folder in FOLDERS {
        visit(&root.join(folder), &mut found);
    }
    assert!(found.len() > 20, "the sources' metrics are not where this test looks: {found:?}");
    found
}

fn visit(path: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            visit(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|ext| ext == "rs")
        && !path.components().any(|c| c.as_os_str() == "tests")
    {
        read(&fs::read_to_string(path).unwrap(), found);
    }
}

fn read(source: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for name in MACROS {
        for (at, _) in source.match_indices(name) {
            let call = until_closed(&source[at + name.len()..]);
            // Every second piece is a string; the first is the name, and a label is followed by an arrow.
            let pieces: Vec<&str> = call.split('"').collect();
            let [before, metric, labels @ ..] = pieces.as_slice() else { continue };
            if !before.trim().is_empty()
                || !metric.starts_with("geopush_")
                || metric.starts_with("geopush_test_")
            {
                continue;
            }
            let strings = labels.windows(2).skip(1).step_by(2);
            let labels =
                strings.filter(|pair| pair[1].trim_start().starts_with("=>")).map(|pair| pair[0].to_owned());
            found.entry((*metric).to_owned()).or_default().extend(labels);
        }
    }
}

/// Up to the parenthesis that closes the call.
fn until_closed(call: &str) -> &str {
    let mut depth = 1;
    let end = call.find(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &call[..end.unwrap_or(call.len())]
}
