//! The topics' settings in the cluster.

use crate::{Cleanup, Topic};

type Setting = (&'static str, String);

/// What must be so: other settings would lose records, keep them for ever, or count their age from a sender's clock.
pub(super) fn held(topic: Topic) -> Vec<Setting> {
    // Retention goes by arrival, and so does what is told of a record's age.
    let by_arrival = ("message.timestamp.type", "LogAppendTime".to_owned());
    match topic.cleanup() {
        Cleanup::Compact => vec![("cleanup.policy", "compact".to_owned()), by_arrival],
        Cleanup::After(age) => vec![
            ("cleanup.policy", "delete".to_owned()),
            by_arrival,
            ("retention.ms", age.as_millis().to_string()),
        ],
    }
}

/// The same, to be read.
pub(super) fn told(topic: Topic) -> String {
    let settings: Vec<_> = held(topic).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    settings.join(", ")
}

/// What a topic is made with. What is not in [`held`] is an operator's to change.
pub(super) fn of_new(topic: Topic, replication: u16) -> Vec<Setting> {
    let mut settings = held(topic);
    // With three or more copies a write waits for two: one broker may go without stopping or losing anything.
    let in_sync = if replication >= 3 { 2 } else { 1 };
    settings.push(("min.insync.replicas", in_sync.to_string()));
    // The largest record and what goes round it; brokers may be set to take less.
    settings.push(("max.message.bytes", (1_048_588).to_string()));
    let more: &[(&str, &str)] = match topic.cleanup() {
        Cleanup::Compact => &[
            // The segment being written is never compacted, and restoring reads it whole.
            ("segment.bytes", "67108864"),
            ("min.cleanable.dirty.ratio", "0.2"),
            // What was removed is gone from the disk in two days: one to be compacted, one to be seen as removed.
            ("max.compaction.lag.ms", "86400000"),
        ],
        // A segment goes when its last record is old enough, so a shorter one keeps less beyond the retention.
        Cleanup::After(_) => &[("segment.ms", "86400000")],
    };
    settings.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
    settings
}
