//! `/v1/settings`: what a tenant chooses for itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use geopush_model::{Caps, QuietHours, QuietHoursThen, TenantId, TenantSettings, UnixMillis, Weight};
use geopush_registry::{ChangeError, settings_of, timezone_name, with_settings};
use geopush_service::http::Invalid;
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::TenantRow;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::etag::{IfMatch, etag};
use crate::hours::{read_window, time_schema};
use crate::json::Members;
use crate::state::{Api, Shared};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(read, replace))
}

/// The longest name of a tenant, in bytes.
const MOST_NAME: usize = 256;
/// Members of an answer that a request may send back.
const READ_ONLY: [&str; 3] = ["version", "created_at", "updated_at"];
/// How often a change that lost a race is tried again, where the caller named no version.
const MOST_TRIES: usize = 8;
/// The highest quota.
const MOST_QUOTA: i64 = 1_000_000_000_000;

/// A tenant's settings. Of the members that may be left out only the name stays then; the others are none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settings, example = example)]
pub(crate) struct SettingsAnswer {
    /// The tenant's name, for people: 1 to 256 bytes. Left out: it stays.
    #[schema(required = false, max_length = 256)]
    name: String,
    /// Whether a zone that a device passes on the straight line between two fixes, at most 120 s and 70 m/s apart,
    /// gives an enter and an exit at interpolated times. At first it does not.
    detect_crossings: bool,
    /// IANA's name of the clock that schedules go by, and quiet hours and campaigns' hours where a device has not said
    /// its own; `null`: UTC.
    #[schema(required = false, examples("Europe/Madrid"))]
    timezone: Option<String>,
    /// When phones are left alone, by their own clocks; `null`: never.
    #[schema(value_type = Option<QuietHoursAnswer>, required = false)]
    quiet_hours: Option<QuietHours>,
    /// How often one phone is pushed to, over all campaigns.
    #[schema(value_type = CapsAnswer, required = false)]
    caps: Caps,
    /// The most pushes in a day (UTC); `null`: any number.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, required = false)]
    quota_per_day: Option<u64>,
    /// Counts their changes; their ETag.
    #[schema(read_only)]
    version: i64,
    /// When the tenant was made (RFC 3339).
    #[schema(read_only, format = DateTime)]
    created_at: String,
    /// When they were changed last (RFC 3339).
    #[schema(read_only, format = DateTime)]
    updated_at: String,
}

/// A part of each day; one that does not end after it began goes on until the next day.
#[derive(ToSchema)]
#[schema(as = QuietHours)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
struct QuietHoursAnswer {
    /// Its begin, as `HH:MM`.
    #[schema(schema_with = time_schema)]
    from: String,
    /// Its end, which is not part of it.
    #[schema(schema_with = time_schema)]
    to: String,
    /// What becomes of pushes: `hold` them until the end, to be decided on again then, or `drop` them. Left out: `hold`.
    #[schema(schema_with = then_schema, required = false)]
    then: &'static str,
}

/// The most pushes to one device, by rolling windows; `null`: any number.
#[derive(ToSchema)]
#[schema(as = Caps)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
struct CapsAnswer {
    /// In any hour.
    #[schema(minimum = 1, maximum = 200, required = false)]
    per_hour: Option<u32>,
    /// In any 24 hours.
    #[schema(minimum = 1, maximum = 200, required = false)]
    per_day: Option<u32>,
    /// In any seven times 24 hours.
    #[schema(minimum = 1, maximum = 200, required = false)]
    per_week: Option<u32>,
}

fn then_schema() -> utoipa::openapi::schema::Schema {
    serde_json::from_value(json!({"type": "string", "enum": ["hold", "drop"]})).expect("this is a schema")
}

fn example() -> Value {
    json!({
        "name": "Shop",
        "detect_crossings": true,
        "timezone": "Europe/Madrid",
        "quiet_hours": {"from": "22:00", "to": "08:00", "then": "hold"},
        "caps": {"per_hour": 2, "per_day": 4, "per_week": 15},
        "quota_per_day": 1_000_000
    })
}

type Tagged = ([(HeaderName, String); 1], Json<SettingsAnswer>);

fn tagged(row: &TenantRow) -> Result<Tagged, ApiError> {
    let TenantSettings { name, detect_crossings, timezone, quiet_hours, caps, quota_per_day, weight: _ } =
        settings_of(row)?;
    let answer = SettingsAnswer {
        name,
        detect_crossings,
        timezone,
        quiet_hours,
        caps,
        quota_per_day,
        version: row.version,
        created_at: format_rfc3339_ms(row.created_at.0),
        updated_at: format_rfc3339_ms(row.updated_at.0),
    };
    Ok((etag(row.version), Json(answer)))
}

