//! Starting both stand-ins and their control address, and stopping them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::apns::{Apns, ProviderTokens};
use crate::authority::Authority;
use crate::control::{self, Control};
use crate::credentials::{APNS_KEY_ID, APNS_TEAM_ID, APNS_TOPIC, ApnsKey, PROJECT_ID, ServiceAccount};
use crate::fault::Faults;
use crate::fcm::Fcm;
use crate::listener::{Limits, serve};
use crate::oauth::AccessTokens;
use crate::sent::{After, Sent, SentLog};

/// Where a sandbox listens, and how much it remembers.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address of FCM and of its token endpoint.
    pub fcm_addr: SocketAddr,
    /// The address of APNs.
    pub apns_addr: SocketAddr,
    /// The address of the control API, which asks for no credentials: keep it on loopback.
    pub control_addr: SocketAddr,
    /// The name by which clients reach the sandbox; the listening address when absent.
    pub host: Option<String>,
    /// How many accepted pushes are remembered; the oldest are forgotten. At some 0.5 kB each.
    pub kept: usize,
}

impl Default for Options {
    /// Free ports on 127.0.0.1, a million pushes.
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { fcm_addr: free, apns_addr: free, control_addr: free, host: None, kept: 1_000_000 }
    }
}

/// Why a sandbox could not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// An address could not be listened on.
    #[error("cannot listen on {addr} for {what}: {source}; give another address, or port 0 for a free one")]
    Listen {
        /// What would have listened there.
        what: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The certificates could not be made.
    #[error("cannot make the sandbox's certificates: {0}; check that `host` is a host name or an IP address")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("cannot set up the sandbox's TLS: {0}; this is a defect of the sandbox, please report it")]
    Tls(#[from] rustls::Error),
    /// The service account's key could not be made.
    #[error("cannot make the service account's RSA key; check that the system's random source works")]
    Key,
}

/// Running stand-ins for FCM and APNs. Dropped, they stop.
pub struct Sandbox {
    fcm_url: String,
    apns_url: String,
    control_url: String,
    ca_pem: String,
    service_account: Value,
    apns_key_pem: String,
    apns_client: (String, String),
    sent: Arc<SentLog>,
    stop: CancellationToken,
    listeners: JoinSet<()>,
}

impl Sandbox {
    /// Makes keys and certificates, and listens.
    pub async fn start(options: Options) -> Result<Sandbox, SandboxError> {
        let fcm_listener = listen("FCM", options.fcm_addr).await?;
        let apns_listener = listen("APNs", options.apns_addr).await?;
        let control_listener = listen("the control API", options.control_addr).await?;
        let url = |scheme: &str, addr: SocketAddr| match &options.host {
            Some(host) => format!("{scheme}://{host}:{}", addr.port()),
            None => format!("{scheme}://{addr}"),
        };
        let fcm_url = url("https", fcm_listener.1);
        let apns_url = url("https", apns_listener.1);
        let control_url = url("http", control_listener.1);

        let addresses = [fcm_listener.1, apns_listener.1].map(|addr| addr.ip());
        let names: Vec<_> = addresses
            .iter()
            .filter(|ip| !ip.is_unspecified())
            .map(IpAddr::to_string)
            .chain(options.host)
            .collect();
        let token_uri = format!("{fcm_url}/token");
        let account = tokio::task::spawn_blocking(move || ServiceAccount::generate(&token_uri));
        let account = account.await.map_err(|_| SandboxError::Key)??;
        let apns_key = ApnsKey::generate()?;
        let authority = Authority::new(&names, Timestamp::now())?;

        let sent = Arc::new(SentLog::new(options.kept));
        let faults = Arc::new(Faults::default());
        let stop = CancellationToken::new();
        let mut listeners = JoinSet::new();
        let service_account = account.json.clone();
        let fcm = Arc::new(Fcm {
            account,
            tokens: AccessTokens::default(),
            faults: Arc::clone(&faults),
            sent: Arc::clone(&sent),
        });
        let apns = Arc::new(Apns {
            tokens: ProviderTokens::new(&apns_key),
            faults: Arc::clone(&faults),
            sent: Arc::clone(&sent),
        });
        listeners.spawn(serve(
            fcm_listener.0,
            TlsAcceptor::from(authority.fcm_tls),
            Limits { http2_only: false, max_concurrent_streams: 100 },
            stop.clone(),
            move |wire, request| Arc::clone(&fcm).handle(wire, request),
        ));
        listeners.spawn(serve(
            apns_listener.0,
            TlsAcceptor::from(authority.apns_tls),
            Limits { http2_only: true, max_concurrent_streams: 1000 },
            stop.clone(),
            move |wire, request| Arc::clone(&apns).handle(wire, request),
        ));
        let routes = control::routes(Control { sent: Arc::clone(&sent), faults });
        let stopped = stop.clone();
        listeners.spawn(async move {
            let served = axum::serve(control_listener.0, routes);
            tokio::select! {
                () = stopped.cancelled() => {}
                ended = served => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the control address stopped answering; start the sandbox again");
                    }
                }
            }
        });
        Ok(Self {
            fcm_url,
            apns_url,
            control_url,
            ca_pem: authority.ca_pem,
            service_account,
            apns_key_pem: apns_key.pem,
            apns_client: authority.apns_client,
            sent,
            stop,
            listeners,
        })
    }

    /// FCM's base URL, without a slash at its end.
    pub fn fcm_url(&self) -> &str {
        &self.fcm_url
    }

    /// APNs's base URL, without a slash at its end.
    pub fn apns_url(&self) -> &str {
        &self.apns_url
    }

    /// The control API's base URL, without a slash at its end.
    pub fn control_url(&self) -> &str {
        &self.control_url
    }

    /// The root certificate to trust, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A service account's key file, as Google hands it out.
    pub fn service_account_json(&self) -> &Value {
        &self.service_account
    }

    /// An APNs authentication key, as Apple hands it out (`.p8`).
    pub fn apns_key_pem(&self) -> &str {
        &self.apns_key_pem
    }

    /// The body of `PUT /v1/apps/{app}` that sends an app's pushes here.
    pub fn app_json(&self) -> Value {
        json!({
            "fcm": { "service_account": self.service_account, "base_url": self.fcm_url },
            "apns": {
                "team_id": APNS_TEAM_ID,
                "key_id": APNS_KEY_ID,
                "topic": APNS_TOPIC,
                "private_key": self.apns_key_pem,
                "environment": "sandbox",
                "base_url": self.apns_url,
            },
        })
    }

    /// The same app, which shows APNs a certificate instead of tokens.
    pub fn certified_app_json(&self) -> Value {
        let (certificate, private_key) = &self.apns_client;
        let mut app = self.app_json();
        app["apns"] = json!({
            "certificate": certificate,
            "private_key": private_key,
            "topic": APNS_TOPIC,
            "environment": "sandbox",
            "base_url": self.apns_url,
        });
        app
    }

    /// Writes `ca.pem`, `service-account.json`, `apns-key.p8`, `apns-certificate.pem` (with its key), `app.json` (the body of `PUT /v1/apps/{app}` that sends
    /// an app's pushes here) and, last and at once, `sandbox.json` to `dir`, which is made when absent: who sees `sandbox.json` sees all. Files with keys are the owner's alone.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let sandbox = json!({
            "fcm_url": self.fcm_url,
            "apns_url": self.apns_url,
            "control_url": self.control_url,
            "token_uri": self.service_account["token_uri"],
            "project_id": PROJECT_ID,
            "team_id": APNS_TEAM_ID,
            "key_id": APNS_KEY_ID,
            "topic": APNS_TOPIC,
            "app": self.app_json(),
        });
        fs::write(dir.join("ca.pem"), &self.ca_pem)?;
        write_secret(&dir.join("service-account.json"), &format!("{:#}\n", self.service_account))?;
        write_secret(&dir.join("apns-key.p8"), &self.apns_key_pem)?;
        let (certificate, key) = &self.apns_client;
        write_secret(&dir.join("apns-certificate.pem"), &format!("{certificate}{key}"))?;
        write_secret(&dir.join("app.json"), &format!("{:#}\n", self.app_json()))?;
        let unfinished = dir.join(".sandbox.json.new");
        write_secret(&unfinished, &format!("{sandbox:#}\n"))?;
        fs::rename(unfinished, dir.join("sandbox.json"))
    }

    /// How many pushes were accepted since the start.
    pub fn sent_count(&self) -> u64 {
        self.sent.count()
    }

    /// The newest `n` accepted pushes that are remembered, oldest first.
    pub fn latest(&self, n: usize) -> Vec<Sent> {
        self.sent.latest(n)
    }

    /// Up to `limit` remembered pushes after the one numbered `seq`, oldest first; `seq` 0 is the start.
    pub fn sent_after(&self, seq: u64, limit: usize) -> Vec<Sent> {
        self.sent.page(After::Seq(seq), limit).sent
    }

    /// Waits until `count` pushes were accepted since the start; false when `timeout` passed first.
    pub async fn wait_for_sent(&self, count: u64, timeout: Duration) -> bool {
        self.sent.wait_for(count, timeout).await
    }

    /// Stops listening and closes every connection.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.listeners.join_next().await.is_some() {}
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen(what: &'static str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), SandboxError> {
    let failed = |source| SandboxError::Listen { what, addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
