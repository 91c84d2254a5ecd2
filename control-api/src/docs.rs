//! The OpenAPI document, made from the routes' own declarations, and a page to read it by.

mod page;

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::campaigns::audience_schema;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// What can be wrong with a member: of any; of files of zones and credentials, which are read as a whole; of audiences,
/// messages and their like; of shapes.
const CODES: &[&str] = &[
    "required",
    "wrong_type",
    "unknown_member",
    "invalid_value",
    "out_of_range",
    "too_large",
    "too_many",
    "conflicting",
    "immutable",
    "not_found",
    "missing",
    "unknown_field",
    "duplicate_field",
    "unknown_value",
    "invalid_length",
    "provider_url_not_allowed",
    "unknown_form",
    "reserved_key",
    "invalid_certificate",
    "invalid_key",
    "invalid_url",
    "invalid_template",
    "invalid_schedule",
    "invalid_type",
    "unknown_shape_type",
    "missing_member",
    "not_a_number",
    "position_too_short",
    "position_out_of_range",
    "radius_out_of_range",
    "too_few_positions",
    "too_many_positions",
    "ring_not_closed",
    "ring_round_pole",
    "self_crossing_ring",
    "crossing_rings",
    "empty_shape",
];

/// `/v1/openapi.json` and `/docs`, which need no key.
pub(crate) fn routes(document: &Value) -> Router {
    let texts = Arc::new((document.to_string(), page::render(document)));
    let json = |Extension(texts): Extension<Arc<(String, String)>>| async move {
        ([(CONTENT_TYPE, JSON)], texts.0.clone()).into_response()
    };
    let page = |Extension(texts): Extension<Arc<(String, String)>>| async move {
        ([(CONTENT_TYPE, "text/html; charset=utf-8")], texts.1.clone()).into_response()
    };
    Router::new().route("/v1/openapi.json", get(json)).route("/docs", get(page)).layer(Extension(texts))
}

/// Completes what the routes say with what holds for all of them: who may ask, the headers, the problems.
pub(crate) fn complete(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("a document is always JSON");
    document["info"] = json!({
        "title": "GeoPush",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Zones, campaigns, devices and what happened. Send a secret key as a bearer token. \
            Lists are pages: pass `next_cursor` as `cursor`. Failures are problem documents (RFC 9457).",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    });
    document["servers"] = json!([{"url": "/"}]);
    document["security"] = json!([{"key": []}]);
    document["components"]["securitySchemes"] = json!({
        "key": {"type": "http", "scheme": "bearer", "description": "A secret key of the tenant (`gp_sk_…`)."}
    });
    document["components"]["schemas"]["Problem"] = problem_schema();
    document["components"]["schemas"]["Audience"] = audience_schema();
    document["tags"] = [
        "zones",
        "devices",
        "transitions",
        "deliveries",
        "dead-letters",
        "apps",
        "campaigns",
        "events",
        "sends",
        "settings",
    ]
    .map(|name| json!({"name": name}))
    .into();
    document["components"]["responses"] = problems();
    let paths = document["paths"].as_object_mut().expect("a document has paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().expect("a path has operations") {
            complete_operation(path, method, operation);
        }
    }
    document
}

fn complete_operation(path: &str, method: &str, operation: &mut Value) {
    if let (Some(verb), Some(tag)) = (operation["operationId"].as_str(), operation["tags"][0].as_str())
        && !verb.contains('_')
    {
        operation["operationId"] = format!("{verb}_{}", tag.trim_end_matches('s')).into();
    }
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let if_match = parameters.iter().find(|parameter| parameter["name"] == "If-Match");
    let queried = parameters.iter().any(|parameter| parameter["in"] == "query");
    let has_body = operation.get("requestBody").is_some();
    let mut wrong = vec!["401", "403", "429", "503"];
    if path.contains('{') || queried {
        wrong.extend(["400", "404"]);
    }
    if has_body {
        wrong.extend(["400", "408", "413", "415"]);
    }
    if has_body || queried {
        wrong.push("422");
    }
    if has_body || method != "get" {
        wrong.push("409");
    }
    if if_match.is_some() {
        wrong.push("412");
    }
    if if_match.is_some_and(|parameter| parameter["required"] == true) {
        wrong.push("428");
    }
    if method == "post" {
        wrong.extend(["400", "422"]);
        let mut parameters = parameters;
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A name of this request, such as a UUID: sent again, it is answered again, not done again.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        }));
        operation["parameters"] = parameters.into();
    }
    for status in wrong {
        operation["responses"][status] = json!({"$ref": format!("#/components/responses/{status}")});
    }
}

fn problems() -> Value {
    const TOLD: [(&str, &str); 13] = [
        ("400", "The request can't be read"),
        ("401", "No key, or an unknown one"),
        ("403", "A key of the wrong kind"),
        ("404", "There is no such thing among the tenant's"),
        ("408", "The body came too slowly"),
        ("409", "It is there already, or is being changed by others"),
        ("412", "It is at another version than If-Match says"),
        ("413", "The body is too large"),
        ("415", "A media type or content encoding that is not read"),
        ("422", "Members of the body, or query parameters, are wrong: see errors"),
        ("428", "If-Match is needed"),
        ("429", "The tenant asks more often than it may"),
        ("503", "Not now: send the same request again"),
    ];
    let told = TOLD.map(|(status, description)| {
        let content = json!({PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}});
        (status.to_owned(), json!({"description": description, "content": content}))
    });
    Map::from_iter(told).into()
}

fn problem_schema() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "description": "Why a request failed (RFC 9457).",
        "required": ["type", "title", "status", "code", "detail", "request_id", "errors"],
        "properties": {
            "type": text("The problem's kind, as a name"),
            "title": text("The kind in words"),
            "status": {"type": "integer", "description": "The HTTP status"},
            "code": text("The kind, for programs"),
            "detail": text("What went wrong this time, and what to do"),
            "request_id": {"type": ["string", "null"], "description": "Tell us this when you ask"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "detail"],
                    "properties": {
                        "pointer": text("JSON pointer into the body; `/query/…` and `/path/…` for the rest"),
                        "code": {"type": "string", "description": "What is wrong, for programs", "enum": CODES},
                        "detail": text("What is wrong and what would be right")
                    }
                }
            }
        },
        "example": {
            "type": "urn:geopush:problem:invalid", "title": "Invalid request", "status": 422, "code": "invalid",
            "detail": "/name: give this member", "request_id": "5f2b…",
            "errors": [{"pointer": "/name", "code": "required", "detail": "give this member"}]
        }
    })
}
