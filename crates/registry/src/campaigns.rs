//! Campaigns: rows, domain values and their records.

use geopush_log::{Record, Topic};
use geopush_model::{
    Campaign, CampaignId, CampaignStatus, Message, TenantId, Trigger, UnixMillis, Wire as _,
};
use geopush_store::tables::CampaignRow;
use geopush_store::{Store, StoreError, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::publisher::{Published, corrupt};

/// The row of a campaign.
pub fn campaign_row(campaign: &Campaign) -> CampaignRow {
    let time = |at: UnixMillis| Timestamp(at.0);
    let variants = &campaign.variants;
    CampaignRow {
        tenant: campaign.tenant.0,
        campaign: campaign.id.0,
        name: campaign.name.clone(),
        app: campaign.app.clone(),
        status: campaign.status.as_str().to_owned(),
        trigger: json(&campaign.trigger),
        starts_at: campaign.starts_at.map(time),
        ends_at: campaign.ends_at.map(time),
        hours: campaign.hours.as_ref().map(json),
        cooldown_s: campaign.cooldown_s,
        ignores_caps: Some(campaign.ignores_caps),
        ignores_quiet_hours: Some(campaign.ignores_quiet_hours),
        audience: campaign.audience.as_ref().map(ToString::to_string),
        holdout_percent: i32::try_from(campaign.holdout_percent).ok(),
        message: message_json(&campaign.message),
        variants: (!variants.is_empty()).then(|| json(variants)),
        deleted: campaign.deleted,
        created_at: time(campaign.created_at),
        updated_at: time(campaign.updated_at),
        version: campaign.version,
    }
}

/// The campaign of a row.
///
/// # Errors
/// [`StoreError::Corrupt`] when the row holds what no campaign has.
pub fn campaign_of(row: CampaignRow) -> Result<Campaign, StoreError> {
    let time = |at: Timestamp| UnixMillis(at.0);
    Ok(Campaign {
        tenant: TenantId(row.tenant),
        id: CampaignId(row.campaign),
        name: row.name,
        app: row.app,
        status: CampaignStatus::parse(&row.status).ok_or_else(|| corrupt::<CampaignRow>("status"))?,
        trigger: trigger_of(&row.trigger).ok_or_else(|| corrupt::<CampaignRow>("trigger"))?,
        starts_at: row.starts_at.map(time),
        ends_at: row.ends_at.map(time),
        hours: row.hours.as_deref().map(|text| column(text, "hours")).transpose()?,
        cooldown_s: row.cooldown_s,
        ignores_caps: row.ignores_caps.unwrap_or_default(),
        ignores_quiet_hours: row.ignores_quiet_hours.unwrap_or_default(),
        audience: row.audience.as_deref().map(|text| column(text, "audience")).transpose()?,
        holdout_percent: row.holdout_percent.and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        message: message_of(&row.message).ok_or_else(|| corrupt::<CampaignRow>("message"))?,
        variants: row
            .variants
            .as_deref()
            .map(|text| column(text, "variants"))
            .transpose()?
            .unwrap_or_default(),
        version: row.version,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
        deleted: row.deleted,
    })
}

/// A trigger as a column holds it; a row from before there were other triggers does not say that it is one of zones.
fn trigger_of(json: &str) -> Option<Trigger> {
    let of_zones = || serde_json::from_str(json).map(Trigger::Zone);
    serde_json::from_str(json).or_else(|_| of_zones()).ok()
}

/// A message as a column holds it.
pub fn message_json(message: &Message) -> String {
    json(message)
}

/// The message that a column holds, if it holds one.
pub fn message_of(json: &str) -> Option<Message> {
    serde_json::from_str(json).ok()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what the model serialises is plain JSON")
}

fn column<T: DeserializeOwned>(text: &str, name: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| corrupt::<CampaignRow>(name))
}

impl Published for CampaignRow {
    const KIND: &'static str = "campaign";

    fn tenant(&self) -> TenantId {
        TenantId(self.tenant)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn entity(&self) -> String {
        self.campaign.to_string()
    }

    fn record(&self) -> Result<Record, StoreError> {
        Ok(Record::new(Topic::Campaigns, self.campaign.to_string(), campaign_of(self.clone())?.encode()))
    }

    async fn load(store: &Store, tenant: TenantId, entity: &str) -> Result<Option<Self>, StoreError> {
        let campaign: CampaignId = entity.parse().map_err(|_| corrupt::<Self>("campaign"))?;
        store.get(&(tenant.0,), &(campaign.0,)).await
    }
}
