//! What librdkafka tells of a client: statistics become metrics, its log lines go to tracing.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::{Broker, Statistics, Window};

use super::client::Use;

/// Heard by every client, or by the larger context that holds it. Several clients of one use add up.
pub(super) struct Context {
    client: Use,
    last: Mutex<Seen>,
}

/// What was last reported.
#[derive(Default)]
struct Seen {
    totals: [u64; COUNTERS.len()],
    levels: [f64; GAUGES.len()],
    /// Why the brokers could not be used.
    error: Option<String>,
}

type Count = fn(&Broker) -> u64;

/// What librdkafka counts since the client began.
const COUNTERS: [(&str, Count); 6] = [
    ("geopush_kafka_requests_total", |b| b.tx),
    ("geopush_kafka_request_retries_total", |b| b.txretries),
    ("geopush_kafka_request_timeouts_total", |b| b.req_timeouts),
    ("geopush_kafka_send_errors_total", |b| b.txerrs),
    ("geopush_kafka_receive_errors_total", |b| b.rxerrs),
    ("geopush_kafka_disconnects_total", |b| b.disconnects.map_or(0, |n| n.max(0).cast_unsigned())),
];

type Level = fn(&Statistics) -> f64;

/// What librdkafka holds at the moment.
const GAUGES: [(&str, Level); 2] = [
    ("geopush_kafka_queued_records", |s| s.msg_cnt as f64),
    ("geopush_kafka_queued_bytes", |s| s.msg_size as f64),
];

/// A window that librdkafka keeps of each broker.
type OfBroker = fn(&Broker) -> Option<&Window>;

/// Those that are told, and how many of their units are a second.
const TIMES: [(&str, OfBroker, f64); 3] = [
    ("geopush_kafka_round_trip_seconds", |b| b.rtt.as_ref(), 1e6),
    ("geopush_kafka_queue_wait_seconds", |b| b.int_latency.as_ref(), 1e6),
    ("geopush_kafka_throttle_seconds", |b| b.throttle.as_ref(), 1e3),
];

impl Context {
    pub(super) fn new(client: Use) -> Self {
        Self { client, last: Mutex::default() }
    }

    /// What librdkafka last said of why the brokers could not be used.
    pub(super) fn last_error(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).error.clone()
    }

    fn levels(&self, last: &mut Seen, levels: [f64; GAUGES.len()]) {
        for (((name, _), before), level) in GAUGES.iter().zip(&mut last.levels).zip(levels) {
            metrics::gauge!(*name, "client" => self.client.name()).increment(level - *before);
            *before = level;
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut last = std::mem::take(self.last.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.levels(&mut last, [0.0; GAUGES.len()]);
    }
}

/// Spreads a window over a histogram as its quantiles tell.
fn record(name: &'static str, client: &'static str, window: &Window, per_second: f64) {
    let histogram = metrics::histogram!(name, "client" => client);
    let mut recorded = 0;
    for (share, value) in [
        (0.50, window.p50),
        (0.75, window.p75),
        (0.90, window.p90),
        (0.95, window.p95),
        (0.99, window.p99),
        (1.0, window.max),
    ] {
        let upto = (window.cnt.max(0) as f64 * share).round() as usize;
        histogram.record_many(value.max(0) as f64 / per_second, upto - recorded);
        recorded = upto;
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        let client = self.client.name();
        // A broker that can't be reached is an error to librdkafka, and nothing to wake anyone for yet.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", client, facility, "{line}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", client, facility, "{line}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", client, facility, "{line}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", client, facility, "{line}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        let client = self.client.name();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for ((name, of), before) in COUNTERS.iter().zip(&mut last.totals) {
            // A broker that is gone takes its counts along.
            let total = statistics.brokers.values().map(of).sum::<u64>();
            metrics::counter!(*name, "client" => client).increment(total.saturating_sub(*before));
            *before = total;
        }
        self.levels(&mut last, GAUGES.map(|(_, of)| of(&statistics)));
        drop(last);
        for (name, of, per_second) in TIMES {
            for window in statistics.brokers.values().filter_map(of).filter(|window| window.max > 0) {
                record(name, client, window, per_second);
            }
        }
    }

    /// librdkafka logs them too.
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", client = self.client.name(), %error, "{reason}");
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down follows what is wrong with each.
        if last.error.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            last.error = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}
