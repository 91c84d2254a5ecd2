//! Takes pushes to FCM and APNs, and is the only code that speaks to them.
//!
//! A push comes from the log ([`SendStage`], `intake`) when there is room in its slice's hand (`work`, `share`), waits
//! for its turn in its app's lane (`lane`, `line`: own connections, own rate, own breaker), is asked of the provider
//! (`fcm`, `apns`: what to say; `transport`: how), and its answer is judged by the provider's table of rules
//! (`fcm::rules`, `apns::rules`) until it has one end (`tries`), which is appended to the deliveries before the push
//! counts as done (`hand`, `progress`, `ledger`). One that is to be tried again waits in memory, or is put off to a topic
//! of retries and comes from there (`wait`, `deferral`).
//!
//! Nothing here decides whether a push should exist, and nothing retries what was accepted.

mod apns;
mod append;
mod aps;
mod breaker;
mod config;
#[cfg(test)]
mod conservation;
mod decision;
mod deferral;
mod device_limits;
mod event;
#[cfg(test)]
mod fairness;
mod fcm;
mod hand;
mod hand_event;
mod intake;
mod jwt;
mod lane;
mod lanes;
mod ledger;
mod line;
mod progress;
pub mod provider;
mod rate;
mod service;
mod share;
mod stage;
#[cfg(test)]
mod testing;
mod ticket;
mod transport;
mod tries;
mod wait;
mod waiting;
mod work;

pub use config::{LaneConfig, SendConfig, SliceConfig};
pub use lanes::Apps;
pub use rate::Rate;
pub use stage::SendStage;
pub use transport::{Timeouts, TlsError};
pub use wait::Waits;

use std::sync::Arc;
use std::time::Duration;

use geopush_log::{SharedLog, StageError, run_stage};
use geopush_model::UnixMillis;
use geopush_service::clock::Clock;
use tokio_util::sync::CancellationToken;

use self::lanes::Lanes;
use self::service::Services;
use self::transport::Connector;

/// The data member by which the app on the phone knows a push.
const PUSH_ID: &str = "geopush_push_id";
/// The data member by which the app on the phone knows what a tap opens.
const LINK: &str = "geopush_link";

/// How often idle lanes and connections are looked for, at most and at least.
const IDLE_CHECK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What sending needs.
#[derive(Clone)]
pub struct SendDependencies {
    /// Where pushes come from and deliveries go.
    pub log: SharedLog,
    /// The apps' credentials.
    pub apps: Arc<dyn Apps>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Why sending could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The file of further roots can't be read.
    #[error("can't read provider_ca {path}: {source}; correct the path or leave the key out")]
    ProviderCa {
        /// The file.
        path: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The log failed.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// Sends pushes until `shutdown`; then waits for the answers under way and returns.
///
/// # Errors
/// [`SendError`]
pub async fn serve(
    config: SendConfig,
    dependencies: SendDependencies,
    shutdown: CancellationToken,
) -> Result<(), SendError> {
    serve_with(config, dependencies, Services::default(), shutdown).await
}

/// As [`serve`], by these services.
///
/// # Errors
/// [`SendError`]
pub async fn serve_with(
    config: SendConfig,
    dependencies: SendDependencies,
    services: Services,
    shutdown: CancellationToken,
) -> Result<(), SendError> {
    let further_roots = match &config.provider_ca {
        None => None,
        Some(path) => Some(
            tokio::fs::read(path)
                .await
                .map_err(|source| SendError::ProviderCa { path: path.display().to_string(), source })?,
        ),
    };
    let tls = transport::client_config(further_roots.as_deref())?;
    let connector = Connector::new(tls, config.timeouts);
    let idle_check = (config.lanes.idle / 4).clamp(IDLE_CHECK.0, IDLE_CHECK.1);
    let lanes = Arc::new(Lanes::new(dependencies.apps, services, connector, config.lanes));
    let stage = Arc::new(SendStage::new(Arc::clone(&lanes), dependencies.clock, config.slices));
    tokio::select! {
        ended = run_stage(dependencies.log, stage, shutdown) => Ok(ended?),
        () = lanes.close_idle(idle_check) => Ok(()),
    }
}

/// Whole seconds until `expires_at`, begun ones included; 0 when it has passed.
fn seconds_left(expires_at: UnixMillis, now: UnixMillis) -> i64 {
    let left_ms = expires_at.since_ms(now).max(0);
    left_ms / 1000 + i64::from(left_ms % 1000 > 0)
}
