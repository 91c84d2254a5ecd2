//! How fast the dispatcher decides and sends, against what could be.
//!
//! [`decide`]: the decision alone. [`plan`]: the plan stage on the embedded log. [`send`]: the send stage over TLS to a
//! provider in another process, against `h2load`, at half of what goes, and beside an app with errors. [`memory`]: what it
//! holds while it sends very many.
//! [`million`]: a send to very many devices on the embedded system, planned, sent, recorded and held against what the
//! provider counted. [`fairness`]: what another tenant's single pushes wait meanwhile.

mod child;
pub mod decide;
pub mod fairness;
mod feed;
pub mod h2load;
pub mod memory;
pub mod million;
pub mod plan;
pub mod send;
mod sender;
pub mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;

use geopush_service::BoxError;

use crate::report::Report;

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Causes decided on by the plan stage, embedded.
    Plan,
    /// Pushes over TLS to a provider in another process.
    Send,
    /// What sending very many pushes holds in memory.
    Memory,
    /// A send to very many devices, from the call to the last row.
    Million,
    /// What another tenant's single pushes wait beside such a send.
    Fairness,
}

/// What to do.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only these parts [default: all].
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Rounds of each comparison, after one that is not counted.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Causes that the plan stage decides on.
    #[arg(long, default_value_t = 200_000)]
    pub causes: u64,
    /// Pushes of each run.
    #[arg(long, default_value_t = 200_000)]
    pub pushes: u64,
    /// Pushes that memory is looked at over.
    #[arg(long, default_value_t = 10_000_000)]
    pub many: u64,
    /// Devices of the send to very many.
    #[arg(long, default_value_t = 1_000_000)]
    pub devices: u64,
    /// Connections of an app to its provider.
    #[arg(long, default_value_t = 2)]
    pub connections: usize,
    /// Requests under way on each of them.
    #[arg(long, default_value_t = 100)]
    pub streams: usize,
    /// Where the embedded system's files go meanwhile; best on the disk that is to be measured.
    #[arg(long, default_value = "bench-results")]
    pub scratch: PathBuf,
    /// This program, to be started as the provider; none: what runs.
    #[arg(skip)]
    pub program: Option<PathBuf>,
}

impl Options {
    fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn parameters(&self) -> BTreeMap<String, serde_json::Value> {
        let all: [(&str, serde_json::Value); 8] = [
            ("only", format!("{:?}", self.only).into()),
            ("rounds", self.rounds.into()),
            ("causes", self.causes.into()),
            ("pushes", self.pushes.into()),
            ("many", self.many.into()),
            ("devices", self.devices.into()),
            ("connections", self.connections.into()),
            ("streams", self.streams.into()),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Runs the bench.
///
/// # Errors
/// When it could not be done; what was done wrongly is in the report's checks.
pub async fn run(options: &Options) -> Result<Report, BoxError> {
    if options.rounds == 0
        || options.causes == 0
        || options.pushes == 0
        || options.many == 0
        || options.devices == 0
    {
        return Err("rounds, causes, pushes, many and devices must be above 0".into());
    }
    let mut report = Report::begin("dispatch", 0);
    report.parameters = options.parameters();
    let program = options.program.clone().map_or_else(std::env::current_exe, Ok)?;
    std::fs::create_dir_all(&options.scratch)?;
    if options.has(Part::Plan) {
        decide::run(options.causes, &mut report)?;
        plan::run(options.causes, &options.scratch, &mut report).await?;
    }
    if options.has(Part::Send) {
        let Options { pushes, rounds, connections, streams, .. } = *options;
        send::run(send::Plan { pushes, rounds, connections, streams }, &program, &mut report).await?;
    }
    if options.has(Part::Memory) {
        memory::run(options.many, &program, &mut report).await?;
    }
    if options.has(Part::Million) {
        million::run(options.devices, &program, &options.scratch, &mut report).await?;
    }
    if options.has(Part::Fairness) {
        fairness::run(options.devices, &program, &options.scratch, &mut report).await?;
    }
    Ok(report)
}
