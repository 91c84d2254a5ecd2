//! Every lane that is in use: made when a push wants it, made anew when its credentials change, closed when idle.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;
use geopush_model::{Provider, Push, TenantId, Weight};
use geopush_registry::{AppCredentials, Directory};
use hashbrown::HashMap;
use tokio::time::Instant;

use super::config::{BURST, LaneConfig};
use super::device_limits::DeviceLimits;
use super::event::{self, Meters};
use super::lane::Lane;
use super::line::Line;
use super::provider::NoLane;
use super::rate::Rate;
use super::service::{Means, Services};
use super::transport::Connector;

/// What sending asks of the directory of apps.
#[async_trait]
pub trait Apps: Send + Sync + 'static {
    /// An app's credentials with their version, if there are any.
    fn app(&self, tenant: TenantId, app: &str) -> Option<(i64, Arc<AppCredentials>)>;

    /// How much a tenant weighs beside others.
    fn weight(&self, _tenant: TenantId) -> Weight {
        Weight::default()
    }

    /// Returns when every app that was answered for before the call is known, or at once if that can't be told.
    async fn catch_up(&self);
}

#[async_trait]
impl Apps for Directory {
    fn app(&self, tenant: TenantId, app: &str) -> Option<(i64, Arc<AppCredentials>)> {
        Self::app(self, tenant, app)
    }

    fn weight(&self, tenant: TenantId) -> Weight {
        self.settings(tenant).map(|settings| settings.weight).unwrap_or_default()
    }

    async fn catch_up(&self) {
        if let Err(error) = self.barrier().await {
            tracing::warn!(%error, "the newest apps may not be known; check the log's backend");
        }
    }
}

/// The lanes of a process.
pub struct Lanes {
    apps: Arc<dyn Apps>,
    services: Services,
    means: Means,
    config: LaneConfig,
    devices: Arc<DeviceLimits>,
    fcm_meters: Arc<Meters>,
    apns_meters: Arc<Meters>,
    /// By provider and tenant, then by app.
    known: RwLock<HashMap<(Provider, TenantId), HashMap<String, Known>>>,
    shares: Shares,
}

/// How much of the apps' traffic passes through this process: so many of all slices.
#[derive(Default)]
struct Shares {
    mine: AtomicU32,
    all: AtomicU32,
}

/// A slice whose pushes pass through this process, while it is held.
pub struct Share {
    lanes: Arc<Lanes>,
}

struct Known {
    version: i64,
    credentials: Arc<AppCredentials>,
    lane: Result<Arc<Lane>, NoLane>,
}

impl Lanes {
    /// None is open yet.
    pub fn new(apps: Arc<dyn Apps>, services: Services, connector: Connector, config: LaneConfig) -> Self {
        Self {
            apps,
            services,
            means: Means { connector, allow_provider_urls: config.allow_provider_urls },
            config,
            devices: Arc::new(DeviceLimits::new(Instant::now())),
            fcm_meters: Arc::new(Meters::new(Provider::Fcm)),
            apns_meters: Arc::new(Meters::new(Provider::Apns)),
            known: RwLock::default(),
            shares: Shares::default(),
        }
    }

    /// The lane of a push, by the credentials of now.
    ///
    /// # Errors
    /// [`NoLane`]
    pub fn lane(&self, push: &Push) -> Result<Arc<Lane>, NoLane> {
        let (version, credentials) = self.apps.app(push.tenant, &push.app).ok_or(NoLane::NoApp)?;
        let key = (push.provider, push.tenant);
        let known = self.read();
        let found = known.get(&key).and_then(|apps| apps.get(&push.app));
        if let Some(found) = found.filter(|known| known.version == version) {
            if let Ok(lane) = &found.lane {
                lane.touch();
            }
            return found.lane.clone();
        }
        drop(known);
        self.renew(push, version, credentials)
    }

    /// Another rate takes effect in the lane that there is; other credentials are another lane.
    fn renew(
        &self,
        push: &Push,
        version: i64,
        credentials: Arc<AppCredentials>,
    ) -> Result<Arc<Lane>, NoLane> {
        let mut known = self.write();
        let apps = known.entry((push.provider, push.tenant)).or_default();
        let before = apps.get(&push.app);
        let kept = before.filter(|before| {
            before.version == version || is_same_lane(push.provider, &before.credentials, &credentials)
        });
        let lane = match kept {
            Some(Known { lane: Ok(lane), .. }) => {
                lane.set_rate(self.rate(push.provider, &credentials));
                Ok(Arc::clone(lane))
            }
            _ => self.build(push.provider, &credentials).map(Arc::new),
        };
        if let Err(error) = &lane {
            tracing::error!(tenant = %push.tenant, app = push.app, provider = push.provider.as_str(), %error, "an app can't send");
        }
        if let (Some(Known { lane: Ok(before), .. }), false) = (before, kept.is_some()) {
            before.replace();
        }
        apps.insert(push.app.clone(), Known { version, credentials, lane: lane.clone() });
        count(&known);
        lane
    }

