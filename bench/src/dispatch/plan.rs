//! How fast the plan stage is on the embedded log: causes consumed, decided on with devices' rows, committed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use geopush_dispatcher::plan::{self, PlanConfig, PlanDependencies};
use geopush_embedded::Database;
use geopush_geometry::Position;
use geopush_log::{EmbeddedLog, Record, SharedLog, Topic};
use geopush_model::{
    App, Campaign, CampaignId, CampaignStatus, Config, ConfigItem, DeviceId, Fix, Message, TenantId,
    Transition, TransitionId, TransitionKind, Trigger, TriggerKind, UnixMillis, Wire as _, ZoneChoice,
    ZoneId, ZoneTrigger,
};
use geopush_registry::{Devices, Directory, KnownDevices, Platform};
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;
use geopush_store::{EmbeddedStore, Store};
use uuid::Uuid;

use crate::goal::Goal;
use crate::pipeline::watched::{Taken, Watched, wait_for};
use crate::progress;
use crate::report::{Check, Report};
use crate::usage::process_cpu_seconds;

/// Slices, as the embedded default has them.
const PARTITIONS: u32 = 8;
/// Campaigns that are active, each on a zone of its own.
pub(super) const CAMPAIGNS: u64 = 1_000;
/// Causes of a device.
const CAUSES_A_DEVICE: u64 = 5;
/// Records of one append.
const APPEND: usize = 5_000;
const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const APP: &str = "shop";

/// An active campaign on the enters of the zone of the same number.
pub(super) fn campaign(number: u64, now: UnixMillis) -> Campaign {
    let trigger = Trigger::Zone(ZoneTrigger {
        on: TriggerKind::Enter,
        zones: ZoneChoice { zone_ids: vec![zone(number)], zone_tags: Vec::new() },
        max_age_s: None,
        on_initial: true,
    });
    let message = Message {
        title: "Two for one until six".to_owned(),
        body: "Your coffee is on us when you bring a friend.".to_owned(),
        ..Message::default()
    };
    let id = CampaignId(Uuid::from_u128(1_000_000 + u128::from(number)));
    let draft = Campaign::draft(TENANT, id, APP, trigger, message, now);
    Campaign { status: CampaignStatus::Active, cooldown_s: 60, ..draft }
}

fn zone(number: u64) -> ZoneId {
    ZoneId(Uuid::from_u128(number.into()))
}

/// The `seq`-th transition of a device: an enter.
pub(super) fn enter(
    device: &DeviceId,
    seq: u64,
    zone_number: u64,
    now: UnixMillis,
) -> Result<Transition, BoxError> {
    let (zone, at) = (zone(zone_number), now.plus_ms(i64::try_from(seq)?));
    Ok(Transition {
        id: TransitionId::of(TENANT, device, zone, TransitionKind::Enter, at),
        seq,
        tenant: TENANT,
        device: device.clone(),
        zone,
        zone_external_id: None,
        kind: TransitionKind::Enter,
        at,
        fix: Fix::at(Position::new(2.1, 41.3).ok_or("a position")?, at),
        initial: false,
        dwell_s: None,
        zone_version: 1,
        incarnation: now,
        received_at: Some(at),
    })
}

/// Has so many causes decided on, by a stage whose files are in `scratch` meanwhile.
///
/// # Errors
/// When the log or the tables can't be used.
pub async fn run(causes: u64, scratch: &Path, report: &mut Report) -> Result<(), BoxError> {
    let dir = tempfile::tempdir_in(scratch)?;
    let database = Database::open(dir.path())?;
    let log: SharedLog = Arc::new(EmbeddedLog::open(database.clone(), PARTITIONS).await?);
    let store = Store::new(Arc::new(EmbeddedStore::new(database.clone())));
    store.migrate().await?;
    let now = UnixMillis(SystemClock.now_ms());
    let devices = Devices::new(store.clone(), Arc::clone(&log), KnownDevices::new(1_000));
    furnish(causes, &log, &devices, now).await?;

    let watched = Watched::keeping(Arc::clone(&log));
    let seen = Arc::clone(&watched.seen);
    let shutdown = Shutdown::new();
    let dependencies = PlanDependencies {
        log: Arc::new(watched),
        store,
        devices,
        directory: Arc::new(Directory::follow(Arc::clone(&log), None).await?),
        clock: SystemClock::shared(),
        readiness: Health::new(shutdown.clone()).register("plan"),
    };
    let bar = progress::bar("causes", causes)?;
    let cpu = process_cpu_seconds();
    let stage = tokio::spawn(plan::serve(PlanConfig::default(), dependencies, shutdown.token()));
    let shown = progress::follow(&bar, {
        let seen = Arc::clone(&seen);
        move || seen.done.load(Ordering::Relaxed)
    });
    let done = wait_for(&seen.done, causes, PATIENCE).await;
    let cpu = process_cpu_seconds() - cpu;
    drop(shown);
    bar.finish_and_clear();
    shutdown.request();
    stage.await??;
    done?;
    log.close().await;
    database.close().await;

    let Taken { timeline, outputs, failed: lost, .. } = seen.take();
    let pushes = outputs.values().flatten().filter(|record| record.topic == Topic::Pushes).count() as u64;
    let mut check = Check::new("every cause was decided on once, as a push, and no commit was lost");
    check.compare(
        (pushes != causes || lost > 0).then_some(|| format!("{pushes} pushes of {causes}, {lost} lost")),
    );
    report.checks.push(check);
    report.number("plan: the stage on the embedded log", "causes/s", timeline.rate());
    report.number(
        "plan: a second of processor time, the log's and the tables' in it",
        "causes/s",
        causes as f64 / cpu,
    );
    report.goals.push(Goal::at_least("the plan stage, embedded", "causes/s", timeline.rate(), 20_000.0));
    report.series.push(timeline.series("plan stage", "causes/s"));
    Ok(())
}

/// An app, the campaigns, the devices and the causes.
async fn furnish(causes: u64, log: &SharedLog, devices: &Devices, now: UnixMillis) -> Result<(), BoxError> {
    let app = App { name: APP.to_owned(), sealed: Bytes::new(), fcm: true, apns: false, deleted: false };
    let config = Config { tenant: TENANT, version: 1, item: ConfigItem::App(app) };
    let mut records = vec![Record::new(Topic::Config, config.key(), config.encode())];
    records.extend((0..CAMPAIGNS).map(|number| {
        let campaign = campaign(number, now);
        Record::new(Topic::Campaigns, campaign.id.to_string(), campaign.encode())
    }));
    log.append(records).await?;
    for number in 0..causes.div_ceil(CAUSES_A_DEVICE) {
        let id = device(number)?;
        let register = |device: &mut geopush_registry::Device| {
            device.platform = Some(Platform::Android);
            device.app = Some(APP.to_owned());
            device.push_token = Some(format!("fZ1{number:060}:APA91bE{number:080}"));
        };
        devices.upsert(TENANT, &id, None, now, register).await?;
    }
    let mut records = Vec::with_capacity(APPEND);
    for cause in 0..causes {
        let transition =
            enter(&device(cause / CAUSES_A_DEVICE)?, cause % CAUSES_A_DEVICE + 1, cause % CAMPAIGNS, now)?;
        records.push(Record::new(Topic::Transitions, transition.key().to_bytes(), transition.encode()));
        if records.len() == APPEND || cause + 1 == causes {
            log.append(std::mem::take(&mut records)).await?;
        }
    }
    Ok(())
}

fn device(number: u64) -> Result<DeviceId, BoxError> {
    Ok(DeviceId::new(&format!("device-{number:07}"))?)
}
