//! Logs and metrics, set up once a process.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock::{Clock, SystemClock};
use crate::config::{FromConfig, Reader, choice};
use crate::time::format_rfc3339_ms;

/// From a memory access to a provider's timeout.
const SECONDS: [f64; 18] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0,
];
/// From a small record to the largest import.
const BYTES: [f64; 10] =
    [64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];
/// Anything counted: records of a batch, pings of a request.
const COUNTS: [f64; 15] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 50_000.0,
    100_000.0,
];

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromConfig for LogFormat {
    const EXPECTED: &'static str = "`text` or `json`";

    fn from_text(text: &str) -> Option<Self> {
        choice(text, &[("text", Self::Text), ("json", Self::Json)])
    }

    fn show(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Json => "json".into(),
        }
    }
}

/// Which log lines are written, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `log.format`
    pub format: LogFormat,
    /// `log.filter`, as `tracing_subscriber::EnvFilter` reads it.
    pub filter: String,
}

impl LogConfig {
    /// Reads `log.*`.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            format: reader.key("log.format", "How log lines are written").or(LogFormat::Text),
            filter: reader
                .key("log.filter", "Which log lines are written: a level, or target=level pairs")
                .check(|filter: &String| match EnvFilter::builder().parse(filter) {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        Err(format!("{error}; write for example `info` or `info,geopush_geofence=debug`"))
                    }
                })
                .or("info".to_owned()),
        }
    }
}

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter can't be read.
    #[error(
        "log.filter `{0}` can't be read ({1}); write for example `info` or `info,geopush_geofence=debug`"
    )]
    Filter(String, tracing_subscriber::filter::ParseError),
    /// Another recorder is installed.
    #[error("metrics can't be recorded: {0}; install no other recorder in this process")]
    Recorder(#[from] metrics_exporter_prometheus::BuildError),
}

/// What the process counted, to be read as Prometheus text.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
}

impl Metrics {
    /// Everything as Prometheus text (version 0.0.4), the process's own numbers read anew.
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Folds what histograms gathered since the last time into their buckets. [`crate::health::serve_admin`] does it.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Sends log lines to stderr and installs the metrics' recorder. The first call in a process wins; later ones return
/// the same metrics and change nothing.
///
/// # Errors
/// A filter that can't be read, or a recorder that is not ours.
pub fn init(format: LogFormat, filter: &str) -> Result<Metrics, TelemetryError> {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    static FIRST: Mutex<()> = Mutex::new(());

    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| TelemetryError::Filter(filter.to_owned(), error))?;
    let _one_at_a_time = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(metrics) = METRICS.get() {
        return Ok(metrics.clone());
    }
    let metrics = install_recorder()?;
    log_to_stderr(format, parsed);
    Ok(METRICS.get_or_init(|| metrics).clone())
}

fn log_to_stderr(format: LogFormat, filter: EnvFilter) {
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_timer(UtcMillis);
    // An error means that the embedder of a test has a subscriber already: it stays.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

fn install_recorder() -> Result<Metrics, TelemetryError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".into()), &BYTES)?
        .set_buckets(&COUNTS)?
        .install_recorder()?;
    let process = metrics_process::Collector::default();
    process.describe();
    metrics::describe_gauge!("geopush_build_info", "Which version runs");
    metrics::gauge!("geopush_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(Metrics { handle, process })
}

struct UtcMillis;

impl FormatTime for UtcMillis {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        w.write_str(&format_rfc3339_ms(SystemClock.now_ms()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_call_wins_and_all_see_the_same_metrics() {
        let first = init(LogFormat::Text, "info").unwrap();
        let second = init(LogFormat::Json, "debug").unwrap();
        metrics::counter!("geopush_test_calls_total").increment(3);
        assert!(first.render().contains("geopush_test_calls_total 3"));
        assert!(second.render().contains("geopush_test_calls_total 3"));
    }

    #[test]
    fn histograms_have_the_buckets_of_their_unit() {
        let metrics = init(LogFormat::Text, "info").unwrap();
        metrics::histogram!("geopush_test_work_seconds").record(0.0002);
        metrics::histogram!("geopush_test_body_bytes").record(100.0);
        metrics::histogram!("geopush_test_batch_records").record(3.0);
        let text = metrics.render();
        for line in [
            "geopush_test_work_seconds_bucket{le=\"0.0001\"} 0",
            "geopush_test_work_seconds_bucket{le=\"0.00025\"} 1",
            "geopush_test_work_seconds_bucket{le=\"60\"} 1",
            "geopush_test_body_bytes_bucket{le=\"256\"} 1",
            "geopush_test_batch_records_bucket{le=\"5\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn the_process_tells_its_version_and_its_size() {
        let text = init(LogFormat::Text, "info").unwrap().render();
        assert!(
            text.contains(concat!("geopush_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")),
            "{text}"
        );
        for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() >= 0.0, "{line}");
        }
        assert!(text.contains("process_start_time_seconds"));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let error = init(LogFormat::Text, "geopush=loud").unwrap_err().to_string();
        assert!(error.contains("log.filter `geopush=loud`"), "{error}");
    }
}
