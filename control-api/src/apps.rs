//! `/v1/apps/{app}`: the credentials of an app with the push providers. They come in and never go out.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use geopush_model::UnixMillis;
use geopush_registry::{
    ApnsCredentials, ApnsEnvironment, AppCredentials, ChangeError, FcmCredentials, app_row,
};
use geopush_service::http::{Invalid, Problem, json_body};
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::AppRow;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::etag::{IfMatch, etag};
use crate::state::{Api, Shared};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(read, upsert))
}

/// The longest name of an app, in bytes.
const MOST_NAME: usize = 64;
/// How often a change that lost a race is tried again, where the caller named no version.
const MOST_TRIES: usize = 8;

/// An app. Private keys are never told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = App, example = example)]
pub(crate) struct AppAnswer {
    /// Its name.
    #[schema(read_only)]
    app: String,
    /// For Firebase Cloud Messaging.
    #[schema(required = false)]
    fcm: Option<FcmAnswer>,
    /// For the Apple Push Notification service.
    #[schema(required = false)]
    apns: Option<ApnsAnswer>,
    /// Counts its changes; its ETag.
    #[schema(read_only)]
    version: i64,
    /// When it was made (RFC 3339).
    #[schema(read_only, format = DateTime)]
    created_at: String,
    /// When it was changed last (RFC 3339).
    #[schema(read_only, format = DateTime)]
    updated_at: String,
}

/// For Firebase Cloud Messaging.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fcm)]
pub(crate) struct FcmAnswer {
    service_account: ServiceAccountAnswer,
    /// Another address than Google's, where the operator allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    /// The most messages a minute; at most what the operator allows. A change takes effect at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, value_type = Option<u32>)]
    per_minute: Option<NonZeroU32>,
}

/// The key file of a service account, as Google gives it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceAccount)]
pub(crate) struct ServiceAccountAnswer {
    project_id: String,
    client_email: String,
    /// Where tokens are had; another than Google's only where the operator allows it.
    #[schema(required = false)]
    token_uri: String,
    /// Its RSA key, PKCS #8 in PEM. Never told.
    #[serde(skip_serializing)]
    #[schema(write_only, value_type = String)]
    #[allow(dead_code, reason = "it is only described")]
    private_key: NeverTold,
}

/// For the Apple Push Notification service: by the tokens of a key, with `team_id` and `key_id`; or by a `certificate`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Apns)]
pub(crate) struct ApnsAnswer {
    /// The developer team; of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<String>,
    /// The key's id; of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// Instead of a key: the app's push certificate, in PEM. Never told.
    #[serde(skip_serializing)]
    #[schema(write_only, required = false, value_type = String)]
    #[allow(dead_code, reason = "it is only described")]
    certificate: NeverTold,
    /// The app's bundle id.
    topic: String,
    /// The `.p8` file, a P-256 key; or the certificate's key. PKCS #8 in PEM. Never told.
    #[serde(skip_serializing)]
    #[schema(write_only, value_type = String)]
    #[allow(dead_code, reason = "it is only described")]
    private_key: NeverTold,
    /// `production` or `sandbox`.
    #[schema(schema_with = environment_schema)]
    environment: ApnsEnvironment,
    /// Another address than Apple's, where the operator allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    /// The most messages a minute; at most what the operator allows. A change takes effect at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, value_type = Option<u32>)]
    per_minute: Option<NonZeroU32>,
}

/// Stands for a secret in the description of an answer.
#[derive(Debug)]
struct NeverTold;

fn environment_schema() -> utoipa::openapi::schema::Schema {
    let schema = json!({"type": "string", "enum": ["production", "sandbox"]});
    serde_json::from_value(schema).expect("this is a schema")
}

fn example() -> Value {
    json!({
        "fcm": {"service_account": {
            "project_id": "shop-1234", "client_email": "push@shop-1234.iam.gserviceaccount.com",
            "private_key": "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n"
        }},
        "apns": {
            "team_id": "ABCDE12345", "key_id": "ABC123DEFG", "topic": "com.example.shop",
            "private_key": "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n", "environment": "production"
        }
    })
}

