//! The command line of the one binary.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{Given, check_config, demo, migrate, run, sandbox, simulate, tenant};

/// A push costs some sixty allocations, made on one thread and given back on another: decision 31.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Positions in, pushes out: geofencing and push on a laptop or a fleet.
#[derive(Parser)]
#[command(name = "geopush", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the system: all of it, or some roles (--role ingest,geofence,dispatcher,control-api).
    ///
    /// Takes every key that `geopush check-config` lists as a flag, such as --data-dir DIR or --ingest-addr :0.
    Run(Given),
    /// Show the whole system at work: simulated phones, and stand-ins for FCM and APNs, in one process.
    Demo(demo::Options),
    /// Manage tenants.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Run stand-ins for FCM and APNs, strict as the real ones, until interrupted.
    Sandbox(sandbox::Options),
    /// Make or upgrade the tables and, on Kafka, the topics.
    Migrate(Given),
    /// Check the configuration and show every key with its value and where that came from.
    CheckConfig(Given),
    /// Replay a recorded trace (CSV or GPX) against any deployment.
    Simulate(simulate::Options),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("geopush: no threads could be started: {e}; check the limits of this machine");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match command {
            Command::Run(given) => run::run(given).await,
            Command::Demo(options) => demo::run(options).await,
            Command::Tenant(command) => tenant::run(command).await,
            Command::Sandbox(options) => sandbox::run(options).await,
            Command::Migrate(given) => migrate::run(given).await,
            Command::CheckConfig(given) => check_config::run(&given),
            Command::Simulate(options) => simulate::run(options).await,
        }
    });
    // Whatever is still under way is a call to a server that does not answer.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended.unwrap_or_else(|error| {
        eprintln!("geopush: {error}");
        ExitCode::FAILURE
    })
}
