//! `POST /v1/zones/import`: a GeoJSON FeatureCollection, feature by feature.
//!
//! An import may be sent again: features are found by their external ids, and what says the same is not written. It
//! works on a thread of its own, since judging shapes is work for the processor, and few are worked on at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use geopush_model::{TenantId, ZoneId};
use geopush_registry::{Change, ChangeError, zone_row};
use geopush_service::http::{Invalid, Problem, json_body};
use geopush_store::tables::{INTENT_SHARDS, IntentRow, ZoneRow, zone_bucket};
use geopush_store::{Direction, Page, Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::{IntoParams, ToSchema};

use super::feature::{Collection, Failed, Feature};
use super::jobs::{self, JobStarted};
use super::write::successor;
use crate::auth::Tenant;
use crate::error::ApiError;
use crate::idempotency::Creation;
use crate::state::{Api, Shared};

/// The route.
pub(crate) const IMPORT: &str = "/v1/zones/import";
/// More features than this are imported by a job.
const MOST_AT_ONCE: usize = 10_000;
/// Features that are written together.
const CHUNK: usize = 256;
/// Imports at a time; each may hold a body of the largest size.
const SLOTS: usize = 4;
/// How often features that lost a race are tried again.
const MOST_TURNS: usize = 8;

/// The imports of this process.
pub(crate) struct Imports {
    slots: Arc<Semaphore>,
    pub jobs: TaskTracker,
    pub stop: CancellationToken,
}

impl Imports {
    pub fn new() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(SLOTS)),
            jobs: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            let detail = "as many imports as there may be are being worked on; send this one again later";
            Problem::unavailable(detail, Duration::from_secs(5)).coded("overloaded", "Overloaded").into()
        })
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// `true`: tell what would happen, and change nothing.
    #[param(value_type = Option<bool>)]
    dry_run: Option<String>,
    /// `true`: import by a job, however few features there are.
    #[serde(rename = "async")]
    #[param(value_type = Option<bool>)]
    run_async: Option<String>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ImportResult {
    /// Zones that were created.
    pub created: usize,
    /// Zones that were replaced.
    pub updated: usize,
    /// Zones that said the same already.
    pub unchanged: usize,
    /// Features that were not imported.
    pub failed: Vec<Failed>,
}

/// A GeoJSON FeatureCollection.
///
/// A feature's external id is its `id`, or else `properties.external_id`; its name `properties.name`. A Point with
/// `properties.radius_m` is a circle. Other members of a zone are read from the properties by their names; other
/// properties are ignored.
#[derive(ToSchema)]
#[schema(as = FeatureCollection, example = json!({"type": "FeatureCollection", "features": [{
    "type": "Feature", "id": "shop-1", "properties": {"name": "Shop", "radius_m": 80},
    "geometry": {"type": "Point", "coordinates": [2.1586, 41.3897]}}]}))]
#[allow(dead_code, reason = "it describes a body that is read feature by feature")]
pub(crate) struct FeatureCollectionBody {
    /// `FeatureCollection`
    r#type: String,
    features: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// Creates and replaces zones from a GeoJSON FeatureCollection. Up to 10,000 features are imported at once; more, or
/// with `async=true`, by a job.
#[utoipa::path(post, path = "/v1/zones/import", tag = "zones", operation_id = "import_zones", params(ImportQuery),
    request_body(content((FeatureCollectionBody = "application/geo+json"), (FeatureCollectionBody = "application/json"))),
    responses(
        (status = 200, description = "What became of the features", body = ImportResult),
        (status = 202, description = "A job imports them", body = JobStarted,
            headers(("Location" = String, description = "The job's path")))))]
