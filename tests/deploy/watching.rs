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

/// What Prometheus adds to every series that it scrapes.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

/// Every metric with its labels: of the scrape, and those that the sources count on worse days.
pub fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let world = visited();
    let mut metrics = sources::metrics(root());
    for (name, labels) in Scrape::read(&scrape(&world)).metrics() {
        metrics.entry(name).or_default().extend(labels);
    }
    metrics
}

/// The query and the legend of each of the dashboard's lines, with its panel's title.
fn queries() -> Vec<(String, Expression, String)> {
    let text = fs::read_to_string(root().join("deploy/grafana/dashboards/geopush.json")).unwrap();
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
            queries().into_iter().filter(|query| !finds(query)).map(|query| query.0).collect();
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
    for (query, read, legend) in queries() {
        assert_grouped(&query, &read, &metrics);
        for label in between(&legend, "{{", "}}") {
            assert!(read.groupings.contains(label), "the legend's {label} is not grouped by in {query}");
        }
    }
}

#[test]
fn every_alert_asks_for_metrics_and_labels_that_are_counted() {
    let metrics = metrics();
    let rules = container::yaml("deploy/prometheus/alerts.yml");
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let expression = rule["expr"].as_str().unwrap();
        let read = promql::read(expression);
        assert!(!read.selectors.is_empty(), "{rule}");
        for selector in read.selectors.iter().filter(|selector| selector.metric != "up") {
            let labels = metrics.get(&selector.metric);
            let labels =
                labels.unwrap_or_else(|| panic!("nothing counts {} of {expression}", selector.metric));
            for matcher in &selector.matchers {
                assert!(labels.contains(&matcher.label), "{} has no {}", selector.metric, matcher.label);
            }
        }
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
            let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
            let labels = metrics.get(name).or_else(|| metrics.get(base?));
            of_histogram(name) || labels.is_some_and(|labels| labels.contains(label))
        })
}

fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split(close).next())
}
