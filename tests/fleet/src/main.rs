//! `geopush-servers`: the servers for a developer's shell, or around a command.

use std::error::Error;
use std::io::{self, Read};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};
use geopush_fleet::{Cassandra, FleetError, Jars, Kafka, Product};

/// Kafka and Cassandra on this machine, with empty disks. They end with this process.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Downloads what they consist of, and checks it.
    Get,
    /// Starts them, prints their addresses as a line of JSON, and stays until standard input ends.
    Up {
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
        kafka_nodes: u8,
    },
    /// Runs a command with their addresses in FLEET_KAFKA and FLEET_CQL, and ends as it does.
    With {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().action) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: &Action) -> Result<ExitCode, Box<dyn Error>> {
    match action {
        Action::Get => {
            Jars::of(Product::Kafka)?;
            Jars::of(Product::Cassandra)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Up { kafka_nodes } => {
            let (kafka, cassandra) = start(usize::from(*kafka_nodes))?;
            println!("{}", serde_json::json!({ "kafka": kafka.brokers(), "cql": cassandra.address() }));
            io::stdin().read_to_end(&mut Vec::new())?;
            Ok(ExitCode::SUCCESS)
        }
        Action::With { command } => {
            let (kafka, cassandra) = start(1)?;
            let status = Command::new(&command[0])
                .args(&command[1..])
                .env("FLEET_KAFKA", kafka.brokers())
                .env("FLEET_CQL", cassandra.address())
                .status()?;
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }
    }
}

fn start(kafka_nodes: usize) -> Result<(Kafka, Cassandra), FleetError> {
    std::thread::scope(|scope| {
        let kafka = scope.spawn(|| Kafka::start(kafka_nodes));
        let cassandra = Cassandra::start()?;
        Ok((kafka.join().expect("starting Kafka does not panic")?, cassandra))
    })
}
