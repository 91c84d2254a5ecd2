//! JSON bodies: what is not JSON is malformed (400), what is JSON of another shape is invalid (422) at a pointer.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use super::body::{BodyLimits, read_body, refuse};
use super::{Invalid, Problem};

/// As much of a deserializer's words as is told: they may repeat a long value.
const LONGEST_DETAIL: usize = 300;

/// Reads a JSON body. `application/json` and every `+json` type is taken, and a body that names no type.
///
/// # Errors
/// Those of [`read_body`] and [`parse_json`]; 415 for another media type.
pub async fn json_body<T: DeserializeOwned>(request: Request, limits: BodyLimits) -> Result<T, Problem> {
    if let Err(problem) = must_be_json(request.headers()) {
        return Err(refuse(request, problem).await);
    }
    parse_json(&read_body(request, limits).await?)
}

fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = value.to_str().unwrap_or("").to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let media = parts.next().unwrap_or("");
    let utf8 = parts
        .filter_map(|parameter| parameter.strip_prefix("charset="))
        .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    let json = media == "application/json" || (media.ends_with("+json") && media.contains('/'));
    match (json, utf8) {
        (true, true) => Ok(()),
        (true, false) => {
            Err(Problem::unsupported_media_type("JSON is UTF-8; leave the charset out or name utf-8"))
        }
        (false, _) if media == "application/x-www-form-urlencoded" => Err(Problem::unsupported_media_type(
            "the body must be JSON; say so with the header `Content-Type: application/json` \
             (curl: -H 'Content-Type: application/json', or --json)",
        )),
        (false, _) => {
            Err(Problem::unsupported_media_type("the body must be JSON, with Content-Type: application/json"))
        }
    }
}

/// Reads JSON.
///
/// # Errors
/// 400 with line and column when it is not JSON; 422 with the pointer of the member whose shape is wrong (inside
/// untagged or internally tagged enums serde loses the way, and the pointer is the enum's).
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::malformed("the body is empty; it must be JSON"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        problem(&pointer, error.inner(), bytes)
    })?;
    reader.end().map_err(|error| problem("", &error, bytes))?;
    Ok(value)
}

fn problem(at: &str, error: &serde_json::Error, bytes: &[u8]) -> Problem {
    let (line, column) = (error.line(), error.column());
    let said = error.to_string();
    let said = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
    let not_json = |error: &serde_json::Error, said: &str| {
        let (line, column) = (error.line(), error.column());
        Problem::malformed(format!("the body is not JSON: {said} at line {line}, column {column}"))
    };
    if error.classify() != Category::Data {
        return not_json(error, said);
    }
    // A shape is only worth talking about once the rest of the text is known to be JSON.
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or(&said);
        return not_json(&error, said);
    }
    let (code, pointer) = classify(said, at);
    let detail = match said.char_indices().nth(LONGEST_DETAIL) {
        Some((cut, _)) => format!("{}…", &said[..cut]),
        None => said.to_owned(),
    };
    Problem::invalid(vec![Invalid::new(pointer, code, detail)])
}

/// The error's code, and its place: a missing or unknown member's own, where the deserializer names its parent.
fn classify(said: &str, at: &str) -> (&'static str, String) {
    const KINDS: [(&str, &str); 8] = [
        ("missing field `", "missing"),
        ("unknown field `", "unknown_field"),
        ("duplicate field `", "duplicate_field"),
        ("unknown variant `", "unknown_value"),
        ("invalid type: ", "invalid_type"),
        ("invalid value: ", "invalid_value"),
        ("invalid length ", "invalid_length"),
        ("data did not match any variant", "invalid_type"),
    ];
    let Some((prefix, code)) = KINDS.into_iter().find(|(prefix, _)| said.starts_with(prefix)) else {
        return ("invalid_value", at.to_owned());
    };
    let member = said[prefix.len()..].split('`').next().filter(|_| prefix.ends_with("field `"));
    match member.map(escape) {
        Some(member) if !at.ends_with(&format!("/{member}")) => (code, format!("{at}/{member}")),
        _ => (code, at.to_owned()),
    }
}

/// RFC 6901, section 3.
fn escape(member: &str) -> String {
    member.replace('~', "~0").replace('/', "~1")
}

fn pointer(path: &Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            Segment::Enum { variant } => Some(format!("/{}", escape(variant))),
            Segment::Unknown => None,
        })
        .collect()
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