pub(super) async fn import(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Query(query): Query<ImportQuery>,
    creation: Creation,
    request: Request,
) -> Result<Response, ApiError> {
    let dry_run = flag("dry_run", query.dry_run.as_deref())?;
    let run_async = flag("async", query.run_async.as_deref())?;
    let slot = api.imports.slot()?;
    let limits = api.import_limits();
    let shared = Arc::clone(&api);
    let work = async move {
        let collection: Collection = json_body(request, limits).await?;
        if collection.kind != "FeatureCollection" {
            let wrong = Invalid::new("/type", "invalid_value", "give a GeoJSON FeatureCollection");
            return Err(ApiError::invalid(vec![wrong]));
        }
        let run = Run { api: shared, tenant, dry_run, creation };
        if run_async || collection.len() > MOST_AT_ONCE {
            return Ok(Parsed::ForJob(run, collection));
        }
        run.all(collection).await.map(Parsed::Done)
    };
    let stop = &api.imports.stop;
    match on_a_thread(stop, work).await? {
        Parsed::Done(result) => {
            drop(slot);
            Ok(Json(result).into_response())
        }
        Parsed::ForJob(run, collection) => {
            let id = creation.id("job", 0);
            let stop = stop.clone();
            let work = async move {
                let _slot = slot;
                on_a_thread(&stop, run.all(collection)).await
            };
            let started = jobs::start(&api, tenant, id, work).await?;
            let location = [(LOCATION, format!("/v1/jobs/{id}"))];
            Ok((StatusCode::ACCEPTED, location, Json(started)).into_response())
        }
    }
}

enum Parsed {
    Done(ImportResult),
    ForJob(Run, Collection),
}

/// Drives a future on a thread where it may compute for long, until `stop`.
async fn on_a_thread<T: Send + 'static>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    let (handle, span, stop) = (Handle::current(), tracing::Span::current(), stop.clone());
    let stopped = || Problem::unavailable("the server ends; import again", Duration::from_secs(5)).into();
    let work = async move { stop.run_until_cancelled_owned(work).await.unwrap_or_else(|| Err(stopped())) };
    let done = tokio::task::spawn_blocking(move || span.in_scope(|| handle.block_on(work))).await;
    done.map_err(|error| Problem::internal(error).into()).flatten()
}

