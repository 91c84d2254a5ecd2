//! `geopush simulate`.

use std::path::PathBuf;
use std::process::ExitCode;

use geopush_simulator::{PingClient, ReplayOptions, Speed, Summary, Trace, read_trace, replay};
use indicatif::{ProgressBar, ProgressStyle};

use super::Ended;

#[derive(clap::Args)]
pub struct Options {
    /// The address of the deployment's ingest, such as http://127.0.0.1:8080.
    #[arg(long)]
    url: String,
    /// A publishable or secret key of the tenant.
    #[arg(long, env = "GEOPUSH_KEY", hide_env_values = true)]
    key: String,
    /// A recorded trace: CSV (device,time_ms,lat,lon) or GPX.
    #[arg(long)]
    trace: PathBuf,
    /// How many times faster than recorded; 0: as fast as the server takes it.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// The most fixes in a request.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// The most phones that wait for an answer at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
}

fn speed(text: &str) -> Result<f64, String> {
    let wanted = "give 0, or how many times faster than recorded";
    text.parse()
        .ok()
        .filter(|speed: &f64| speed.is_finite() && *speed >= 0.0)
        .ok_or_else(|| wanted.to_owned())
}

pub async fn run(options: Options) -> Ended {
    let trace = read_trace(&options.trace)?;
    if trace.without_time > 0 {
        eprintln!("{} track points have no time and are left out", trace.without_time);
    }
    if trace.is_empty() {
        return Err("the trace has no fix that can be sent; check that its points have times".into());
    }
    let client = PingClient::new(&options.url, &options.key)?;
    let speed = if options.speed == 0.0 { Speed::AsFastAsPossible } else { Speed::Times(options.speed) };
    let replay_options =
        ReplayOptions { speed, batch: options.batch as usize, concurrency: options.concurrency as usize };
    let bar = progress_bar(&trace);
    let summary = replay(&client, &trace, replay_options, |progress| bar.inc(progress.fixes)).await;
    bar.finish_and_clear();
    let summary = summary?;
    print_summary(&trace, &summary);
    Ok(ExitCode::SUCCESS)
}

fn progress_bar(trace: &Trace) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} fixes  {per_sec}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(trace.len() as u64).with_style(style)
}

fn print_summary(trace: &Trace, summary: &Summary) {
    let seconds = summary.took.as_secs_f64();
    println!("phones     {}", trace.phones.len());
    println!(
        "fixes      {} in {seconds:.1} s ({:.0} a second)",
        summary.fixes,
        summary.fixes as f64 / seconds.max(1e-9)
    );
    println!("accepted   {}", summary.accepted);
    for (code, count) in &summary.rejected {
        println!("rejected   {count} {code}");
    }
    let ms = |share| summary.latency(share).as_secs_f64() * 1_000.0;
    println!("requests   {}: median {:.1} ms, 99 % within {:.1} ms", summary.requests, ms(0.5), ms(0.99));
}
