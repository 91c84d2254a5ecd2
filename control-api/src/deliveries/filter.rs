//! Which deliveries of a list: `?outcome=&reason=&variant=`.

use std::fmt::Write as _;

use geopush_model::{Outcome, Reason};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa::openapi::schema::Schema;

use super::DeliveryAnswer;
use crate::error::ApiError;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FilterQuery {
    /// Only those that ended so. With this or another filter a page may have fewer items than its limit, even none,
    /// though `next_cursor` says that there are more rows to look at.
    #[param(schema_with = outcome_schema)]
    outcome: Option<String>,
    /// Only those with this reason.
    #[param(schema_with = reason_schema)]
    reason: Option<String>,
    /// Only those of this variant of their campaign.
    variant: Option<String>,
}

/// What is kept of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    outcome: Option<Outcome>,
    reason: Option<Reason>,
    variant: Option<String>,
}

impl FilterQuery {
    /// The filter, if anything is to be left out.
    pub(super) fn read(&self) -> Result<Option<Filter>, ApiError> {
        let filter = Filter {
            outcome: choice("outcome", &self.outcome, &ends(), Outcome::as_str)?,
            reason: choice("reason", &self.reason, Reason::ALL, Reason::as_str)?,
            variant: self.variant.clone().filter(|text| !text.is_empty()),
        };
        Ok((filter != Filter { outcome: None, reason: None, variant: None }).then_some(filter))
    }
}

impl Filter {
    pub(super) fn keeps(&self, delivery: &DeliveryAnswer) -> bool {
        self.outcome.is_none_or(|outcome| delivery.outcome == outcome.as_str())
            && self.reason.is_none_or(|reason| delivery.reason.as_deref() == Some(reason.as_str()))
            && self.variant.as_ref().is_none_or(|variant| delivery.variant.as_ref() == Some(variant))
    }
}

fn choice<T: Copy>(
    name: &str,
    text: &Option<String>,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<Option<T>, ApiError> {
    let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
    if let Some(found) = all.iter().copied().find(|choice| as_str(*choice) == text) {
        return Ok(Some(found));
    }
    let mut detail = "give one of".to_owned();
    for choice in all {
        let _ = write!(detail, " {}", as_str(*choice));
    }
    Err(ApiError::query(name, detail))
}

/// The outcomes that a delivery of a list can have.
fn ends() -> Vec<Outcome> {
    Outcome::ALL.iter().copied().filter(|outcome| outcome.is_end()).collect()
}

/// The outcomes, as a schema.
pub(super) fn outcome_schema() -> Schema {
    let names: Vec<_> = ends().into_iter().map(Outcome::as_str).collect();
    schema(json!({
        "type": "string", "enum": names,
        "description": "`accepted` (by the provider), `failed`, `suppressed` or `expired`."
    }))
}

/// The reasons, as a schema.
pub(super) fn reason_schema() -> Schema {
    let names: Vec<_> = Reason::ALL.iter().copied().map(Reason::as_str).collect();
    schema(json!({"type": "string", "enum": names}))
}

/// The reasons, or none, as a schema.
pub(super) fn reason_or_none_schema() -> Schema {
    let names = Reason::ALL.iter().copied().map(|reason| json!(reason.as_str()));
    let names: Vec<Value> = names.chain([Value::Null]).collect();
    schema(json!({
        "type": ["string", "null"], "enum": names,
        "description": "Why it was not accepted; `null` if it was."
    }))
}

fn schema(json: Value) -> Schema {
    serde_json::from_value(json).expect("this is a schema")
}
