//! The record of a record that could not be decoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::{Received, Record, Topic};

/// What goes to [`Topic::Rejected`] for a record that a stage can't decode: keyed by its topic's name, the value is
/// JSON `{"reason","topic","partition","offset","appended_at_ms","key","value"}`, key and value in base64 (the value
/// null for a tombstone). The record's trace goes along. Making it counts it.
pub fn rejected(topic: Topic, partition: u32, received: &Received, reason: &str) -> Record {
    metrics::counter!("geopush_log_rejected_records_total", "topic" => topic.name()).increment(1);
    let value = json!({
        "reason": reason,
        "topic": topic.name(),
        "partition": partition,
        "offset": received.offset,
        "appended_at_ms": received.appended_at_ms,
        "key": STANDARD.encode(&received.key),
        "value": received.value.as_ref().map(|value| STANDARD.encode(value)),
    });
    Record::new(Topic::Rejected, topic.name(), value.to_string()).traced(received.trace)
}
