//! Runs a sandbox until Ctrl-C: `cargo run -p geopush-sandbox --example sandbox -- --out DIR`.

use std::path::PathBuf;

use geopush_sandbox::{Options, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).skip_while(|arg| arg == "sandbox");
    let (Some("--out"), Some(dir), None) = (args.next().as_deref(), args.next(), args.next()) else {
        return Err("give the directory to write to: --out DIR".into());
    };
    let dir = PathBuf::from(dir);
    let sandbox = Sandbox::start(Options::default()).await?;
    sandbox.write(&dir)?;
    println!("FCM {}  APNs {}  control {}", sandbox.fcm_url(), sandbox.apns_url(), sandbox.control_url());
    println!("credentials in {}; Ctrl-C stops", dir.display());
    tokio::signal::ctrl_c().await?;
    sandbox.stop().await;
    Ok(())
}
