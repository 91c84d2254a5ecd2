//! The benches' command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use geopush_bench::compare::compare;
use geopush_bench::report::Report;
use geopush_bench::table::table;
use geopush_bench::{dispatch, e2e, geofence, pipeline};
use geopush_service::BoxError;

/// As the one binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load, measured and checked.
#[derive(Parser)]
#[command(name = "geopush-bench")]
struct Cli {
    /// Where the results go: BENCH-TIME.json and .svg.
    #[arg(long, global = true, default_value = "bench-results")]
    out: PathBuf,
    /// An earlier result of the same bench to compare with.
    #[arg(long, global = true, value_name = "FILE.json")]
    compare: Option<PathBuf>,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Open-loop load through HTTP to the sandbox: every stage's latency, every transition checked.
    E2e(e2e::Options),
    /// What the geofence engine costs, against what memory costs.
    Geofence(geofence::Options),
    /// Pings, rows and latencies against the best that this machine could do: ratios of runs that take turns.
    Pipeline(pipeline::Options),
    /// How fast the dispatcher decides and sends, against what could be.
    Dispatch(dispatch::Options),
    /// The provider that `dispatch` sends to, in a process of its own.
    #[command(hide = true)]
    Provider(dispatch::server::ServerOptions),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("geopush-bench: a check failed; what was measured is not what should be");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("geopush-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all checks passed.
fn run(cli: &Cli) -> Result<bool, BoxError> {
    let earlier = cli.compare.as_deref().map(Report::read).transpose()?;
    if let Bench::Provider(options) = &cli.bench {
        return dispatch::server::serve(options).map(|()| true);
    }
    // Named, so that the load's processor time can be told from the system's.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("bench-load").build()?;
    let report = runtime.block_on(async {
        match &cli.bench {
            Bench::E2e(options) => e2e::run(options).await,
            Bench::Geofence(options) => geofence::run(options),
            Bench::Pipeline(options) => pipeline::run(options).await,
            Bench::Dispatch(options) => dispatch::run(options).await,
            Bench::Provider(_) => unreachable!("it was served before"),
        }
    })?;
    println!("{}", table(&report));
    if let Some(earlier) = earlier {
        println!("{}", compare(&earlier, &report));
    }
    for path in report.write(&cli.out)? {
        println!("{}", path.display());
    }
    Ok(report.passed())
}
