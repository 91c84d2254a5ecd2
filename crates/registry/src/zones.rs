//! Zones: rows, domain values and their records.

use geopush_geometry::Shape;
use geopush_log::{Record, Topic};
use geopush_model::{Removal, TenantId, UnixMillis, Wire as _, Zone, ZoneId};
use geopush_store::tables::{ZoneRow, zone_bucket};
use geopush_store::{Store, StoreError, Timestamp};

use crate::publisher::{Published, corrupt};

/// The row of a zone.
pub fn zone_row(zone: &Zone) -> ZoneRow {
    ZoneRow {
        tenant: zone.tenant.0,
        bucket: zone_bucket(zone.id.0),
        zone: zone.id.0,
        external_id: zone.external_id.clone(),
        location_id: zone.location_id.clone(),
        name: zone.name.clone(),
        shape: zone.shape.to_json().to_string(),
        exit_buffer_m: zone.exit_buffer_m,
        dwell_s: zone.dwell_s,
        max_accuracy_m: zone.max_accuracy_m,
        active: zone.active,
        tags: serde_json::Value::from(zone.tags.clone()).to_string(),
        metadata: serde_json::Value::Object(zone.metadata.clone()).to_string(),
        deleted: zone.deleted,
        removed_version: zone.removal.map(|removal| removal.version),
        removed_at: zone.removal.map(|removal| Timestamp(removal.at.0)),
        created_at: Timestamp(zone.created_at.0),
        updated_at: Timestamp(zone.updated_at.0),
        version: zone.version,
    }
}

/// The zone of a row.
///
/// # Errors
/// [`StoreError::Corrupt`] when the row holds what no zone has.
pub fn zone_of(row: ZoneRow) -> Result<Zone, StoreError> {
    let shape = serde_json::from_str(&row.shape).map_err(|_| corrupt::<ZoneRow>("shape"))?;
    Ok(Zone {
        tenant: TenantId(row.tenant),
        id: ZoneId(row.zone),
        external_id: row.external_id,
        location_id: row.location_id,
        name: row.name,
        shape: Shape::from_json(&shape).map_err(|_| corrupt::<ZoneRow>("shape"))?,
        exit_buffer_m: row.exit_buffer_m,
        dwell_s: row.dwell_s,
        max_accuracy_m: row.max_accuracy_m,
        active: row.active,
        tags: serde_json::from_str(&row.tags).map_err(|_| corrupt::<ZoneRow>("tags"))?,
        metadata: serde_json::from_str(&row.metadata).map_err(|_| corrupt::<ZoneRow>("metadata"))?,
        version: row.version,
        created_at: UnixMillis(row.created_at.0),
        updated_at: UnixMillis(row.updated_at.0),
        deleted: row.deleted,
        removal: row
            .removed_version
            .zip(row.removed_at)
            .map(|(version, at)| Removal { version, at: UnixMillis(at.0) }),
    })
}

impl Published for ZoneRow {
    const KIND: &'static str = "zone";

    fn tenant(&self) -> TenantId {
        TenantId(self.tenant)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn entity(&self) -> String {
        self.zone.to_string()
    }

    fn record(&self) -> Result<Record, StoreError> {
        Ok(Record::new(Topic::Zones, self.zone.to_string(), zone_of(self.clone())?.encode()))
    }

    async fn load(store: &Store, tenant: TenantId, entity: &str) -> Result<Option<Self>, StoreError> {
        let zone: ZoneId = entity.parse().map_err(|_| corrupt::<Self>("zone"))?;
        store.get(&(tenant.0, zone_bucket(zone.0)), &(zone.0,)).await
    }
}
