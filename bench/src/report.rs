//! What a bench found out, in the one format of all benches.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::time::format_rfc3339_ms;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::goal::Goal;
use crate::latency::Latency;
use crate::machine::Machine;
use crate::plot::{PlotError, draw};

/// What a bench found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this format; a change that old readers would misread makes a new one.
    pub format: u32,
    /// Which bench.
    pub bench: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// Where it ran.
    pub machine: Machine,
    /// What its randomness came from.
    pub seed: u64,
    /// What it was asked to do; equal parameters and seeds make comparable runs.
    pub parameters: BTreeMap<String, Value>,
    /// Single numbers, in the order in which they are worth reading.
    pub numbers: Vec<Number>,
    /// Latencies by stage, in the order of the stages.
    pub latencies: Vec<Latency>,
    /// Numbers over time.
    pub series: Vec<Series>,
    /// Numbers that follow others.
    #[serde(default)]
    pub curves: Vec<Curve>,
    /// What was promised, and what came of it; says nothing about whether the run passed.
    #[serde(default)]
    pub goals: Vec<Goal>,
    /// Whether what was measured was also right.
    pub checks: Vec<Check>,
}

/// A number and its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// What it is.
    pub name: String,
    /// `fixes/s`, `s`, `bytes`, …; empty for a plain count.
    pub unit: String,
    /// How many.
    pub value: f64,
}

/// A number over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// The seconds from one value to the next.
    pub every_s: f64,
    /// The values, from the beginning of the measurement on.
    pub values: Vec<f64>,
}

/// A number that follows another. Curves of one chart are drawn together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What the chart shows.
    pub chart: String,
    /// What this curve of it is.
    pub name: String,
    /// What the other number is, with its unit; drawn logarithmically.
    pub x: String,
    /// What this number is, with its unit.
    pub y: String,
    /// Both numbers, the other first and rising.
    pub points: Vec<(f64, f64)>,
}

/// Whether something that must hold did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What must hold.
    pub claim: String,
    /// How many things were held against it.
    pub compared: u64,
    /// How many of them differ.
    pub differences: u64,
    /// The first of the differences.
    pub first: Vec<String>,
}

/// How many differences a check shows.
const SHOWN: usize = 10;

impl Check {
    /// Nothing compared yet.
    pub fn new(claim: &str) -> Self {
        Self { claim: claim.to_owned(), compared: 0, differences: 0, first: Vec::new() }
    }

    /// One more thing was compared and is as it should be, unless there is something to say.
    pub fn compare(&mut self, difference: Option<impl FnOnce() -> String>) {
        self.compared += 1;
        if let Some(tell) = difference {
            self.differences += 1;
            if self.first.len() < SHOWN {
                self.first.push(tell());
            }
        }
    }

    /// Whether it held of at least one thing, and of all: a check that saw nothing shows nothing.
    pub fn passed(&self) -> bool {
        self.compared > 0 && self.differences == 0
    }
}

/// Why a report could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error("{path} can't be read: {cause}; name a report that a bench has written")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Its content.
    #[error("{path} is no report that this version reads: {cause}; run that bench again")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

impl Report {
    /// The version of the format that is written.
    pub const FORMAT: u32 = 1;

    /// A report of a bench that begins now, on this machine.
    pub fn begin(bench: &str, seed: u64) -> Self {
        Self {
            format: Self::FORMAT,
            bench: bench.to_owned(),
            started_at: format_rfc3339_ms(SystemClock.now_ms()),
            machine: Machine::here(),
            seed,
            parameters: BTreeMap::new(),
            numbers: Vec::new(),
            latencies: Vec::new(),
            series: Vec::new(),
            curves: Vec::new(),
            goals: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Adds a number.
    pub fn number(&mut self, name: &str, unit: &str, value: f64) {
        self.numbers.push(Number { name: name.to_owned(), unit: unit.to_owned(), value });
    }

    /// The value of a number.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.numbers.iter().find(|number| number.name == name).map(|number| number.value)
    }

    /// Whether there were checks and all passed.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(Check::passed)
    }

    /// Writes `DIR/<bench>-<time>.json` and, beside it, the drawing as `.svg`; says where.
    ///
    /// # Errors
    /// When the directory can't be written.
    pub fn write(&self, dir: &Path) -> Result<[PathBuf; 2], PlotError> {
        fs::create_dir_all(dir)?;
        let time: String = self.started_at.chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect();
        let json = dir.join(format!("{}-{time}.json", self.bench));
        let svg = json.with_extension("svg");
        let text = serde_json::to_string_pretty(self).map_err(io::Error::from)?;
        fs::write(&json, text + "\n")?;
        fs::write(&svg, draw(self)?)?;
        Ok([json, svg])
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// When it can't be read, or is of another version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let io = |cause| ReadError::Io { path: path.to_owned(), cause };
        let format = |cause| ReadError::Format { path: path.to_owned(), cause };
        let text = fs::read_to_string(path).map_err(io)?;
        let report: Self = serde_json::from_str(&text).map_err(|e| format(e.to_string()))?;
        match report.format {
            Self::FORMAT => Ok(report),
            other => Err(format(format!("its format is {other}, not {}", Self::FORMAT))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::latency::Latencies;

    /// A report with something of everything.
    pub(crate) fn sample() -> Report {
        let mut latencies = Latencies::default();
        (1..2_000).for_each(|us| latencies.record(Duration::from_micros(us * us)));
        let mut report = Report::begin("sample", 7);
        report.parameters.insert("rate".to_owned(), 10.into());
        report.number("fixes", "fixes/s", 12.5);
        report.latencies = vec![latencies.summary("a → b"), Latencies::default().summary("never")];
        let values = vec![1.0, 4.0, 2.0];
        report.series = vec![Series { name: "fixes".into(), unit: "fixes/s".into(), every_s: 1.0, values }];
        let points = vec![(10.0, 3.0), (1e6, 4.0)];
        let (x, y) = ("zones".into(), "ns/ping".into());
        report.curves = vec![Curve { chart: "growth".into(), name: "engine".into(), x, y, points }];
        report.goals = vec![Goal::at_least("share", "", 0.5, 0.9), Goal::at_most("wait", "ms", 10.0, 60.0)];
        let mut check = Check::new("one is one");
        check.compare(None::<fn() -> String>);
        report.checks = vec![check];
        report
    }

    #[test]
    fn what_is_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let report = sample();
        let [json, svg] = report.write(&dir.path().join("results")).unwrap();
        assert_eq!(Report::read(&json).unwrap(), report);
        assert!(json.file_name().unwrap().to_string_lossy().starts_with("sample-2"), "{json:?}");
        assert!(fs::read_to_string(svg).unwrap().starts_with("<svg"));
    }

    #[test]
    fn another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [json, _] = Report { format: 2, ..sample() }.write(dir.path()).unwrap();
        let refused = Report::read(&json).unwrap_err().to_string();
        assert!(refused.contains("its format is 2"), "{refused}");
    }

    #[test]
    fn a_check_passes_only_if_it_compared_something_and_nothing_differs() {
        let mut check = Check::new("all are equal");
        assert!(!check.passed(), "nothing was compared");
        check.compare(None::<fn() -> String>);
        assert!(check.passed());
        (0..20).for_each(|n| check.compare(Some(|| format!("difference {n}"))));
        assert!(!check.passed());
        assert_eq!((check.compared, check.differences, check.first.len()), (21, 20, SHOWN));
        assert!(!Report { checks: vec![check], ..sample() }.passed());
        assert!(!Report { checks: vec![], ..sample() }.passed(), "nothing was checked");
        assert!(sample().passed());
    }
}
