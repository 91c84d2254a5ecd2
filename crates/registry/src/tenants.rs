//! Tenants, their keys and their apps: rows and their records.

use bytes::Bytes;
use geopush_log::{Record, Topic};
use geopush_model::{
    ApiKey, App, Config, ConfigItem, KeyHash, KeyKind, TenantId, TenantSettings, UnixMillis, Weight,
    Wire as _,
};
use geopush_store::tables::{AppRow, KeyRow, TenantRow};
use geopush_store::{Store, StoreError, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::keys::{kind_text, parse_kind};
use crate::publisher::{ChangeError, Published, Publisher, corrupt};
use crate::{AppCredentials, NewKey, Sealer};

/// A tenant that was just made; its keys are shown this once.
pub struct NewTenant {
    /// Its id.
    pub tenant: TenantId,
    /// Opens everything of the tenant.
    pub secret_key: String,
    /// For phones.
    pub publishable_key: String,
}

/// Makes a tenant with a key of each kind.
///
/// # Errors
/// When the store or the log can't be written.
pub async fn create_tenant(
    publisher: &Publisher,
    name: &str,
    now: UnixMillis,
) -> Result<NewTenant, ChangeError> {
    let tenant = TenantId(Uuid::new_v4());
    let at = Timestamp(now.0);
    let row = TenantRow {
        tenant: tenant.0,
        name: name.to_owned(),
        detect_crossings: Some(false),
        timezone: None,
        quiet_hours: None,
        caps: None,
        quota_per_day: None,
        weight: None,
        created_at: at,
        updated_at: at,
        version: 1,
    };
    publisher.create(row).await?;
    let [secret, publishable] = [KeyKind::Secret, KeyKind::Publishable].map(NewKey::draw);
    for key in [&secret, &publishable] {
        let row = KeyRow {
            hash: key.hash.0.to_vec(),
            tenant: tenant.0,
            kind: kind_text(key.kind).to_owned(),
            revoked: false,
            created_at: at,
            updated_at: at,
            version: 1,
        };
        publisher.create(row).await?;
    }
    Ok(NewTenant { tenant, secret_key: secret.text, publishable_key: publishable.text })
}

/// The settings of a tenant's row.
///
/// # Errors
/// [`StoreError::Corrupt`] when the row holds what no settings have.
pub fn settings_of(row: &TenantRow) -> Result<TenantSettings, StoreError> {
    let corrupt = corrupt::<TenantRow>;
    let quiet_hours = row.quiet_hours.as_deref().map(serde_json::from_str).transpose();
    let caps = row.caps.as_deref().map(serde_json::from_str).transpose();
    Ok(TenantSettings {
        name: row.name.clone(),
        detect_crossings: row.detect_crossings.unwrap_or_default(),
        timezone: row.timezone.clone(),
        quiet_hours: quiet_hours.map_err(|_| corrupt("quiet_hours"))?,
        caps: caps.map_err(|_| corrupt("caps"))?.unwrap_or_default(),
        quota_per_day: row.quota_per_day.and_then(|quota| u64::try_from(quota).ok()),
        weight: match row.weight {
            None => Weight::default(),
            Some(weight) => {
                u32::try_from(weight).ok().and_then(Weight::new).ok_or_else(|| corrupt("weight"))?
            }
        },
    })
}

/// How often setting a weight that lost a race is tried again.
const MOST_TRIES: usize = 8;

/// Gives a tenant this weight. False: there is no such tenant.
///
/// # Errors
/// When the store or the log can't be written, or the tenant's settings are changed by others all the time.
pub async fn set_weight(
    publisher: &Publisher,
    tenant: TenantId,
    weight: Weight,
    now: UnixMillis,
) -> Result<bool, ChangeError> {
    for _ in 0..MOST_TRIES {
        let Some(row) = publisher.store().get::<TenantRow>(&(tenant.0,), &()).await? else {
            return Ok(false);
        };
        let version = row.version;
        let weight = i32::try_from(weight.get()).ok();
        let next = TenantRow { weight, updated_at: Timestamp(now.0), version: version + 1, ..row };
        match publisher.replace(next, version).await {
            Err(ChangeError::Conflict) => {}
            set => return set.map(|()| true),
        }
    }
    Err(ChangeError::Conflict)
}

/// The row that comes after `row` when a tenant chooses these settings. Its weight is not a tenant's to choose, and
/// stays.
pub fn with_settings(row: &TenantRow, settings: &TenantSettings, now: UnixMillis) -> TenantRow {
    TenantRow {
        tenant: row.tenant,
        name: settings.name.clone(),
        detect_crossings: Some(settings.detect_crossings),
        timezone: settings.timezone.clone(),
        quiet_hours: settings.quiet_hours.map(|quiet| json!(quiet).to_string()),
        caps: Some(json!(settings.caps).to_string()),
        quota_per_day: settings.quota_per_day.and_then(|quota| i64::try_from(quota).ok()),
        weight: row.weight,
        created_at: row.created_at,
        updated_at: Timestamp(now.0),
        version: row.version + 1,
    }
}

/// The row of an app's credentials, sealed; `version` and `created_at` as its change has them.
pub fn app_row(
    sealer: &Sealer,
    tenant: TenantId,
    app: &str,
    credentials: &AppCredentials,
    version: i64,
    [created_at, updated_at]: [UnixMillis; 2],
) -> AppRow {
    AppRow {
        tenant: tenant.0,
        app: app.to_owned(),
        sealed: sealer.seal(tenant, app, credentials).to_vec(),
        fcm: credentials.fcm.is_some(),
        apns: credentials.apns.is_some(),
        deleted: false,
        created_at: Timestamp(created_at.0),
        updated_at: Timestamp(updated_at.0),
        version,
    }
}

fn record_of(config: &Config) -> Record {
    Record::new(Topic::Config, config.key(), config.encode())
}

impl Published for TenantRow {
    const KIND: &'static str = "tenant";

    fn tenant(&self) -> TenantId {
        TenantId(self.tenant)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn entity(&self) -> String {
        self.tenant.to_string()
    }

    fn record(&self) -> Result<Record, StoreError> {
        let item = ConfigItem::Tenant(settings_of(self)?);
        Ok(record_of(&Config { tenant: TenantId(self.tenant), version: self.version, item }))
    }

    async fn load(store: &Store, tenant: TenantId, _entity: &str) -> Result<Option<Self>, StoreError> {
        store.get(&(tenant.0,), &()).await
    }
}

impl Published for KeyRow {
    const KIND: &'static str = "key";

    fn tenant(&self) -> TenantId {
        TenantId(self.tenant)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn entity(&self) -> String {
        hex::encode(&self.hash)
    }

    fn record(&self) -> Result<Record, StoreError> {
        let hash = self.hash.as_slice().try_into().map_err(|_| corrupt::<Self>("hash"))?;
        let kind = parse_kind(&self.kind).ok_or_else(|| corrupt::<Self>("kind"))?;
        let item = ConfigItem::Key(ApiKey { hash: KeyHash(hash), kind, revoked: self.revoked });
        Ok(record_of(&Config { tenant: TenantId(self.tenant), version: self.version, item }))
    }

    async fn load(store: &Store, _tenant: TenantId, entity: &str) -> Result<Option<Self>, StoreError> {
        let hash = hex::decode(entity).map_err(|_| corrupt::<Self>("hash"))?;
        store.get(&(hash,), &()).await
    }
}

impl Published for AppRow {
    const KIND: &'static str = "app";

    fn tenant(&self) -> TenantId {
        TenantId(self.tenant)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn entity(&self) -> String {
        self.app.clone()
    }

    fn record(&self) -> Result<Record, StoreError> {
        let item = ConfigItem::App(App {
            name: self.app.clone(),
            sealed: Bytes::from(self.sealed.clone()),
            fcm: self.fcm,
            apns: self.apns,
            deleted: self.deleted,
        });
        Ok(record_of(&Config { tenant: TenantId(self.tenant), version: self.version, item }))
    }

    async fn load(store: &Store, tenant: TenantId, entity: &str) -> Result<Option<Self>, StoreError> {
        store.get(&(tenant.0,), &(entity.to_owned(),)).await
    }
}
