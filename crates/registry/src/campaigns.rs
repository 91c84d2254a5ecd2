//! Campaigns: rows, domain values and their records.

use std::collections::BTreeMap;

use geopush_log::{Record, Topic};
use geopush_model::{
    Campaign, CampaignId, CampaignStatus, Message, TenantId, Trigger, TriggerKind, UnixMillis, Wire as _,
    ZoneId,
};
use geopush_store::tables::CampaignRow;
use geopush_store::{Store, StoreError, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::publisher::{Published, corrupt};

/// A trigger as the row's JSON has it.
#[derive(Serialize, Deserialize)]
struct TriggerJson {
    on: String,
    zone_ids: Vec<Uuid>,
    zone_tags: Vec<String>,
    max_age_s: Option<i64>,
    on_initial: bool,
}

/// A message as the row's JSON has it.
#[derive(Serialize, Deserialize)]
struct MessageJson {
    title: String,
    body: String,
    data: BTreeMap<String, String>,
}

/// The row of a campaign.
pub fn campaign_row(campaign: &Campaign) -> CampaignRow {
    let trigger = TriggerJson {
        on: campaign.trigger.on.as_str().to_owned(),
        zone_ids: campaign.trigger.zone_ids.iter().map(|id| id.0).collect(),
        zone_tags: campaign.trigger.zone_tags.clone(),
        max_age_s: campaign.trigger.max_age_s,
        on_initial: campaign.trigger.on_initial,
    };
    CampaignRow {
        tenant: campaign.tenant.0,
        campaign: campaign.id.0,
        name: campaign.name.clone(),
        app: campaign.app.clone(),
        status: campaign.status.as_str().to_owned(),
        trigger: serde_json::to_string(&trigger).expect("a trigger is plain JSON"),
        cooldown_s: campaign.cooldown_s,
        audience: campaign.audience.as_ref().map(ToString::to_string),
        message: message_json(&campaign.message),
        deleted: campaign.deleted,
        created_at: Timestamp(campaign.created_at.0),
        updated_at: Timestamp(campaign.updated_at.0),
        version: campaign.version,
    }
}

/// The campaign of a row.
///
/// # Errors
/// [`StoreError::Corrupt`] when the row holds what no campaign has.
pub fn campaign_of(row: CampaignRow) -> Result<Campaign, StoreError> {
    let corrupt = corrupt::<CampaignRow>;
    let trigger: TriggerJson = serde_json::from_str(&row.trigger).map_err(|_| corrupt("trigger"))?;
    let audience = row.audience.as_deref().map(serde_json::from_str).transpose();
    Ok(Campaign {
        tenant: TenantId(row.tenant),
        id: CampaignId(row.campaign),
        name: row.name,
        app: row.app,
        status: CampaignStatus::parse(&row.status).ok_or_else(|| corrupt("status"))?,
        trigger: Trigger {
            on: TriggerKind::parse(&trigger.on).ok_or_else(|| corrupt("trigger"))?,
            zone_ids: trigger.zone_ids.into_iter().map(ZoneId).collect(),
            zone_tags: trigger.zone_tags,
            max_age_s: trigger.max_age_s,
            on_initial: trigger.on_initial,
        },
        cooldown_s: row.cooldown_s,
        audience: audience.map_err(|_| corrupt("audience"))?,
        message: message_of(&row.message).ok_or_else(|| corrupt("message"))?,
        version: row.version,
        created_at: UnixMillis(row.created_at.0),
        updated_at: UnixMillis(row.updated_at.0),
        deleted: row.deleted,
    })
}

/// A message as a column holds it.
pub fn message_json(message: &Message) -> String {
    let Message { title, body, data } = message.clone();
    serde_json::to_string(&MessageJson { title, body, data }).expect("a message is plain JSON")
}

/// The message that a column holds, if it holds one.
pub fn message_of(json: &str) -> Option<Message> {
    let MessageJson { title, body, data } = serde_json::from_str(json).ok()?;
    Some(Message { title, body, data })
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