/// What a merchant may say of the settings.
struct SettingsInput {
    /// None: it stays.
    name: Option<String>,
    /// All but the name, and the weight, which is the operator's to say.
    chosen: TenantSettings,
}

impl SettingsInput {
    fn read(body: Value) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(body, "")?;
        let name = members.text("name", MOST_NAME);
        let detect_crossings = members.require("detect_crossings", Members::flag);
        let chosen = TenantSettings {
            name: String::new(),
            detect_crossings: detect_crossings.unwrap_or_default(),
            timezone: read_timezone(&mut members),
            quiet_hours: members.nested("quiet_hours", quiet_hours_of),
            caps: members.nested("caps", caps_of).unwrap_or_default(),
            quota_per_day: members.whole("quota_per_day", 1..=MOST_QUOTA).map(i64::unsigned_abs),
            weight: Weight::default(),
        };
        members.finish(&READ_ONLY)?;
        Ok(Self { name, chosen })
    }

    /// The row that comes after `row`.
    fn over(&self, row: &TenantRow, now: UnixMillis) -> TenantRow {
        let name = self.name.clone().unwrap_or_else(|| row.name.clone());
        with_settings(row, &TenantSettings { name, ..self.chosen.clone() }, now)
    }
}

fn read_timezone(members: &mut Members) -> Option<String> {
    let name = timezone_name(&members.text("timezone", 64)?);
    if name.is_none() {
        members.fail("timezone", "invalid_value", "give an IANA name such as Europe/Madrid, or null for UTC");
    }
    name
}

fn quiet_hours_of(value: Value, at: &str) -> Result<QuietHours, Vec<Invalid>> {
    let mut members = Members::of(value, at)?;
    let window = read_window(&mut members);
    let then = members.choice("then", &[("hold", QuietHoursThen::Hold), ("drop", QuietHoursThen::Drop)]);
    members.finish(&[])?;
    match window {
        Some(window) => Ok(QuietHours { window, then: then.unwrap_or(QuietHoursThen::Hold) }),
        None => unreachable!("a member that is required and missing was noted, and finish refuses then"),
    }
}

fn caps_of(value: Value, at: &str) -> Result<Caps, Vec<Invalid>> {
    let mut members = Members::of(value, at)?;
    let mut cap = |name| {
        let cap = members.whole(name, 1..=Caps::MOST.into());
        cap.and_then(|cap| u32::try_from(cap).ok())
    };
    let caps = Caps { per_hour: cap("per_hour"), per_day: cap("per_day"), per_week: cap("per_week") };
    members.finish(&[])?;
    Ok(caps)
}

/// The settings.
#[utoipa::path(get, path = "/v1/settings", tag = "settings", operation_id = "read_settings",
    responses((status = 200, description = "The settings", body = SettingsAnswer,
        headers(("ETag" = String, description = "Their version")))))]
async fn read(State(api): Shared, Tenant(tenant): Tenant) -> Result<Tagged, ApiError> {
    tagged(&row_of(&api, tenant).await?)
}

/// Replaces the settings.
#[utoipa::path(put, path = "/v1/settings", tag = "settings", operation_id = "replace_settings",
    request_body = SettingsAnswer,
    params(("If-Match" = Option<String>, Header, description = "The ETag of the version to replace, or `*`")),
    responses((status = 200, description = "The settings, replaced", body = SettingsAnswer,
        headers(("ETag" = String, description = "Their version")))))]
async fn replace(
    State(api): Shared,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    request: Request,
) -> Result<Tagged, ApiError> {
    let demand = IfMatch::of(&headers);
    let input = SettingsInput::read(api.body(request).await?).map_err(ApiError::invalid)?;
    for _ in 0..MOST_TRIES {
        let row = row_of(&api, tenant).await?;
        demand.check(Some(row.version))?;
        let next = input.over(&row, api.now());
        match api.deps.publisher.replace(next.clone(), row.version).await {
            Err(ChangeError::Conflict) => {}
            written => {
                written?;
                return tagged(&next);
            }
        }
    }
    Err(ApiError::contended())
}

async fn row_of(api: &Api, tenant: TenantId) -> Result<TenantRow, ApiError> {
    let row = api.store().get::<TenantRow>(&(tenant.0,), &()).await?;
    row.ok_or_else(|| ApiError::not_found("tenant"))
}
