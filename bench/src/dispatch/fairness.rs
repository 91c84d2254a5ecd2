//! What another tenant's single pushes wait while one tenant sends to very many: on the embedded system, from the call
//! to the provider's acceptance, beside what they take when nothing else goes on.
//!
//! Twice: the large send as fast as it goes, so that the processors are what all wait for; and with an app whose rate is
//! low, so that its pushes stand in line for minutes.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use geopush_log::{Cursor, Reader, SharedLog, Topic, Until};
use geopush_model::{Delivery, DeviceId, Outcome, TenantId, UnixMillis, Wire as _};
use geopush_registry::{Device, Devices, KnownDevices, Platform, Publisher, create_tenant};
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use http::Method;
use serde_json::{Value, json};

use super::child::Provider;
use crate::e2e::http::Connection;
use crate::e2e::stand::{Backing, Running};
use crate::goal::Goal;
use crate::latency::{Latencies, Latency};
use crate::progress;
use crate::report::{Check, Report};

/// Single pushes of each measurement, and the pause between two of them.
const SINGLES: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);
/// A single push that has not ended within this time counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Devices that are registered at once.
const REGISTRARS: usize = 512;
/// The app that is sent by as fast as it goes, and the one with a low rate.
const FAST: &str = "shop";
const SLOW: &str = "shop-slow";
const SLOW_PER_MINUTE: u32 = 60 * 500;

/// Sends to so many devices of one tenant, and single pushes of another meanwhile.
///
/// # Errors
/// When the system can't be used.
pub async fn run(devices: u64, program: &Path, scratch: &Path, report: &mut Report) -> Result<(), BoxError> {
    let provider = Provider::start(program)?;
    let dir = tempfile::tempdir_in(scratch)?;
    let system = Running::start(dir.path(), &provider.ca(), &Backing::Embedded).await?;
    let done = through(devices, &provider, &system, report).await;
    system.stop().await?;
    done
}

async fn through(
    devices: u64,
    provider: &Provider,
    system: &Running,
    report: &mut Report,
) -> Result<(), BoxError> {
    let mut crowd = Connection::new(system.api, &system.secret_key);
    let mut slow = serde_json::to_value(provider.app(SLOW)?)?;
    slow["fcm"]["per_minute"] = json!(SLOW_PER_MINUTE);
    for (name, app) in [(FAST, serde_json::to_value(provider.app(FAST)?)?), (SLOW, slow)] {
        crowd.call(Method::PUT, &format!("/v1/apps/{name}"), Some(&app)).await?;
    }
    register(system.tenant, devices, system).await?;
    let mut single = Single::open(provider, system).await?;
    let alone = single.measure("a single push, nothing else going on").await?;
    let mut check = Check::new("every single push was accepted");
    for (app, what, goal) in [
        (
            FAST,
            "a single push beside another tenant's million, as fast as it goes",
            "what another's million delays a single push, p50",
        ),
        (
            SLOW,
            "a single push beside another tenant's million, in line for its rate",
            "what another's million in line delays a single push, p50",
        ),
    ] {
        let body = json!({
            "app": app,
            "audience": {"platform": "android"},
            "message": {"title": "Two for one until six", "body": "Bring a friend."},
        });
        let taken = crowd.call(Method::POST, "/v1/sends", Some(&body)).await?;
        let path = format!("/v1/sends/{}", taken["id"].as_str().ok_or("a send was taken without an id")?);
        until_under_way(&mut crowd, &path).await?;
        let beside = single.measure(what).await?;
        let send = crowd.call(Method::GET, &path, None).await?;
        report.number(&format!("fairness: sent of the million by then, {app}"), "", count(&send, "accepted"));
        let goes_on = send["status"] == "running";
        check.compare((!goes_on).then_some(|| format!("the large send ended too early: {send}")));
        let delay_ms = |of: fn(&Measured) -> f64| of(&beside) - alone.p50_ms;
        report.number(&format!("fairness: p50, {app}"), "ms", beside.p50_ms);
        report.number(&format!("fairness: p99, {app}"), "ms", beside.p99_ms);
        report.goals.push(Goal::at_most(goal, "ms", delay_ms(|m| m.p50_ms).max(0.0), 100.0));
        report.goals.push(Goal::at_most(
            &goal.replace("p50", "p99"),
            "ms",
            delay_ms(|m| m.p99_ms).max(0.0),
            100.0,
        ));
        check.compare((beside.lost > 0).then_some(|| format!("{} did not end: {what}", beside.lost)));
        report.latencies.push(beside.told);
        if goes_on {
            crowd.call(Method::POST, &format!("{path}/cancel"), None).await?;
        }
    }
    report.number("fairness: p50, nothing else", "ms", alone.p50_ms);
    report.latencies.push(alone.told);
    report.checks.push(check);
    Ok(())
}

fn count(send: &Value, name: &str) -> f64 {
    send[name].as_f64().unwrap_or(0.0)
}

