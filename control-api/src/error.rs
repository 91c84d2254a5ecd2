//! Every failure as a problem.
//!
//! A wrong query parameter is told like a wrong member of the body, at the pointer `/query/<name>`; a wrong part of
//! the path at `/path/<name>`.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use geopush_log::{AppendError, LogError};
use geopush_registry::{ChangeError, DeviceError};
use geopush_service::http::{Invalid, Problem};
use geopush_store::StoreError;

/// After a failure of the store or the log, how long a caller should wait.
const WAIT: Duration = Duration::from_secs(1);

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError(pub Box<Problem>);

impl ApiError {
    /// 422: these members are wrong.
    pub fn invalid(errors: Vec<Invalid>) -> Self {
        Problem::invalid(errors).into()
    }

    /// 422: this query parameter is wrong.
    pub fn query(name: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![Invalid::new(format!("/query/{name}"), "invalid_value", detail)])
    }

    /// 422: this part of the path is wrong.
    pub fn path(name: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![Invalid::new(format!("/path/{name}"), "invalid_value", detail)])
    }

    /// 404: there is no such thing among the tenant's.
    pub fn not_found(what: &str) -> Self {
        Problem::not_found(format!("there is no such {what}; check the id")).into()
    }

    /// 409: there is one already.
    pub fn duplicate(detail: impl Into<String>) -> Self {
        Problem::conflict(detail).coded("duplicate", "There already").into()
    }

    /// 428
    pub fn precondition_required() -> Self {
        Problem::precondition_required("send If-Match with the ETag of the version that you read, or *")
            .into()
    }

    /// 412
    pub fn precondition_failed() -> Self {
        Problem::precondition_failed("it is not, or no longer, at the version of If-Match; read it again")
            .into()
    }

    /// 409: others change it all the time.
    pub fn contended() -> Self {
        Problem::conflict("it is being changed by others at the same time; try again")
            .coded("contended", "Changed by others")
            .retry_after(WAIT)
            .into()
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // Waiting does not mend what is stored.
            StoreError::Corrupt { .. } | StoreError::Incompatible { .. } => Problem::internal(error).into(),
            StoreError::Unavailable(_) | StoreError::Full => {
                unavailable("the store could not be used", &error)
            }
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        unavailable("records could not be appended", &error)
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        unavailable("the log could not be read", &error)
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Conflict => Self::contended(),
            ChangeError::Store(error) => error.into(),
            ChangeError::Log(error) => error.into(),
        }
    }
}

impl From<DeviceError> for ApiError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Conflict => Self::contended(),
            DeviceError::Store(error) => error.into(),
            DeviceError::Log(error) => error.into(),
        }
    }
}

fn unavailable(what: &str, error: &dyn std::fmt::Display) -> ApiError {
    tracing::warn!(%error, "{what}");
    let detail = "it is not known whether this took effect; send the same request again";
    Problem::unavailable(detail, WAIT).into()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
