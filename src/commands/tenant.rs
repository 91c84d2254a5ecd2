//! `geopush tenant`.

use std::process::ExitCode;

use clap::Subcommand;
use geopush::{Purpose, Storage};
use geopush_model::{TenantId, UnixMillis, Weight};
use geopush_registry::{create_tenant, set_weight};
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
    /// Say how much a tenant weighs beside others while their sends contend; 1 to 100, at first 1.
    ///
    /// On the embedded default nothing else may run on the data directory; on a fleet everything may, and the weight
    /// holds from the next page of a send on.
    Weight {
        /// The tenant's id, as `tenant create` printed it.
        tenant: TenantId,
        /// Its weight.
        #[arg(value_parser = weight)]
        weight: Weight,
        #[command(flatten)]
        given: Given,
    },
}

fn weight(text: &str) -> Result<Weight, String> {
    let weight = text.parse().ok().and_then(Weight::new);
    weight.ok_or_else(|| format!("give a whole number from 1 to {}", Weight::MOST.get()))
}

pub async fn run(command: Command) -> Ended {
    match command {
        Command::Create { name, given } => create(&name, &given).await,
        Command::Weight { tenant, weight, given } => weigh(tenant, weight, &given).await,
    }
}

async fn weigh(tenant: TenantId, weight: Weight, given: &Given) -> Ended {
    let (settings, _) = given.settings_for(Purpose::Maintain, &[])?;
    let storage = Storage::open(&settings).await?;
    let now = UnixMillis(SystemClock.now_ms());
    let is_known = set_weight(&storage.publisher, tenant, weight, now).await;
    storage.close().await;
    if !is_known? {
        return Err(
            format!("there is no tenant {tenant}; give an id that `geopush tenant create` printed").into()
        );
    }
    println!("{}", json!({"tenant_id": tenant.to_string(), "weight": weight.get()}));
    Ok(ExitCode::SUCCESS)
}

async fn create(name: &str, given: &Given) -> Ended {
    let (settings, _) = given.settings_for(Purpose::Maintain, &[])?;
    let storage = Storage::open(&settings).await?;
    let made = create_tenant(&storage.publisher, name, UnixMillis(SystemClock.now_ms())).await;
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
