//! Who asks. A tenant's secret key opens everything of the tenant and nothing else.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use geopush_model::{KeyKind, TenantId};
use geopush_service::http::{Problem, bearer};

use crate::error::ApiError;
use crate::state::Api;

/// The tenant that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenant(pub TenantId);

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let tenant = parts.extensions.get::<Self>().copied();
        tenant.ok_or_else(|| Problem::internal("a route without authentication asks for its tenant").into())
    }
}

/// Lets those with a secret key pass, within the tenant's rate, and tells the handler whose it is.
pub(crate) async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let tenant = match tenant_of(&api, request.headers()).await {
        Ok(tenant) => tenant,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(Tenant(tenant));
    api.limiter.run(tenant, request, next).await
}

async fn tenant_of(api: &Api, headers: &HeaderMap) -> Result<TenantId, Problem> {
    let key = bearer(headers)?;
    let known = api.deps.directory.principal(key).await;
    let principal = known.ok_or_else(|| {
        Problem::unauthorized("this key is unknown or revoked; use one of the tenant's secret keys")
    })?;
    match principal.kind {
        KeyKind::Secret => Ok(principal.tenant),
        KeyKind::Publishable => Err(Problem::forbidden(
            "a publishable key is for phones, at the ingest address; use a secret key here, from a server",
        )),
    }
}