    /// A slice out of `all` whose pushes will pass through this process: its lanes have that much of the rates.
    pub fn share(self: &Arc<Self>, all: u32) -> Share {
        self.shares.all.store(all, Ordering::Relaxed);
        self.shares.mine.fetch_add(1, Ordering::Relaxed);
        self.set_rates();
        Share { lanes: Arc::clone(self) }
    }

    fn set_rates(&self) {
        for ((provider, _), apps) in self.read().iter() {
            for known in apps.values() {
                if let Ok(lane) = &known.lane {
                    lane.set_rate(self.rate(*provider, &known.credentials));
                }
            }
        }
    }

    /// What an app may send, by the operator's word and its own, from this process.
    fn rate(&self, provider: Provider, credentials: &AppCredentials) -> Option<Rate> {
        let own = match provider {
            Provider::Fcm => credentials.fcm.as_ref().and_then(|fcm| fcm.per_minute),
            Provider::Apns => credentials.apns.as_ref().and_then(|apns| apns.per_minute),
        };
        let rate = match provider {
            Provider::Fcm => Some(self.config.fcm_rate.at_most(own)),
            Provider::Apns => match self.config.apns_rate {
                Some(rate) => Some(rate.at_most(own)),
                None => own.map(|per_minute| Rate { per_minute, burst: BURST }),
            },
        };
        let (mine, all) = (self.shares.mine.load(Ordering::Relaxed), self.shares.all.load(Ordering::Relaxed));
        rate.map(|rate| if all == 0 { rate } else { rate.share(mine, all) })
    }

    /// How much a tenant weighs beside others.
    pub fn weight(&self, tenant: TenantId) -> Weight {
        self.apps.weight(tenant)
    }

    /// Returns when the newest apps are known.
    pub async fn catch_up(&self) {
        self.apps.catch_up().await;
    }

    /// Closes what nobody has wanted for as long as the configuration says, connections that were not needed of late,
    /// and what has other credentials now; looks again every `period`.
    pub async fn close_idle(&self, period: Duration) {
        let mut ticks = tokio::time::interval(period);
        loop {
            ticks.tick().await;
            let mut known = self.write();
            for ((provider, tenant), apps) in known.iter_mut() {
                apps.retain(|app, known| self.is_kept(*provider, *tenant, app, known));
            }
            known.retain(|_, apps| !apps.is_empty());
            count(&known);
        }
    }

    fn is_kept(&self, provider: Provider, tenant: TenantId, app: &str, known: &mut Known) -> bool {
        let Ok(lane) = &known.lane else { return false };
        match self.apps.app(tenant, app) {
            Some((version, _)) if version == known.version => {}
            Some((version, now)) if is_same_lane(provider, &known.credentials, &now) => {
                lane.set_rate(self.rate(provider, &now));
                (known.version, known.credentials) = (version, now);
            }
            _ => {
                lane.replace();
                return false;
            }
        }
        lane.shrink();
        // The map's own is one; another is somebody's who waits or sends.
        Arc::strong_count(lane) > 1 || lane.is_wanted(self.config.idle)
    }

    fn build(&self, provider: Provider, credentials: &AppCredentials) -> Result<Lane, NoLane> {
        let service = match provider {
            Provider::Fcm => &self.services.fcm,
            Provider::Apns => &self.services.apns,
        };
        let (limits, meters) = match provider {
            Provider::Fcm => (self.config.fcm_limits(), Arc::clone(&self.fcm_meters)),
            Provider::Apns => (self.config.apns_limits(), Arc::clone(&self.apns_meters)),
        };
        let opened = service.open(credentials, &self.means)?;
        let rate = self.rate(provider, credentials);
        let line = Line::new(opened.connector, opened.endpoint, limits, rate, Arc::clone(&meters));
        Ok(Lane::new(opened.provider, line, Arc::clone(&self.devices), meters))
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<(Provider, TenantId), HashMap<String, Known>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<(Provider, TenantId), HashMap<String, Known>>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.lanes.shares.mine.fetch_sub(1, Ordering::Relaxed);
        self.lanes.set_rates();
    }
}

/// Whether only the rate differs, or the other provider's part. Credentials that were uploaded again as they were are
/// another lane: who does that has put something in order, and does not want to wait for the end of a pause.
fn is_same_lane(provider: Provider, before: &AppCredentials, now: &AppCredentials) -> bool {
    if before == now {
        return false;
    }
    match provider {
        Provider::Fcm => match (&before.fcm, &now.fcm) {
            (Some(before), Some(now)) => before.sends_as(now),
            (before, now) => before.is_none() && now.is_none(),
        },
        Provider::Apns => match (&before.apns, &now.apns) {
            (Some(before), Some(now)) => before.sends_as(now),
            (before, now) => before.is_none() && now.is_none(),
        },
    }
}

fn count(known: &HashMap<(Provider, TenantId), HashMap<String, Known>>) {
    for provider in [Provider::Fcm, Provider::Apns] {
        let of_provider = known.iter().filter(|((of, _), _)| *of == provider);
        event::lanes(provider, of_provider.map(|(_, apps)| apps.len()).sum());
    }
}
