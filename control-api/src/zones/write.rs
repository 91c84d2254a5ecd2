//! Changes of one zone.

use geopush_model::{Removal, TenantId, UnixMillis, Zone, ZoneId};
use geopush_registry::{ChangeError, zone_row};
use geopush_service::http::Invalid;
use geopush_store::Timestamp;
use geopush_store::tables::ZoneRow;

use super::input::ZoneInput;
use super::row;
use crate::error::ApiError;
use crate::etag::IfMatch;
use crate::idempotency::Creation;
use crate::state::Api;

/// How often a change that lost a race is tried again, where the caller named no version.
const MOST_TRIES: usize = 8;

/// Creates a zone; that of its external id may be there as deleted only.
pub(super) async fn create(
    api: &Api,
    tenant: TenantId,
    input: ZoneInput,
    creation: Creation,
) -> Result<ZoneRow, ApiError> {
    let id = match &input.options.external_id {
        Some(external_id) => ZoneId::of_external(tenant, external_id),
        None => ZoneId(creation.id("zone", 0)),
    };
    for _ in 0..MOST_TRIES {
        let known = row(api.store(), tenant, id).await?;
        if let Some(known) = known.as_ref().filter(|row| !row.deleted) {
            if creation.resumed && input.is_said_by(known) {
                // An earlier try made it, and may have died before it was published.
                api.deps.publisher.replace(known.clone(), known.version).await?;
                return Ok(known.clone());
            }
            let detail =
                "there is a zone of this external_id; PUT /v1/zones/external/{external_id} replaces it";
            return Err(ApiError::duplicate(detail));
        }
        match write(api, tenant, id, input.clone(), known).await {
            Err(ChangeError::Conflict) => {}
            written => return Ok(written?),
        }
    }
    Err(ApiError::contended())
}

/// Replaces a zone that was just read.
pub(super) async fn replace(
    api: &Api,
    current: ZoneRow,
    demand: IfMatch,
    input: ZoneInput,
) -> Result<ZoneRow, ApiError> {
    immutable(&input, current.external_id.as_deref())?;
    let (tenant, id) = (TenantId(current.tenant), ZoneId(current.zone));
    retried(api, current, demand, |current| write(api, tenant, id, input.clone(), Some(current))).await
}

/// Deletes a zone that was just read: its row stays, so that its version never goes back.
pub(super) async fn delete(api: &Api, current: ZoneRow, demand: IfMatch) -> Result<(), ApiError> {
    let gone = |current: ZoneRow| async move {
        let row = deletion_of(&current, api.now());
        api.deps.publisher.replace(row.clone(), current.version).await.map(|()| row)
    };
    retried(api, current, demand, gone).await?;
    Ok(())
}

/// Creates or replaces the zone of this external id; tells whether it was created.
pub(super) async fn upsert(
    api: &Api,
    tenant: TenantId,
    external_id: &str,
    demand: IfMatch,
    mut input: ZoneInput,
) -> Result<(ZoneRow, bool), ApiError> {
    immutable(&input, Some(external_id))?;
    input.options.external_id = Some(external_id.to_owned());
    let id = ZoneId::of_external(tenant, external_id);
    for _ in 0..MOST_TRIES {
        let known = row(api.store(), tenant, id).await?;
        let made = known.as_ref().is_none_or(|row| row.deleted);
        demand.check((!made).then(|| known.as_ref().map_or(0, |row| row.version)))?;
        match write(api, tenant, id, input.clone(), known).await {
            Err(ChangeError::Conflict) => {}
            written => return Ok((written?, made)),
        }
    }
    Err(ApiError::contended())
}

/// Makes a change of the current row as long as the demand holds and others are faster.
async fn retried<F: Future<Output = Result<ZoneRow, ChangeError>>>(
    api: &Api,
    mut current: ZoneRow,
    demand: IfMatch,
    change: impl Fn(ZoneRow) -> F,
) -> Result<ZoneRow, ApiError> {
    for _ in 0..MOST_TRIES {
        demand.check(Some(current.version))?;
        let (tenant, id) = (TenantId(current.tenant), ZoneId(current.zone));
        match change(current).await {
            Err(ChangeError::Conflict) => {}
            changed => return Ok(changed?),
        }
        let again = row(api.store(), tenant, id).await?;
        current = again.filter(|row| !row.deleted).ok_or_else(|| ApiError::not_found("zone"))?;
    }
    Err(ApiError::contended())
}

async fn write(
    api: &Api,
    tenant: TenantId,
    id: ZoneId,
    input: ZoneInput,
    known: Option<ZoneRow>,
) -> Result<ZoneRow, ChangeError> {
    let now = api.now();
    let publisher = &api.deps.publisher;
    match known {
        None => {
            let row = zone_row(&input.into_zone(tenant, id, now));
            publisher.create(row.clone()).await.map(|()| row)
        }
        Some(known) => {
            let row = zone_row(&successor(input, &known, now));
            publisher.replace(row.clone(), known.version).await.map(|()| row)
        }
    }
}

/// The version that follows `current`, which may be its deletion, and says this.
pub(super) fn successor(input: ZoneInput, current: &ZoneRow, now: UnixMillis) -> Zone {
    let fresh = input.into_zone(TenantId(current.tenant), ZoneId(current.zone), now);
    let next = Zone {
        external_id: current.external_id.clone(),
        version: current.version + 1,
        created_at: if current.deleted { now } else { UnixMillis(current.created_at.0) },
        // A later version is never older, whatever the clock says.
        updated_at: now.max(UnixMillis(current.updated_at.0)),
        ..fresh
    };
    Zone { removal: removal_after(current, next.is_live(), next.version, next.updated_at), ..next }
}

fn deletion_of(current: &ZoneRow, now: UnixMillis) -> ZoneRow {
    let updated_at = Timestamp(now.0.max(current.updated_at.0));
    let version = current.version + 1;
    let removal = removal_after(current, false, version, UnixMillis(updated_at.0));
    ZoneRow {
        deleted: true,
        version,
        updated_at,
        removed_version: removal.map(|removal| removal.version),
        removed_at: removal.map(|removal| Timestamp(removal.at.0)),
        ..current.clone()
    }
}

/// When the zone was last deleted or deactivated: by the version that follows `current`, or before.
fn removal_after(current: &ZoneRow, is_live: bool, version: i64, at: UnixMillis) -> Option<Removal> {
    if current.active && !current.deleted && !is_live {
        return Some(Removal { version, at });
    }
    let (version, at) = current.removed_version.zip(current.removed_at)?;
    Some(Removal { version, at: UnixMillis(at.0) })
}

fn immutable(input: &ZoneInput, external_id: Option<&str>) -> Result<(), ApiError> {
    match &input.options.external_id {
        Some(named) if Some(named.as_str()) != external_id => {
            let detail = "an external_id never changes; leave it out, or create another zone";
            Err(ApiError::invalid(vec![Invalid::new("/external_id", "immutable", detail)]))
        }
        _ => Ok(()),
    }
}
