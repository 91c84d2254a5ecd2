//! A send to very many devices: planned, sent, recorded, and held against what the provider counted.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use geopush_model::{DeviceId, UnixMillis};
use geopush_registry::{Device, Devices, KnownDevices, Platform};
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use http::Method;
use serde_json::{Value, json};

use super::child::Provider;
use crate::e2e::http::Connection;
use crate::e2e::stand::{Backing, Running};
use crate::pipeline::timeline::Timeline;
use crate::progress;
use crate::report::{Check, Report};

/// Devices that are registered at once.
const REGISTRARS: usize = 512;
/// How often the send is asked how far it is.
const EVERY: Duration = Duration::from_millis(250);
/// Nothing moved for this long: nothing more will.
const PATIENCE: Duration = Duration::from_secs(60);
const APP: &str = "shop";

/// Sends to so many devices on the embedded system, whose files are in `scratch` meanwhile.
///
/// # Errors
/// When the system can't be used.
pub async fn run(devices: u64, program: &Path, scratch: &Path, report: &mut Report) -> Result<(), BoxError> {
    let provider = Provider::start(program)?;
    let dir = tempfile::tempdir_in(scratch)?;
    let system = Running::start(dir.path(), &provider.ca(), &Backing::Embedded).await?;
    let done = through(devices, &provider, &system, report).await;
    system.stop().await?;
    let mut reconciled = done?;
    let taken = provider.finish()?.get(APP).copied().unwrap_or_default();
    reconciled.compare((taken != [devices, 0]).then_some(|| format!("taken and refused: {taken:?}")));
    report.checks.push(reconciled);
    Ok(())
}

async fn through(
    devices: u64,
    provider: &Provider,
    system: &Running,
    report: &mut Report,
) -> Result<Check, BoxError> {
    register(devices, system).await?;
    let mut api = Connection::new(system.api, &system.secret_key);
    let app = serde_json::to_value(provider.app(APP)?)?;
    api.call(Method::PUT, &format!("/v1/apps/{APP}"), Some(&app)).await?;
    let body = json!({
        "app": APP,
        "audience": {"platform": "android"},
        "message": {"title": "Two for one until six", "body": "Bring a friend.", "data": {"screen": "offers"}},
    });
    let began = Instant::now();
    let taken = api.call(Method::POST, "/v1/sends", Some(&body)).await?;
    let path =
        format!("/v1/sends/{}", taken["id"].as_str().ok_or("a send was taken and its id was not told")?);
    let mut sums = Check::new("at every look the counts of the send add up to its targets");
    let (timeline, last) = watch(devices, &path, &mut api, began, &mut sums).await?;
    report.number("million: devices", "", devices as f64);
    report.number("million: from the call to the last row", "s", timeline.took().as_secs_f64());
    report.number("million: planned, sent and recorded", "pushes/s", timeline.rate());
    report.series.push(timeline.series("a send to very many", "pushes/s"));
    let mut reconciled =
        Check::new("every device of the send was pushed to once: the send's counts are the provider's");
    let counted = [count(&last, "targeted"), count(&last, "accepted")];
    reconciled.compare((counted != [devices; 2]).then_some(|| format!("targeted, accepted: {counted:?}")));
    report.checks.push(sums);
    Ok(reconciled)
}

/// Asks how far the send is until it is done; gives how many had ended, when, and the last answer.
async fn watch(
    devices: u64,
    path: &str,
    api: &mut Connection,
    began: Instant,
    sums: &mut Check,
) -> Result<(Timeline, Value), BoxError> {
    let bar = progress::bar("devices", devices)?;
    let mut marks = vec![(began, 0)];
    let mut moved = Instant::now();
    loop {
        let send = api.call(Method::GET, path, None).await?;
        let ended: u64 =
            ["accepted", "failed", "suppressed", "expired"].iter().map(|name| count(&send, name)).sum();
        let differs = count(&send, "targeted") != count(&send, "pending") + ended;
        sums.compare(differs.then_some(|| send.to_string()));
        bar.set_position(ended);
        if marks.last().is_some_and(|mark| mark.1 < ended) {
            moved = Instant::now();
            marks.push((moved, ended));
        }
        if send["status"] == "done" {
            bar.finish_and_clear();
            return Ok((Timeline { began, marks }, send));
        }
        if moved.elapsed() > PATIENCE {
            return Err(format!("a send did not end, and nothing happened for {PATIENCE:?}: {send}").into());
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn count(send: &Value, name: &str) -> u64 {
    send[name].as_u64().unwrap_or(0)
}

/// Registers the devices, past the API: what that costs is not measured here.
async fn register(devices: u64, system: &Running) -> Result<(), BoxError> {
    let bar = progress::bar("devices registered", devices)?;
    let now = UnixMillis(SystemClock.now_ms());
    let registered = Devices::new(system.store.clone(), system.log.clone(), KnownDevices::new(devices));
    stream::iter(0..devices)
        .map(Ok::<_, BoxError>)
        .try_for_each_concurrent(REGISTRARS, async |number| {
            let id = DeviceId::new(&format!("device-{number:07}"))?;
            let change = |device: &mut Device| {
                device.platform = Some(Platform::Android);
                device.app = Some(APP.to_owned());
                device.push_token = Some(format!("fZ1{number:060}:APA91bE{number:080}"));
            };
            registered.upsert(system.tenant, &id, None, now, change).await?;
            bar.inc(1);
            Ok(())
        })
        .await?;
    bar.finish_and_clear();
    Ok(())
}
