//! What stages have spent on Kafka's transactions, as the process's metrics tell.

use std::collections::BTreeMap;

use crate::report::Report;

/// Transactions of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// How many there were.
    pub transactions: f64,
    /// Seconds in all of them.
    pub seconds: f64,
    /// Slices' commits in all of them.
    pub commits: f64,
}

/// By stage, since the process began.
pub fn spent(metrics: &str) -> BTreeMap<String, Spent> {
    let mut all: BTreeMap<String, Spent> = BTreeMap::new();
    for line in metrics.lines() {
        let read = || {
            let (name, rest) = line.split_once('{')?;
            let (labels, value) = rest.split_once("} ")?;
            let stage = labels.split(',').find_map(|label| label.strip_prefix("stage=\""))?;
            Some((name, stage.trim_end_matches('"'), value.parse::<f64>().ok()?))
        };
        let Some((name, stage, value)) = read() else { continue };
        let field: fn(&mut Spent) -> &mut f64 = match name {
            "geopush_kafka_transaction_seconds_count" => |spent| &mut spent.transactions,
            "geopush_kafka_transaction_seconds_sum" => |spent| &mut spent.seconds,
            "geopush_kafka_transaction_commits_sum" => |spent| &mut spent.commits,
            _ => continue,
        };
        *field(all.entry(stage.to_owned()).or_default()) += value;
    }
    all
}

/// Adds what was spent between two looks at the metrics to the report.
pub fn tell(report: &mut Report, name: &str, before: &str, after: &str) {
    let before = spent(before);
    for (stage, now) in spent(after) {
        let then = before.get(&stage).copied().unwrap_or_default();
        let transactions = now.transactions - then.transactions;
        if transactions > 0.0 {
            let of = |what: &str| format!("{name}: {stage}, {what}");
            report.number(&of("transactions"), "", transactions);
            report.number(&of("a transaction"), "ms", 1e3 * (now.seconds - then.seconds) / transactions);
            report.number(&of("commits in one"), "", (now.commits - then.commits) / transactions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_told_apart_and_other_metrics_passed_over() {
        let text = "# TYPE geopush_kafka_transaction_seconds histogram\n\
            geopush_kafka_transaction_seconds_bucket{stage=\"plan\",le=\"1\"} 9\n\
            geopush_kafka_transaction_seconds_count{stage=\"plan\"} 4\n\
            geopush_kafka_transaction_seconds_sum{stage=\"plan\"} 0.5\n\
            geopush_kafka_transaction_commits_sum{stage=\"plan\"} 12\n\
            geopush_kafka_transaction_seconds_count{stage=\"send\"} 1\n";
        let all = spent(text);
        assert_eq!(all["plan"], Spent { transactions: 4.0, seconds: 0.5, commits: 12.0 });
        assert_eq!((all.len(), all["send"].transactions), (2, 1.0));
    }
}
