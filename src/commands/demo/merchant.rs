//! What a merchant does before anything happens: an app, zones, campaigns; and what phones say of themselves.

use geopush_sandbox::Sandbox;
use geopush_service::BoxError;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Keys;
use super::city::City;

const APP: &str = "demo";
/// Registrations that are under way at the same time.
const CONCURRENCY: usize = 64;

/// The merchant's client.
pub struct Merchant {
    http: reqwest::Client,
    api: String,
    ingest: String,
    secret_key: String,
    publishable_key: String,
}

impl Merchant {
    pub fn new(api: &str, ingest: &str, keys: &Keys) -> Result<Self, BoxError> {
        Ok(Self {
            http: geopush_simulator::http_client()?,
            api: api.to_owned(),
            ingest: ingest.to_owned(),
            secret_key: keys.secret_key.clone(),
            publishable_key: keys.publishable_key.clone(),
        })
    }

    /// Makes the app, the zones and three active campaigns.
    pub async fn open(&self, city: &City, sandbox: &Sandbox) -> Result<(), BoxError> {
        self.ask(Method::PUT, &format!("/v1/apps/{APP}"), &sandbox.app_json()).await?;
        let imported = self.ask(Method::POST, "/v1/zones/import", &city.features()).await?;
        if imported["failed"].as_array().is_some_and(|failed| !failed.is_empty()) {
            return Err(format!("zones were refused: {}", imported["failed"]).into());
        }
        for campaign in campaigns() {
            let made = self.ask(Method::POST, "/v1/campaigns", &campaign).await?;
            let id = made["id"].as_str().unwrap_or_default();
            self.ask(Method::POST, &format!("/v1/campaigns/{id}/activate"), &json!({})).await?;
        }
        Ok(())
    }

    /// Registers every phone with a push token; two in three are Android phones.
    pub async fn register_devices(&self, phones: u32, mut progress: impl FnMut(u32)) -> Result<(), BoxError> {
        let mut under_way = JoinSet::new();
        for i in 0..phones {
            if under_way.len() == CONCURRENCY
                && let Some(registered) = under_way.join_next().await
            {
                registered??;
            }
            let (platform, token) =
                if i % 3 == 0 { ("ios", format!("{i:064x}")) } else { ("android", format!("t{i}")) };
            let body = json!({"platform": platform, "app": APP, "push_token": token, "locale": "en"});
            let url = format!("{}/v1/devices/{}", self.ingest, device(i));
            let request = self.http.put(url).bearer_auth(&self.publishable_key).json(&body);
            under_way.spawn(async move { request.send().await?.error_for_status() });
            progress(i + 1);
        }
        while let Some(registered) = under_way.join_next().await {
            registered??;
        }
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, BoxError> {
        let request = self.http.request(method, format!("{}{path}", self.api));
        let response = request.bearer_auth(&self.secret_key).json(body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            return Err(format!("{path} was answered {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }
}

/// A phone's id.
pub fn device(i: u32) -> String {
    format!("phone-{i}")
}

fn campaigns() -> [Value; 3] {
    let campaign = |name: &str, on: &str, tag: &str, title: &str, body: &str| {
        json!({
            "name": name,
            "app": APP,
            "trigger": {"type": "zone", "on": on, "zone_tags": [tag]},
            "cooldown_s": 60,
            "message": {"title": title, "body": body, "data": {"campaign": name}},
        })
    };
    [
        campaign("welcome", "enter", "shop", "Welcome in", "Today only: two for one"),
        campaign("lingering", "dwell", "square", "Nice here, isn't it?", "The fountain plays at six"),
        campaign("goodbye", "exit", "square", "See you soon", "Your points are waiting"),
    ]
}
