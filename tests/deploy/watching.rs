//! The dashboard and the alerts, against a scrape of the real binary after phones came by.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::promql::{self, Expression};
use crate::scrape::Scrape;
use crate::support::until;
use crate::system::{output, root, scrape, visited};
use crate::{container, sources};

/// What Prometheus adds to every series that it scrapes; the last, a role's name, to those of a fleet.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "service"];

/// What one process shows, and what a fleet shows besides.
const ONE_PROCESS: &str = "deploy/grafana/dashboards/geopush.json";
const FLEET: &str = "deploy/grafana/dashboards/fleet.json";

/// Every metric with its labels: of the scrape, and those that the sources count on worse days.
pub fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let world = visited();
    let mut metrics = sources::metrics(root());
    for (name, labels) in Scrape::read(&scrape(&world)).metrics() {
        metrics.entry(name).or_default().extend(labels);
    }
    metrics
}

/// Every alert's rule.
pub fn alerts() -> Vec<Value> {
    let file = container::yaml("deploy/prometheus/alerts.yml");
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The query and the legend of each of a dashboard's lines, with its panel's title.
fn queries(dashboard: &str) -> Vec<(String, Expression, String)> {
    let text = fs::read_to_string(root().join(dashboard)).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "a panel asks for nothing: {panel}");
        for target in targets {
            let text = |key: &str| target[key].as_str().unwrap().to_owned();
            let title = panel["title"].as_str().unwrap();
            queries.push((
                format!("{title}: {}", text("expr")),
                promql::read(&text("expr")),
                text("legendFormat"),
            ));
        }
    }
    queries
}

#[test]
fn every_query_of_the_dashboard_finds_data_on_a_real_scrape() {
    let world = visited();
    let of_worse_days = sources::metrics(root());
    let mut told = vec!["everything".to_owned()];
    until("data for every query", || {
        let found = Scrape::read(&scrape(&world));
        let finds = |(query, read, _): &(String, Expression, String)| {
            let rare = query.ends_with("or vector(0)");
            read.selectors
                .iter()
                .all(|selector| found.has(selector) || (rare && of_worse_days.contains_key(&selector.metric)))
        };
        let missing: Vec<_> =
            queries(ONE_PROCESS).into_iter().filter(|query| !finds(query)).map(|query| query.0).collect();
        if missing != told {
            println!("no data yet for {missing:#?}");
            told = missing;
        }
        told.is_empty().then_some(())
    });
}

#[test]
fn every_label_that_a_query_groups_by_is_on_its_metrics() {
    let metrics = metrics();
    for (query, read, legend) in [ONE_PROCESS, FLEET].into_iter().flat_map(queries) {
        assert_grouped(&query, &read, &metrics);
        for label in between(&legend, "{{", "}}") {
            assert!(read.groupings.contains(label), "the legend's {label} is not grouped by in {query}");
        }
    }
}

/// One process has no Kafka and no ScyllaDB, so here names and labels alone are compared, with those that the sources
/// count; that each of these queries finds data, too, is seen on a scrape of a fleet: `tests/outside-fleet`.
#[test]
fn every_query_of_the_fleets_dashboard_asks_for_metrics_and_labels_that_are_counted() {
    let metrics = metrics();
    for (query, read, _) in queries(FLEET) {
        assert!(!read.selectors.is_empty(), "{query}");
        assert_counted(&query, &read, &metrics);
    }
}

#[test]
fn every_alert_asks_for_metrics_and_labels_that_are_counted() {
    let metrics = metrics();
    for rule in alerts() {
        let expression = rule["expr"].as_str().unwrap();
        let read = promql::read(expression);
        assert!(!read.selectors.is_empty(), "{rule}");
        assert_counted(expression, &read, &metrics);
        assert_grouped(expression, &read, &metrics);
        let said = rule["annotations"]["summary"].as_str().unwrap();
        for label in
            between(said, "$labels.", " ").map(|label| label.trim_matches(|c: char| !c.is_alphabetic()))
        {
            let known = has_label(&read, label, &metrics);
            assert!(known, "{label} of the summary {said:?} is no label of {expression}");
        }
    }
}

#[test]
fn the_container_is_healthy_when_every_part_is_ready_and_only_then() {
    let world = visited();
    let compose = container::yaml("deploy/compose.yaml");
    let test = compose["services"]["geopush"]["healthcheck"]["test"].as_array().unwrap();
    let words: Vec<&str> = test.iter().map(|word| word.as_str().unwrap()).collect();
    let ["CMD", program, arguments @ ..] = words.as_slice() else { panic!("{words:?} is no command") };
    let healthy = |port: &str| {
        let arguments = arguments.iter().map(|word| word.replace("$$", "$").replace("9100", port));
        output(Command::new(program).args(arguments)).status.success()
    };
    let port = |listener| world.house.base(listener).rsplit(':').next().unwrap().to_owned();
    assert!(healthy(&port("admin")));
    assert!(!healthy(&port("ingest")), "an answer other than 200 is not healthy");
    assert!(!healthy("1"), "no answer is not healthy");
}

fn assert_counted(query: &str, read: &Expression, metrics: &BTreeMap<String, BTreeSet<String>>) {
    for selector in read.selectors.iter().filter(|selector| selector.metric != "up") {
        let labels = counted(&selector.metric, metrics);
        let labels = labels.unwrap_or_else(|| panic!("nothing counts {} of {query}", selector.metric));
        for matcher in &selector.matchers {
            let known = labels.contains(&matcher.label) || OF_PROMETHEUS.contains(&&*matcher.label);
            assert!(known, "{} has no {}", selector.metric, matcher.label);
        }
    }
}

/// The labels of a metric, or of the histogram that a part of it is of.
fn counted<'a>(name: &str, metrics: &'a BTreeMap<String, BTreeSet<String>>) -> Option<&'a BTreeSet<String>> {
    let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
    metrics.get(name).or_else(|| metrics.get(base?))
}

fn assert_grouped(query: &str, read: &Expression, metrics: &BTreeMap<String, BTreeSet<String>>) {
    for label in &read.groupings {
        assert!(has_label(read, label, metrics), "{label} is on no metric of {query}");
    }
}

fn has_label(read: &Expression, label: &str, metrics: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let of_histogram = |name: &str| label == "le" && name.ends_with("_bucket");
    OF_PROMETHEUS.contains(&label)
        || read.selectors.iter().any(|selector| {
            let name = selector.metric.as_str();
            of_histogram(name) || counted(name, metrics).is_some_and(|labels| labels.contains(label))
        })
}

fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split(close).next())
}
