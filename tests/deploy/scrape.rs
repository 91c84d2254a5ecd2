//! A scrape of `/metrics`: which metrics there are, and with which labels.

use std::collections::{BTreeMap, BTreeSet};

use crate::promql::{Matcher, Selector};

/// One line's labels.
pub type Labels = BTreeMap<String, String>;

/// Series by the metric's name, as Prometheus would keep them.
#[derive(Clone, Debug, Default)]
pub struct Scrape(pub BTreeMap<String, Vec<Labels>>);

impl Scrape {
    /// Reads Prometheus' text format (0.0.4).
    pub fn read(text: &str) -> Self {
        let mut series: BTreeMap<String, Vec<Labels>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a line has a value"));
            series.entry(name.to_owned()).or_default().push(labels(rest));
        }
        Self(series)
    }

    /// Whether a selector finds data.
    pub fn has(&self, selector: &Selector) -> bool {
        let series = self.0.get(&selector.metric).map_or(&[][..], Vec::as_slice);
        series.iter().any(|labels| selector.matchers.iter().all(|matcher| agrees(matcher, labels)))
    }

    /// Each metric with its labels; a histogram once, without `le` and suffix.
    pub fn metrics(&self) -> BTreeMap<String, BTreeSet<String>> {
        let histograms: BTreeSet<&str> =
            self.0.keys().filter_map(|name| name.strip_suffix("_bucket")).collect();
        let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, series) in &self.0 {
            let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
            let name = base.filter(|base| histograms.contains(base)).unwrap_or(name);
            let labels = series.iter().flat_map(BTreeMap::keys).filter(|label| *label != "le").cloned();
            metrics.entry(name.to_owned()).or_default().extend(labels);
        }
        metrics
    }
}

fn agrees(matcher: &Matcher, labels: &Labels) -> bool {
    let value = labels.get(&matcher.label).map_or("", String::as_str);
    match matcher.operator.as_str() {
        "=" => value == matcher.value,
        "!=" => value != matcher.value,
        operator => panic!("{operator} is not known here; dashboards do without it"),
    }
}

/// `{a="b",c="d"} 1`, or ` 1`.
fn labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text.trim_start_matches('{');
    while let Some((label, after)) = rest.split_once("=\"") {
        let end = after.match_indices('"').find(|(at, _)| !after[..*at].ends_with('\\'));
        let (end, _) = end.expect("a label's value ends");
        labels.insert(label.trim_start_matches(',').to_owned(), after[..end].to_owned());
        rest = &after[end + 1..];
    }
    labels
}
