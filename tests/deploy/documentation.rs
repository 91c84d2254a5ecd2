//! `docs/operations/`: the keys are those of the binary, the metrics those that are counted, the alerts those of the
//! rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use geopush::read_settings;
use geopush_service::config::Sources;

use crate::system::root;
use crate::watching;

const CONFIGURATION: &str = "docs/operations/configuration.md";
const METRICS: &str = "docs/operations/metrics.md";
const OPERATIONS: &str = "docs/operations/README.md";
/// Above this line people write, below it this test does.
const BEGINS: &str = "<!-- From here on written by tests/deploy.rs -->\n";

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_page_of_keys_says_what_the_binary_says() {
    let (_, description) = read_settings(Sources::default()).unwrap();
    let page = page(CONFIGURATION);
    let (written, keys) = page.split_once(BEGINS).expect("the page has its mark");
    let said = format!("\n{}", description.to_markdown());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join(CONFIGURATION), format!("{written}{BEGINS}{said}")).unwrap();
        return;
    }
    assert!(
        keys == said,
        "{CONFIGURATION} is not what the binary says; write it anew with\n  UPDATE_DOCS=1 cargo test --test deploy \
         the_page_of_keys"
    );
}

/// The tables' rows: a metric and its labels. `<server>` stands for each server of a process.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut documented = BTreeMap::new();
    for row in page(METRICS).lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        let name = cells[1].trim().trim_matches('`').to_owned();
        let labels = cells[2].split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect();
        assert!(documented.insert(name.clone(), labels).is_none(), "{name} stands there twice");
    }
    documented
}

#[test]
fn every_metric_is_documented_with_its_labels_and_none_that_is_not_there() {
    let mut counted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, labels) in watching::metrics() {
        let server = ["ingest", "api", "admin"].iter().find_map(|server| {
            name.strip_prefix(&format!("geopush_{server}_http_"))
                .map(|what| format!("geopush_<server>_http_{what}"))
        });
        counted.entry(server.unwrap_or(name)).or_default().extend(labels);
    }
    let documented = documented();
    let differ: Vec<String> = counted
        .keys()
        .chain(documented.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|name| counted.get(*name) != documented.get(*name))
        .map(|name| format!("{name}: counted {:?}, documented {:?}", counted.get(name), documented.get(name)))
        .collect();
    assert!(differ.is_empty(), "{METRICS} and the metrics differ:\n{}", differ.join("\n"));
}

#[test]
fn every_alert_says_where_it_is_explained_and_is_explained_there() {
    let page = page(OPERATIONS);
    for rule in watching::alerts() {
        let name = rule["alert"].as_str().unwrap();
        assert!(page.contains(&format!("\n### {name}\n")), "{OPERATIONS} has no section {name}");
        let anchor = format!("{OPERATIONS}#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], anchor.as_str(), "{name}");
        assert!(
            page_of_tests().contains(&format!("alertname: {name}\n")),
            "alerts.test.yml does not fire {name}"
        );
    }
}

fn page_of_tests() -> String {
    page("deploy/prometheus/alerts.test.yml")
}
