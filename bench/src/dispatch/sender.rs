//! The send stage as `geopush run` has it, fed from memory.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use geopush_dispatcher::send::{self, Apps, Rate, SendConfig, SendDependencies};
use geopush_model::{
    CauseId, DeviceId, Message, Origin, Provider, Push, PushId, SendId, Source, TenantId, UnixMillis,
};
use geopush_registry::AppCredentials;
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::child;
use super::feed::{Ends, Feed, Looked, Make, Plan};
use crate::pipeline::timeline::Timeline;
use crate::progress;
use crate::usage::process_cpu_seconds;

/// Slices, as on a fleet.
const PARTITIONS: u32 = 16;
/// Nothing ended for this long: nothing more will.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often the ends are counted.
const SAMPLE: Duration = Duration::from_millis(20);
/// More than any machine does: what is measured must not be the lane's own bound.
const NO_LIMIT: u32 = u32::MAX;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

/// What one run sends.
#[derive(Clone)]
pub struct Sending {
    /// How many pushes.
    pub pushes: u64,
    /// So many a second; none: as many as go.
    pub rate: Option<f64>,
    /// Whether the end of each is read, which costs some time.
    pub looks: bool,
    /// To which apps, in turn.
    pub apps: Vec<&'static str>,
    /// By how many connections an app.
    pub connections: usize,
    /// With how many requests under way on each.
    pub streams: usize,
}

/// What came of it.
pub struct Sent {
    /// How many had ended, when.
    pub timeline: Timeline,
    /// By app; only of a run that looks.
    pub looked: BTreeMap<String, Looked>,
    /// Seconds of processor time that this process used: the feed's share is in it.
    pub cpu_s: f64,
}

impl Sent {
    /// How many of an app's pushes were accepted a second, until its last.
    pub fn rate_of(&self, app: &str) -> f64 {
        let Some(looked) = self.looked.get(app) else { return 0.0 };
        let seconds = looked.last.map_or(0.0, |last| last.duration_since(self.timeline.began).as_secs_f64());
        if seconds > 0.0 { looked.accepted as f64 / seconds } else { 0.0 }
    }
}

struct KnownApps(HashMap<&'static str, Arc<AppCredentials>>);

#[async_trait]
impl Apps for KnownApps {
    fn app(&self, _tenant: TenantId, app: &str) -> Option<(i64, Arc<AppCredentials>)> {
        Some((1, Arc::clone(self.0.get(app)?)))
    }

    async fn catch_up(&self) {}
}

/// A push as merchants send them: some 250 bytes of payload. Its id is its number.
fn make(apps: Vec<&'static str>, expires_at: UnixMillis) -> Make {
    let now = UnixMillis(SystemClock.now_ms());
    let data = [("screen", "offers"), ("offer", "2026-11-autumn")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let message = Message {
        title: "Two for one until six".to_owned(),
        body: "Your coffee is on us when you bring a friend. Show this at the counter.".to_owned(),
        data: data.into(),
        ..Message::default()
    };
    let message = Arc::new(message);
    Arc::new(move |number| {
        let id = Uuid::from_u128(number.into());
        Push {
            id: PushId(id),
            tenant: TENANT,
            device: DeviceId::new(&format!("device-{number}")).expect("it is short"),
            origin: Origin { source: Source::Send(SendId(Uuid::from_u128(7))), cause: CauseId(id) },
            app: apps[number as usize % apps.len()].to_owned(),
            provider: Provider::Fcm,
            token: format!("fZ1{number:060}:APA91bE{number:080}"),
            token_at: now,
            message: Arc::clone(&message),
            created_at: now,
            expires_at,
            received_at: None,
            variant: None,
        }
    })
}

/// Sends.
///
/// # Errors
/// When the provider can't be used, or no longer answers.
pub async fn send(
    sending: &Sending,
    provider: &child::Provider,
    bar: &ProgressBar,
) -> Result<Sent, BoxError> {
    let hour = UnixMillis(SystemClock.now_ms()).plus_ms(3_600_000);
    let feed = Feed::new(Plan {
        partitions: PARTITIONS,
        pushes: sending.pushes,
        rate: sending.rate,
        looks: sending.looks,
        make: make(sending.apps.clone(), hour),
    });
    let ends = feed.ends();
    let mut known = HashMap::new();
    for app in &sending.apps {
        known.insert(*app, Arc::new(provider.app(app)?));
    }
    let mut config = SendConfig { provider_ca: Some(provider.ca()), ..SendConfig::default() };
    config.lanes.allow_provider_urls = true;
    config.lanes.connections = sending.connections;
    config.lanes.fcm_streams = sending.streams;
    let per_minute = const { NonZeroU32::new(NO_LIMIT).unwrap() };
    config.lanes.fcm_rate = Rate { per_minute, ..config.lanes.fcm_rate };
    let dependencies = SendDependencies {
        log: Arc::new(feed),
        apps: Arc::new(KnownApps(known)),
        clock: SystemClock::shared(),
    };
    let shutdown = CancellationToken::new();
    let (cpu, began) = (process_cpu_seconds(), Instant::now());
    let stage = tokio::spawn(send::serve(config, dependencies, shutdown.clone()));
    let shown = progress::follow(bar, {
        let ends = Arc::clone(&ends);
        move || ends.ended.load(Ordering::Relaxed)
    });
    let marks = sample(&ends, sending.pushes).await;
    let cpu_s = process_cpu_seconds() - cpu;
    drop(shown);
    shutdown.cancel();
    stage.await??;
    let timeline = Timeline { began, marks: marks? };
    Ok(Sent { timeline, looked: ends.looked(), cpu_s })
}

/// How many had ended, when, until all have.
async fn sample(ends: &Ends, total: u64) -> Result<Vec<(Instant, u64)>, BoxError> {
    let mut marks = vec![(Instant::now(), 0)];
    let mut moved = Instant::now();
    loop {
        tokio::time::sleep(SAMPLE).await;
        let (now, ended) = (Instant::now(), ends.ended.load(Ordering::Relaxed));
        if marks.last().is_some_and(|last| last.1 != ended) {
            marks.push((now, ended));
            moved = now;
        }
        if ended >= total {
            return Ok(marks);
        }
        let put_off = ends.put_off.load(Ordering::Relaxed);
        if put_off > 0 {
            return Err(format!(
                "{put_off} pushes were put off for a minute or longer, as the lane was slow: nothing can be told of its \
                 speed; run it again on a machine that does nothing else"
            )
            .into());
        }
        if moved.elapsed() > PATIENCE {
            let told = format!("{ended} of {total} pushes have ended, and nothing happened for {PATIENCE:?}");
            return Err(told.into());
        }
    }
}
