//! Every lane that is in use: made when a push wants it, made anew when its credentials change, closed when idle.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use geopush_model::{Provider, Push, TenantId};
use geopush_registry::{AppCredentials, Directory};

use super::apns::{self, Apns};
use super::config::LaneConfig;
use super::event;
use super::fcm::{self, Fcm};
use super::lane::Lane;
use super::provider::Unusable;
use super::transport::{BadUrl, Connections, Connector, Endpoint};

/// What sending asks of the directory of apps.
#[async_trait]
pub trait Apps: Send + Sync + 'static {
    /// An app's credentials with their version, if there are any.
    fn app(&self, tenant: TenantId, app: &str) -> Option<(i64, Arc<AppCredentials>)>;

    /// Returns when every app that was answered for before the call is known, or at once if that can't be told.
    async fn catch_up(&self);
}

#[async_trait]
impl Apps for Directory {
    fn app(&self, tenant: TenantId, app: &str) -> Option<(i64, Arc<AppCredentials>)> {
        Self::app(self, tenant, app)
    }

    async fn catch_up(&self) {
        if let Err(error) = self.barrier().await {
            tracing::warn!(%error, "the newest apps may not be known; check the log's backend");
        }
    }
}

/// Why an app can't send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLane {
    /// It has no credentials for the provider.
    #[error("the app has no credentials for the provider")]
    NoApp,
    /// They can't be used.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// They name an address that can't be sent to.
    #[error(transparent)]
    BadUrl(#[from] BadUrl),
    /// They name an address, which the operator does not allow.
    #[error(
        "the app names an address of its own; start with --allow-provider-urls to allow that, or remove it"
    )]
    UrlNotAllowed,
}

/// The lanes of a process.
pub struct Lanes {
    apps: Arc<dyn Apps>,
    connector: Connector,
    config: LaneConfig,
    known: Mutex<HashMap<Key, Known>>,
}

type Key = (Provider, TenantId, String);

struct Known {
    version: i64,
    lane: Result<Arc<Lane>, NoLane>,
}

impl Lanes {
    /// None is open yet.
    pub fn new(apps: Arc<dyn Apps>, connector: Connector, config: LaneConfig) -> Self {
        Self { apps, connector, config, known: Mutex::default() }
    }

    /// The lane of a push, by the credentials of now.
    ///
    /// # Errors
    /// [`NoLane`]
    pub fn lane(&self, push: &Push) -> Result<Arc<Lane>, NoLane> {
        let (version, credentials) = self.apps.app(push.tenant, &push.app).ok_or(NoLane::NoApp)?;
        let key = (push.provider, push.tenant, push.app.clone());
        let mut known = self.lock();
        if let Some(known) = known.get(&key).filter(|known| known.version == version) {
            if let Ok(lane) = &known.lane {
                lane.touch();
            }
            return known.lane.clone();
        }
        let lane = self.build(push.provider, &credentials).map(Arc::new);
        if let Err(error) = &lane {
            tracing::error!(tenant = %push.tenant, app = push.app, provider = push.provider.as_str(), %error, "an app can't send");
        }
        if let Some(Known { lane: Ok(before), .. }) = known.insert(key, Known { version, lane: lane.clone() })
        {
            before.replace();
        }
        count(&known);
        lane
    }

    /// Returns when the newest apps are known.
    pub async fn catch_up(&self) {
        self.apps.catch_up().await;
    }

    /// Closes what nobody has wanted for as long as the configuration says, and what has other credentials now; looks
    /// again every `period`.
    pub async fn close_idle(&self, period: Duration) {
        let mut ticks = tokio::time::interval(period);
        loop {
            ticks.tick().await;
            let mut known = self.lock();
            known.retain(|(_, tenant, app), known| match &known.lane {
                Ok(lane)
                    if self.apps.app(*tenant, app).is_none_or(|(version, _)| version != known.version) =>
                {
                    lane.replace();
                    false
                }
                // The map's own is one; another is somebody's who waits or sends.
                Ok(lane) => Arc::strong_count(lane) > 1 || lane.idle_for() < self.config.idle,
                Err(_) => false,
            });
            count(&known);
        }
    }

    fn build(&self, provider: Provider, credentials: &AppCredentials) -> Result<Lane, NoLane> {
        let connector = self.connector.clone();
        match provider {
            Provider::Fcm => {
                let app = credentials.fcm.as_ref().ok_or(NoLane::NoApp)?;
                let endpoint = self.endpoint(app.base_url.as_deref(), fcm::URL)?;
                let token_endpoint = self.endpoint(Some(&app.service_account.token_uri), fcm::TOKEN_URL)?;
                let fcm = Fcm::new(app, token_endpoint, connector.clone())?;
                let connections = Connections::new(connector, endpoint, self.config.fcm_limits());
                Ok(Lane::new(Box::new(fcm), connections, Some(self.config.fcm_rate)))
            }
            Provider::Apns => {
                let app = credentials.apns.as_ref().ok_or(NoLane::NoApp)?;
                let endpoint = self.endpoint(app.base_url.as_deref(), apns::url(app.environment))?;
                let connections = Connections::new(connector, endpoint, self.config.apns_limits());
                Ok(Lane::new(Box::new(Apns::new(app)?), connections, self.config.apns_rate))
            }
        }
    }

    /// A tenant must not aim the sender: another address than the provider's only where that is allowed.
    fn endpoint(&self, given: Option<&str>, providers: &str) -> Result<Endpoint, NoLane> {
        match given {
            Some(url) if url != providers && !self.config.allow_provider_urls => Err(NoLane::UrlNotAllowed),
            url => Ok(Endpoint::parse(url.unwrap_or(providers))?),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(known: &HashMap<Key, Known>) {
    for provider in [Provider::Fcm, Provider::Apns] {
        event::lanes(provider, known.keys().filter(|key| key.0 == provider).count());
    }
}