impl From<&FcmCredentials> for FcmAnswer {
    fn from(fcm: &FcmCredentials) -> Self {
        let account = &fcm.service_account;
        Self {
            service_account: ServiceAccountAnswer {
                project_id: account.project_id.clone(),
                client_email: account.client_email.clone(),
                token_uri: account.token_uri.clone(),
                private_key: NeverTold,
            },
            base_url: fcm.base_url.clone(),
            per_minute: fcm.per_minute,
        }
    }
}

impl From<&ApnsCredentials> for ApnsAnswer {
    fn from(apns: &ApnsCredentials) -> Self {
        Self {
            team_id: apns.team_id.clone(),
            key_id: apns.key_id.clone(),
            certificate: NeverTold,
            topic: apns.topic.clone(),
            private_key: NeverTold,
            environment: apns.environment,
            base_url: apns.base_url.clone(),
            per_minute: apns.per_minute,
        }
    }
}

type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

fn tagged(row: AppRow, credentials: &AppCredentials) -> Tagged<AppAnswer> {
    let answer = AppAnswer {
        app: row.app,
        fcm: credentials.fcm.as_ref().map(FcmAnswer::from),
        apns: credentials.apns.as_ref().map(ApnsAnswer::from),
        version: row.version,
        created_at: format_rfc3339_ms(row.created_at.0),
        updated_at: format_rfc3339_ms(row.updated_at.0),
    };
    (etag(row.version), Json(answer))
}

/// An app, without its private keys.
#[utoipa::path(get, path = "/v1/apps/{app}", tag = "apps",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, description = "The app", body = AppAnswer,
        headers(("ETag" = String, description = "Its version")))))]
async fn read(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(app): Path<String>,
) -> Result<Tagged<AppAnswer>, ApiError> {
    let row = api.store().get::<AppRow>(&(tenant.0,), &(app,)).await?.filter(|row| !row.deleted);
    let row = row.ok_or_else(|| ApiError::not_found("app"))?;
    let credentials = api.deps.sealer.open(tenant, &row.app, &row.sealed).map_err(Problem::internal)?;
    Ok(tagged(row, &credentials))
}

/// Creates or replaces an app: all of its credentials.
#[utoipa::path(put, path = "/v1/apps/{app}", tag = "apps", request_body = AppAnswer,
    params(("app" = String, Path, description = "The app's name: 1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `-`"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to replace, or `*`")),
    responses(
        (status = 200, description = "The app, replaced", body = AppAnswer,
            headers(("ETag" = String, description = "Its version"))),
        (status = 201, description = "The app, created", body = AppAnswer,
            headers(("ETag" = String, description = "Its version")))))]
async fn upsert(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(app): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<(StatusCode, Tagged<AppAnswer>), ApiError> {
    if !is_name(&app) {
        return Err(ApiError::path("app", "give 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`"));
    }
    let demand = IfMatch::of(&headers);
    let credentials: AppCredentials = json_body(request, api.limits()).await?;
    let wrong = credentials.check(api.config.allow_provider_urls);
    if !wrong.is_empty() {
        let wrong = wrong.into_iter().map(|e| Invalid::new(e.pointer, e.code, e.detail));
        return Err(ApiError::invalid(wrong.collect()));
    }
    for _ in 0..MOST_TRIES {
        let known = api.store().get::<AppRow>(&(tenant.0,), &(app.clone(),)).await?;
        let live = known.as_ref().filter(|row| !row.deleted);
        demand.check(live.map(|row| row.version))?;
        let made = live.is_none();
        let now = api.now();
        let created_at = live.map_or(now, |row| UnixMillis(row.created_at.0));
        let version = known.as_ref().map_or(0, |row| row.version) + 1;
        let row = app_row(&api.deps.sealer, tenant, &app, &credentials, version, [created_at, now]);
        let written = match known {
            None => api.deps.publisher.create(row.clone()).await,
            Some(known) => api.deps.publisher.replace(row.clone(), known.version).await,
        };
        match written {
            Err(ChangeError::Conflict) => {}
            written => {
                written?;
                // Pushes that are asked for after the answer are sent with these credentials.
                api.deps.directory.barrier().await?;
                let status = if made { StatusCode::CREATED } else { StatusCode::OK };
                return Ok((status, tagged(row, &credentials)));
            }
        }
    }
    Err(ApiError::contended())
}

/// Whether an app can be called this.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MOST_NAME).contains(&name.len()) && name.bytes().all(fits)
}
