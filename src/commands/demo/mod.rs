//! `geopush demo`: the whole system at work in one process.

mod city;
mod merchant;
mod phones;
mod screen;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use geopush::{Backend, Purpose, Settings, Storage, System};
use geopush_log::{SharedLog, Topic};
use geopush_model::UnixMillis;
use geopush_registry::create_tenant;
use geopush_sandbox::Sandbox;
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::shutdown::Shutdown;
use geopush_service::telemetry;
use geopush_simulator::PingClient;
use tokio::net::TcpListener;

use self::city::City;
use self::merchant::Merchant;
use self::screen::{Counts, Screen};
use super::{Ended, Given};

#[derive(clap::Args)]
pub struct Options {
    /// How many phones walk and drive about.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    phones: u32,
    /// How many zones the merchant has.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    zones: u32,
    /// Seconds between two fixes of a phone.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    every: u32,
    /// End by itself after this many seconds; if left out, go on until interrupted.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Everything random is drawn from this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    given: Given,
}

/// What the phones did so far.
#[derive(Default)]
struct Tally {
    fixes: AtomicU64,
    failures: AtomicU64,
}

pub async fn run(options: Options) -> Ended {
    let scratch = Scratch::new()?;
    let data_dir = scratch.0.join("data").display().to_string();
    let ca = scratch.0.join("sandbox").join("ca.pem").display().to_string();
    let addresses = [("ingest-addr", 8080), ("api-addr", 8081), ("admin-addr", 9100)];
    let mut defaults = vec![("data-dir", data_dir), ("provider-ca", ca), ("log-filter", "warn".to_owned())];
    defaults.push(("allow-provider-urls", "true".to_owned()));
    for (key, port) in addresses {
        defaults.push((key, free_address(port).await));
    }
    let defaults: Vec<_> = defaults.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let (settings, _) = options.given.settings_for(Purpose::Run, &defaults)?;
    if matches!(settings.backend, Backend::Fleet(_)) {
        return Err("the demo runs in a directory of its own; leave kafka.* and cql.* out".into());
    }

    let metrics = telemetry::init(settings.log.format, &settings.log.filter)?;
    let shutdown = Shutdown::on_signals()?;
    let sandbox = Sandbox::start(geopush_sandbox::Options::default()).await?;
    sandbox.write(&scratch.0.join("sandbox"))?;
    let (system, log, keys) = start(settings, metrics, shutdown.clone()).await?;
    let (ingest, api) = (url(system.addresses.ingest)?, url(system.addresses.api)?);

    let city = City::new(options.seed, options.zones);
    let merchant = Merchant::new(&api, &ingest, &keys)?;
    let screen = Screen::new();
    screen.say(&format!("making {} zones, 3 campaigns and {} devices", options.zones, options.phones));
    merchant.open(&city, &sandbox).await?;
    merchant.register_devices(options.phones, |done| screen.registered(done, options.phones)).await?;
    screen.welcome(&system.addresses, &sandbox, &keys);

    let tally = Arc::new(Tally::default());
    let client = PingClient::new(&ingest, &keys.publishable_key)?;
    let pace = Duration::from_secs(options.every.into());
    let driving =
        phones::drive(client, city, options.seed, options.phones, pace, Arc::clone(&tally), shutdown.clone());
    let driving = tokio::spawn(driving);
    if let Some(seconds) = options.seconds {
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            shutdown.request();
        });
    }
    while !shutdown.is_requested() {
        screen.show(&counts(&tally, &log, &sandbox).await, &sandbox.latest(6));
        tokio::select! {
            () = shutdown.requested() => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
    driving.await?;
    let last = counts(&tally, &log, &sandbox).await;
    let finished = system.finish().await;
    screen.goodbye(&last);
    sandbox.stop().await;
    Ok(if finished.is_clean() && last.pushes > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tenant's keys.
struct Keys {
    secret_key: String,
    publishable_key: String,
}

async fn start(
    settings: Settings,
    metrics: telemetry::Metrics,
    shutdown: Shutdown,
) -> Result<(System, SharedLog, Keys), BoxError> {
    let storage = Storage::open(&settings).await?;
    let made = create_tenant(&storage.publisher, "Demo", UnixMillis(SystemClock.now_ms())).await?;
    let log = Arc::clone(&storage.log);
    let system = System::start(settings, storage, metrics, shutdown).await?;
    let keys = Keys { secret_key: made.secret_key, publishable_key: made.publishable_key };
    Ok((system, log, keys))
}

async fn counts(tally: &Tally, log: &SharedLog, sandbox: &Sandbox) -> Counts {
    let mut transitions = 0;
    for partition in 0..log.partitions(Topic::Transitions) {
        transitions += log.end(Topic::Transitions, partition).await.unwrap_or(0);
    }
    let read = |count: &AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
    Counts {
        fixes: read(&tally.fixes),
        failures: read(&tally.failures),
        transitions,
        pushes: sandbox.sent_count(),
    }
}

/// The usual port where it is free, else any.
async fn free_address(port: u16) -> String {
    let usual = format!("127.0.0.1:{port}");
    if TcpListener::bind(&usual).await.is_ok() { usual } else { "127.0.0.1:0".to_owned() }
}

fn url(address: Option<std::net::SocketAddr>) -> Result<String, BoxError> {
    let address = address.ok_or("the demo needs every role; leave --role out")?;
    Ok(format!("http://{address}"))
}

/// A directory that goes when the demo does.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("geopush-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
