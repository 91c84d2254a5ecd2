//! `geopush sandbox`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use geopush_sandbox::Sandbox;
use geopush_service::shutdown::Shutdown;

use super::Ended;

#[derive(clap::Args)]
pub struct Options {
    /// Where to write ca.pem, service-account.json, apns-key.p8 and sandbox.json.
    #[arg(long)]
    out: PathBuf,
    /// Where FCM and its token endpoint listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    fcm_addr: SocketAddr,
    /// Where APNs listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    apns_addr: SocketAddr,
    /// Where the control API listens; it asks for no credentials.
    #[arg(long, default_value = "127.0.0.1:0")]
    control_addr: SocketAddr,
    /// The name by which senders reach the sandbox, if not by its addresses.
    #[arg(long)]
    host: Option<String>,
}

pub async fn run(options: Options) -> Ended {
    let shutdown = Shutdown::on_signals()?;
    let sandbox = Sandbox::start(geopush_sandbox::Options {
        fcm_addr: options.fcm_addr,
        apns_addr: options.apns_addr,
        control_addr: options.control_addr,
        host: options.host,
        ..Default::default()
    })
    .await?;
    sandbox.write(&options.out)?;
    println!("FCM      {}", sandbox.fcm_url());
    println!("APNs     {}", sandbox.apns_url());
    println!("control  {}/sent", sandbox.control_url());
    println!("files    {}", options.out.display());
    shutdown.requested().await;
    println!("{} pushes were accepted", sandbox.sent_count());
    sandbox.stop().await;
    Ok(ExitCode::SUCCESS)
}
