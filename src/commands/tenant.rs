//! `geopush tenant`.

use std::process::ExitCode;

use clap::Subcommand;
use geopush::{Purpose, Storage};
use geopush_model::UnixMillis;
use geopush_registry::create_tenant;
use geopush_service::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::{Ended, Given};

#[derive(Subcommand)]
pub enum Command {
    /// Make a tenant and print its keys; they are shown this once.
    ///
    /// On the embedded default nothing else may run on the data directory; on a fleet everything may.
    Create {
        /// The tenant's name, for people.
        name: String,
        #[command(flatten)]
        given: Given,
    },
}

pub async fn run(command: Command) -> Ended {
    let Command::Create { name, given } = command;
    let (settings, _) = given.settings_for(Purpose::Maintain, &[])?;
    let storage = Storage::open(&settings).await?;
    let made = create_tenant(&storage.publisher, &name, UnixMillis(SystemClock.now_ms())).await;
    storage.close().await;
    let made = made?;
    let keys = json!({
        "tenant_id": made.tenant.to_string(),
        "secret_key": made.secret_key,
        "publishable_key": made.publishable_key,
    });
    println!("{keys}");
    Ok(ExitCode::SUCCESS)
}
