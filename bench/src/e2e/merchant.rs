//! What a merchant and the phones' apps do before the first ping, over HTTP: an app, zones, campaigns, devices.

use std::sync::Arc;

use geopush_model::CampaignId;
use geopush_service::BoxError;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::http::Connection;
use super::stand::Stand;
use super::town::{Phone, TAGS, Town};

/// The most features in one import: more are answered later.
const IMPORT: usize = 5_000;
/// Connections that register phones side by side.
const REGISTRARS: usize = 16;
const APP: &str = "bench";

/// Sets everything up; says which campaign each of [`TAGS`] has.
///
/// # Errors
/// When a call is not answered as it should be.
pub async fn set_up(
    stand: &Stand,
    town: &Town,
    phones: usize,
) -> Result<Vec<(&'static str, CampaignId)>, BoxError> {
    let mut api = Connection::new(stand.system.api, &stand.system.secret_key);
    api.call(Method::PUT, &format!("/v1/apps/{APP}"), Some(&stand.sandbox.app_json())).await?;
    for features in town.features().chunks(IMPORT) {
        let collection = json!({"type": "FeatureCollection", "features": features});
        let told = api.call(Method::POST, "/v1/zones/import", Some(&collection)).await?;
        if told["created"] != features.len() {
            return Err(
                format!("{} zones were imported, and this was answered: {told}", features.len()).into()
            );
        }
    }
    let mut campaigns = Vec::new();
    for tag in TAGS {
        let made = api.call(Method::POST, "/v1/campaigns", Some(&campaign(tag))).await?;
        let id = made["id"].as_str().ok_or("a campaign was made and its id was not told")?;
        api.call(Method::POST, &format!("/v1/campaigns/{id}/activate"), None).await?;
        campaigns.push((tag, id.parse()?));
    }
    register(stand, phones).await?;
    Ok(campaigns)
}

/// The phones' time is simulated and long past, so no transition is too old.
fn campaign(tag: &str) -> Value {
    json!({
        "name": format!("welcome to a {tag}"),
        "app": APP,
        "trigger": {"type": "zone", "on": "enter", "zone_tags": [tag], "max_age_s": null, "on_initial": false},
        "message": {"title": "Welcome", "body": format!("You came to a {tag}."), "data": {"tag": tag}},
    })
}

async fn register(stand: &Stand, phones: usize) -> Result<(), BoxError> {
    let key: Arc<str> = stand.system.publishable_key.as_str().into();
    let mut registrars = JoinSet::new();
    for registrar in 0..REGISTRARS.min(phones) {
        let (ingest, key) = (stand.system.ingest, Arc::clone(&key));
        registrars.spawn(async move {
            let mut connection = Connection::new(ingest, &key);
            for phone in (registrar..phones).step_by(REGISTRARS).map(Town::phone) {
                let path = format!("/v1/devices/{}", phone.device);
                connection.call(Method::PUT, &path, Some(&registration(&phone))).await?;
            }
            Ok::<_, BoxError>(())
        });
    }
    while let Some(ended) = registrars.join_next().await {
        ended??;
    }
    Ok(())
}

fn registration(phone: &Phone) -> Value {
    json!({
        "platform": phone.platform,
        "app": APP,
        "push_token": phone.push_token,
        "locale": "en-GB",
        "timezone": "Europe/Madrid",
        "consents": {"push": phone.wants_pushes, "location": true},
    })
}