/// Waits until some of a send's pushes were accepted: then all stages have to do.
async fn until_under_way(api: &mut Connection, path: &str) -> Result<(), BoxError> {
    let looks = PATIENCE.as_millis() / PAUSE.as_millis();
    for _ in 0..looks {
        if count(&api.call(Method::GET, path, None).await?, "accepted") >= 1_000.0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(format!("nothing of a large send was accepted within {PATIENCE:?}").into())
}

/// The tenant with the single pushes.
struct Single {
    api: Connection,
    tenant: TenantId,
    deliveries: Box<dyn Reader>,
    next: usize,
}

/// What its pushes took.
struct Measured {
    told: Latency,
    p50_ms: f64,
    p99_ms: f64,
    lost: usize,
}

impl Single {
    async fn open(provider: &Provider, system: &Running) -> Result<Self, BoxError> {
        let publisher = Publisher::new(system.store.clone(), system.log.clone(), now);
        let tenant = create_tenant(&publisher, "single", now()).await?;
        let mut api = Connection::new(system.api, &tenant.secret_key);
        let app = serde_json::to_value(provider.app("single")?)?;
        // The key is known everywhere in a moment.
        let mut put = api.call(Method::PUT, "/v1/apps/shop", Some(&app)).await;
        for _ in 0..20 {
            if put.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            put = api.call(Method::PUT, "/v1/apps/shop", Some(&app)).await;
        }
        put?;
        register(tenant.tenant, SINGLES as u64 * 3, system).await?;
        let deliveries = follow(&system.log).await?;
        Ok(Self { api, tenant: tenant.tenant, deliveries, next: 0 })
    }

    async fn measure(&mut self, what: &str) -> Result<Measured, BoxError> {
        let bar = progress::bar("single pushes", SINGLES as u64)?;
        let (mut took, mut lost) = (Latencies::default(), 0);
        for _ in 0..SINGLES {
            let device = device(self.next as u64);
            self.next += 1;
            let body = json!({"app": FAST, "device_ids": [device], "message": {"title": "Hello"}});
            let asked = now();
            self.api.call(Method::POST, "/v1/sends", Some(&body)).await?;
            match tokio::time::timeout(PATIENCE, self.end_of(&device)).await {
                Ok(end) => {
                    let end = end?;
                    lost += usize::from(end.outcome != Outcome::Accepted);
                    let ms = u64::try_from(end.finished_at.since_ms(asked)).unwrap_or(0);
                    took.record(Duration::from_millis(ms));
                }
                Err(_) => lost += 1,
            }
            bar.inc(1);
            tokio::time::sleep(PAUSE).await;
        }
        bar.finish_and_clear();
        let told = took.summary(what);
        let (p50_ms, p99_ms) = (told.p50_us as f64 / 1e3, told.p99_us as f64 / 1e3);
        Ok(Measured { told, p50_ms, p99_ms, lost })
    }

    async fn end_of(&mut self, device: &str) -> Result<Delivery, BoxError> {
        loop {
            let Some((_, records)) = self.deliveries.next(PATIENCE).await? else { continue };
            for record in records {
                let Some(delivery) = record.value.as_deref().map(Delivery::decode) else { continue };
                let delivery = delivery?;
                if delivery.tenant == self.tenant && delivery.device.as_str() == device {
                    return Ok(delivery);
                }
            }
        }
    }
}

fn now() -> UnixMillis {
    UnixMillis(SystemClock.now_ms())
}

fn device(number: u64) -> String {
    format!("device-{number:07}")
}

async fn follow(log: &SharedLog) -> Result<Box<dyn Reader>, BoxError> {
    let mut cursors = Vec::new();
    for partition in 0..log.partitions(Topic::Deliveries) {
        let offset = log.end(Topic::Deliveries, partition).await?;
        cursors.push(Cursor { topic: Topic::Deliveries, partition, offset });
    }
    Ok(log.read(cursors, Until::Never).await?)
}

/// Registers devices that any of their tenant's apps reaches, past the API: what that costs is not measured here.
async fn register(tenant: TenantId, devices: u64, system: &Running) -> Result<(), BoxError> {
    let bar = progress::bar("devices registered", devices)?;
    let at = now();
    let registered = Devices::new(system.store.clone(), system.log.clone(), KnownDevices::new(devices));
    stream::iter(0..devices)
        .map(Ok::<_, BoxError>)
        .try_for_each_concurrent(REGISTRARS, async |number| {
            let id = DeviceId::new(&device(number))?;
            let change = |device: &mut Device| {
                device.platform = Some(Platform::Android);
                device.push_token = Some(format!("fZ1{number:060}:APA91bE{number:080}"));
            };
            registered.upsert(tenant, &id, None, at, change).await?;
            bar.inc(1);
            Ok(())
        })
        .await?;
    bar.finish_and_clear();
    Ok(())
}
