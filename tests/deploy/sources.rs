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
    // Of the calls whose metric is a variable.
    let mut of_variables: Option<BTreeSet<String>> = None;
    for name in MACROS {
        for (at, _) in source.match_indices(name) {
            let call = until_closed(&source[at + name.len()..]);
            let (metric, labels) = call.split_once(',').unwrap_or((call, ""));
            let metric = metric.trim();
            let labels = labels_of(labels);
            if metric.trim_start_matches('*') == "name" {
                of_variables.get_or_insert_default().extend(labels);
            } else if let Some(metric) = metric.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
                && is_ours(metric)
            {
                found.entry(metric.to_owned()).or_default().extend(labels);
            }
        }
    }
    // Their metrics are in tables of the same file, at the beginning of a row.
    if let Some(labels) = of_variables {
        for row in source.split("(\"").skip(1) {
            let metric = row.split('"').next().unwrap_or_default();
            if is_ours(metric) {
                found.entry(metric.to_owned()).or_default().extend(labels.clone());
            }
        }
    }
}

fn is_ours(metric: &str) -> bool {
    let named = metric.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    named && metric.starts_with("geopush_") && !metric.starts_with("geopush_test_")
}

/// Every second piece is a string; a label is followed by an arrow.
fn labels_of(call: &str) -> BTreeSet<String> {
    let pieces: Vec<&str> = call.split('"').collect();
    let strings = pieces.windows(2).skip(1).step_by(2);
    strings.filter(|pair| pair[1].trim_start().starts_with("=>")).map(|pair| pair[0].to_owned()).collect()
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
