//! Made-up deliveries, as the log has them and as rows.

use geopush_log::{Record, Topic};
use geopush_model::{
    CampaignId, CauseId, Delivery, DeviceId, Origin, Outcome, Provider, PushId, Reason, Source, TenantId,
    UnixMillis, Wire as _,
};
use geopush_service::BoxError;
use geopush_store::Timestamp;
use geopush_store::baseline::DeliveryRow;
use geopush_store::tables::{DeliveryByDeviceRow, DeliveryBySourceRow, PushRow, hour_of, id_shard, month_of};
use uuid::Uuid;

/// Campaigns that push at the same time.
const CAMPAIGNS: u128 = 5;
/// Pushes of a device on a day.
const OF_A_DEVICE: usize = 3;
/// One of so many is suppressed.
const SUPPRESSED: usize = 20;

/// Rows that a delivery has in the middle: by source, by device and, if it was sent, by id.
pub const ROWS: f64 = 3.0 - 1.0 / SUPPRESSED as f64;

/// So many deliveries of a tenant, the first at `from`, one each millisecond.
pub fn deliveries(tenant: TenantId, count: usize, from: UnixMillis) -> Result<Vec<Delivery>, BoxError> {
    let devices = count.div_ceil(OF_A_DEVICE);
    (0..count).map(|index| delivery(tenant, index, devices, from)).collect()
}

/// The campaigns of a tenant's deliveries.
pub fn campaigns(tenant: TenantId) -> impl Iterator<Item = CampaignId> {
    (0..CAMPAIGNS).map(move |campaign| CampaignId(Uuid::from_u128(tenant.0.as_u128() ^ (campaign + 1))))
}

fn delivery(tenant: TenantId, index: usize, devices: usize, from: UnixMillis) -> Result<Delivery, BoxError> {
    let device =
        DeviceId::new(&format!("phone-{:06}", index % devices)).map_err(|error| error.to_string())?;
    let campaign = campaigns(tenant).nth(index % CAMPAIGNS as usize).ok_or("there is no such campaign")?;
    let cause = CauseId(Uuid::new_v5(&tenant.0, &index.to_be_bytes()));
    let push = PushId::of(tenant, campaign.0, &device, cause);
    let created_at = from.plus_ms(index as i64);
    let is_sent = !index.is_multiple_of(SUPPRESSED);
    Ok(Delivery {
        push,
        tenant,
        device,
        origin: Origin { source: Source::Campaign(campaign), cause },
        app: "shop".to_owned(),
        provider: is_sent.then_some(Provider::Fcm),
        outcome: if is_sent { Outcome::Accepted } else { Outcome::Suppressed },
        reason: (!is_sent).then_some(Reason::NoConsent),
        attempts: u32::from(is_sent),
        created_at,
        finished_at: created_at.plus_ms(80),
        provider_message_id: is_sent.then(|| format!("projects/shop/messages/0:{}", push.0.simple())),
        dead_token: None,
        variant: None,
        deferrals: 0,
        dead_letter: None,
    })
}

/// As the log has it.
pub fn record(delivery: &Delivery) -> Record {
    Record::new(Topic::Deliveries, delivery.key().to_bytes(), delivery.encode())
}

/// As the tables have it.
pub fn row(d: &Delivery) -> DeliveryRow {
    let (tenant, source, device) = (d.tenant.0, d.origin.source, d.device.as_str().to_owned());
    let (created_at, finished_at) = (Timestamp(d.created_at.0), Timestamp(d.finished_at.0));
    let (campaign, send) = (source.campaign().map(|id| id.0), source.send().map(|id| id.0));
    let provider = d.provider.map(|provider| provider.as_str().to_owned());
    let outcome = d.outcome.as_str().to_owned();
    let reason = d.reason.map(|reason| reason.as_str().to_owned());
    let by_id = (d.outcome == Outcome::Accepted).then(|| PushRow {
        tenant,
        push: d.push.0,
        device: device.clone(),
        source: source.id(),
        created_at,
    });
    let by_source = DeliveryBySourceRow {
        tenant,
        source: source.id(),
        hour: hour_of(d.created_at.0),
        shard: id_shard(d.push.0),
        created_at,
        push: d.push.0,
        device: device.clone(),
        campaign,
        send,
        cause: d.origin.cause.0,
        provider: provider.clone(),
        outcome: outcome.clone(),
        reason: reason.clone(),
        attempts: d.attempts.cast_signed(),
        finished_at,
        provider_message_id: d.provider_message_id.clone(),
        app: Some(d.app.clone()),
        variant: None,
    };
    let by_device = DeliveryByDeviceRow {
        tenant,
        device,
        month: month_of(d.created_at.0),
        created_at,
        push: d.push.0,
        campaign,
        send,
        cause: d.origin.cause.0,
        provider,
        outcome,
        reason,
        attempts: d.attempts.cast_signed(),
        finished_at,
        provider_message_id: d.provider_message_id.clone(),
        app: Some(d.app.clone()),
        variant: None,
    };
    DeliveryRow { by_source, by_device, by_id }
}