fn flag(name: &str, text: Option<&str>) -> Result<bool, ApiError> {
    match text {
        None | Some("" | "false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(ApiError::query(name, "give true or false")),
    }
}

/// One import.
struct Run {
    api: Arc<Api>,
    tenant: TenantId,
    dry_run: bool,
    creation: Creation,
}

/// What is to be done about a feature.
struct Planned {
    feature: Feature,
    change: Option<Change<ZoneRow>>,
    effect: Effect,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Created,
    Updated,
    Unchanged,
}

impl Run {
    async fn all(self, collection: Collection) -> Result<ImportResult, ApiError> {
        let mut result = ImportResult { failed: collection.failed, ..ImportResult::default() };
        let unpublished = unpublished(self.api.store(), self.tenant).await?;
        let mut seen = HashSet::new();
        let mut features = collection.features.into_iter().peekable();
        while features.peek().is_some() {
            let mut chunk = Vec::with_capacity(CHUNK);
            for feature in features.by_ref().take(CHUNK) {
                if seen.insert(self.zone_of(&feature)) {
                    chunk.push(feature);
                } else {
                    let detail = "an earlier feature of this file has the same id; leave one of them out";
                    result.failed.push(failed(&feature, "duplicate", detail));
                }
            }
            self.chunk(chunk, &unpublished, &mut result).await?;
        }
        result.failed.sort_by_key(|failed| failed.index);
        Ok(result)
    }

    async fn chunk(
        &self,
        mut features: Vec<Feature>,
        unpublished: &HashSet<String>,
        result: &mut ImportResult,
    ) -> Result<(), ApiError> {
        for _ in 0..MOST_TURNS {
            if features.is_empty() {
                return Ok(());
            }
            let planned = self.plan(features, unpublished).await?;
            let mut changes = Vec::new();
            let mut changing = Vec::new();
            for Planned { feature, change, effect } in planned {
                match change.filter(|_| !self.dry_run) {
                    None => result.count(effect),
                    Some(change) => {
                        changes.push(change);
                        changing.push((feature, effect));
                    }
                }
            }
            let done = self.api.deps.publisher.change_all(changes).await;
            features = Vec::new();
            for ((feature, effect), done) in changing.into_iter().zip(done) {
                match done {
                    Ok(()) => result.count(effect),
                    Err(ChangeError::Conflict) => {
                        // One that was to be new and is there was made by an earlier try: it is found by its own id.
                        let zone = feature.zone.filter(|_| effect != Effect::Created);
                        features.push(Feature { zone, ..feature });
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let detail = "the zone is being changed by others at the same time; import it again";
        result.failed.extend(features.iter().map(|feature| failed(feature, "contended", detail)));
        Ok(())
    }

    /// The zone that a feature is about.
    fn zone_of(&self, feature: &Feature) -> ZoneId {
        match (&feature.input.options.external_id, feature.zone) {
            (Some(external_id), _) => ZoneId::of_external(self.tenant, external_id),
            (None, Some(zone)) => ZoneId(zone),
            (None, None) => self.fresh(feature),
        }
    }

    /// The id of a zone that a feature without external id becomes.
    fn fresh(&self, feature: &Feature) -> ZoneId {
        ZoneId(self.creation.id("feature", feature.index))
    }

    async fn plan(
        &self,
        features: Vec<Feature>,
        unpublished: &HashSet<String>,
    ) -> Result<Vec<Planned>, ApiError> {
        let key = |ZoneId(zone)| ((self.tenant.0, zone_bucket(zone)), (zone,));
        let keys: Vec<_> = features.iter().map(|feature| key(self.zone_of(feature))).collect();
        let rows = self.api.store().get_all::<ZoneRow>(&keys).await?;
        let plan = |(feature, row): (Feature, Option<ZoneRow>)| {
            let external_id = feature.input.options.external_id.as_ref();
            // An id names zones without external id alone; a zone's own id is not for others to choose.
            let row = row.filter(|row| row.external_id.as_ref() == external_id);
            self.plan_one(feature, row, unpublished)
        };
        Ok(features.into_iter().zip(rows).map(plan).collect())
    }

    fn plan_one(&self, feature: Feature, row: Option<ZoneRow>, unpublished: &HashSet<String>) -> Planned {
        let (input, now) = (feature.input.clone(), self.api.now());
        let (change, effect) = match row {
            None => {
                let id = match &input.options.external_id {
                    Some(external_id) => ZoneId::of_external(self.tenant, external_id),
                    None => self.fresh(&feature),
                };
                let row = zone_row(&input.into_zone(self.tenant, id, now));
                (Some(Change::Create(row)), Effect::Created)
            }
            // One that an earlier import wrote, but perhaps never published, is published now.
            Some(row) if input.is_said_by(&row) => {
                let version = row.version;
                let change =
                    unpublished.contains(&row.zone.to_string()).then_some(Change::Replace(row, version));
                (change, Effect::Unchanged)
            }
            Some(row) => {
                let effect = if row.deleted { Effect::Created } else { Effect::Updated };
                (Some(Change::Replace(zone_row(&successor(input, &row, now)), row.version)), effect)
            }
        };
        Planned { feature, change, effect }
    }
}

impl ImportResult {
    fn count(&mut self, effect: Effect) {
        *match effect {
            Effect::Created => &mut self.created,
            Effect::Updated => &mut self.updated,
            Effect::Unchanged => &mut self.unchanged,
        } += 1;
    }
}

fn failed(feature: &Feature, code: &str, detail: &str) -> Failed {
    Failed {
        index: feature.index,
        external_id: feature.input.options.external_id.clone(),
        code: code.to_owned(),
        detail: detail.to_owned(),
        pointer: format!("/features/{}", feature.index),
    }
}

/// The tenant's zones whose last change is not known to have been published.
async fn unpublished(store: &Store, tenant: TenantId) -> Result<HashSet<String>, StoreError> {
    let mut zones = HashSet::new();
    for shard in 0..INTENT_SHARDS {
        let mut page = Page::first(500, Direction::Ascending);
        loop {
            let intents: Vec<IntentRow> = store.page(&(shard,), &page).await?;
            let Some(last) = intents.last() else { break };
            page.after = Some((last.kind.clone(), last.entity.clone()));
            let ours =
                intents.into_iter().filter(|intent| intent.tenant == tenant.0 && intent.kind == "zone");
            zones.extend(ours.filter_map(|intent| Some(intent.entity.split_once('\n')?.1.to_owned())));
        }
    }
    Ok(zones)
}
