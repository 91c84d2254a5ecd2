//! Posts pings as a phone's SDK does: a key, a bound on time, and patience when the server asks for it.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::PhoneFix;

/// A server that does not answer within this time is tried again.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often one request is tried.
const MOST_TRIES: u32 = 8;
/// The longest pause between two tries, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Posts pings to one deployment. Cheap to clone.
#[derive(Clone)]
pub struct PingClient {
    http: reqwest::Client,
    url: String,
    key: String,
}

/// What the server said of a request that it accepted.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answer {
    /// How many fixes it took.
    pub accepted: u64,
    /// The others.
    pub rejected: Vec<Rejected>,
}

/// A fix that the server did not take.
#[derive(Clone, Debug, Deserialize)]
pub struct Rejected {
    /// Its place in the request.
    pub index: usize,
    /// Why.
    pub code: String,
    /// What to do about it.
    pub detail: String,
}

/// Why pings were not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client could not be made.
    #[error("no HTTP client could be made: {0}")]
    Setup(String),
    /// The server refused for good.
    #[error("the server answered {status}: {body}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it said.
        body: String,
    },
    /// No answer after all tries.
    #[error("no answer after {MOST_TRIES} tries: {0}; check the address and that the server runs")]
    Unreachable(String),
}

impl PingClient {
    /// Posts to `url` (the ingest's, such as `http://127.0.0.1:8080`) with a publishable or secret key.
    ///
    /// # Errors
    /// [`ClientError::Setup`]
    pub fn new(url: &str, key: &str) -> Result<Self, ClientError> {
        let http = http_client()?;
        Ok(Self { http, url: format!("{}/v1/pings", url.trim_end_matches('/')), key: key.to_owned() })
    }

    /// Posts fixes of some phones in one request; returns once they are durable.
    ///
    /// # Errors
    /// When the server refuses for good, or does not answer.
    pub async fn send(&self, phones: &[(&str, &[PhoneFix])]) -> Result<Answer, ClientError> {
        let body: Vec<Value> = phones.iter().map(|(device, fixes)| entry(device, fixes)).collect();
        let body = Value::from(body).to_string();
        let mut pause = Duration::from_millis(200);
        let mut last = String::new();
        for _ in 0..MOST_TRIES {
            let request = self.http.post(&self.url).bearer_auth(&self.key);
            let request = request.header("content-type", "application/json").body(body.clone());
            match request.send().await {
                Ok(response) if response.status() == StatusCode::ACCEPTED => match response.json().await {
                    Ok(answer) => return Ok(answer),
                    Err(e) => last = e.to_string(),
                },
                Ok(response) if is_passing(response.status()) => {
                    last = format!("status {}", response.status());
                    let asked =
                        response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                    pause = asked.map_or(pause, Duration::from_secs).min(LONGEST_PAUSE);
                }
                Ok(response) => {
                    let status = response.status();
                    return Err(ClientError::Refused {
                        status,
                        body: response.text().await.unwrap_or_default(),
                    });
                }
                Err(e) => last = e.to_string(),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(ClientError::Unreachable(last))
    }
}

/// An HTTP client with a bound on time, which trusts the web's public roots.
///
/// # Errors
/// [`ClientError::Setup`]
pub fn http_client() -> Result<reqwest::Client, ClientError> {
    let setup = |e: &dyn std::fmt::Display| ClientError::Setup(e.to_string());
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| setup(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(TIMEOUT)
        .user_agent(concat!("geopush-simulate/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| setup(&e))
}

fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error()
}

fn entry(device: &str, fixes: &[PhoneFix]) -> Value {
    let pings: Vec<_> =
        fixes.iter().map(|fix| json!({"lat": fix.lat, "lon": fix.lon, "time": fix.time_ms})).collect();
    json!({"device_id": device, "pings": pings})
}
