use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::StatusCode;
use serde::Deserialize;

use super::*;
use crate::config::ByteSize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Zone {
    name: String,
    #[serde(default)]
    shape: Option<Shape>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, u32>,
    #[serde(default)]
    points: Vec<[f64; 2]>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum Shape {
    Circle { radius_m: f64 },
    Nothing,
}

fn error(text: &str) -> Problem {
    parse_json::<Zone>(text.as_bytes()).unwrap_err()
}

#[test]
fn a_wrong_shape_is_told_at_its_pointer() {
    for (text, pointer, code) in [
        (r#"{}"#, "/name", "missing"),
        (r#"[]"#, "", "invalid_length"),
        (r#"3"#, "", "invalid_type"),
        (r#"{"name":3}"#, "/name", "invalid_type"),
        (r#"{"name":null}"#, "/name", "invalid_type"),
        (r#"{"name":"a","tags":["x",1]}"#, "/tags/1", "invalid_type"),
        (r#"{"name":"a","points":[[1,2],[1]]}"#, "/points/1", "invalid_length"),
        (r#"{"name":"a","points":[[1,2],[1,"x"]]}"#, "/points/1/1", "invalid_type"),
        (r#"{"name":"a","metadata":{"a/b~c":-1}}"#, "/metadata/a~1b~0c", "invalid_value"),
        (r#"{"name":"a","shape":{"circle":{}}}"#, "/shape/circle/radius_m", "missing"),
        (r#"{"name":"a","shape":{"circle":{"radius_m":"1"}}}"#, "/shape/circle/radius_m", "invalid_type"),
        (r#"{"name":"a","shape":"square"}"#, "/shape", "unknown_value"),
        (r#"{"name":"a","colour":1}"#, "/colour", "unknown_field"),
        (r#"{"name":"a","name":"b"}"#, "/name", "duplicate_field"),
    ] {
        let problem = error(text);
        assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        let [only] = problem.errors.as_slice() else { panic!("{text}: {problem:?}") };
        assert_eq!((only.pointer.as_str(), only.code), (pointer, code), "{text}: {only:?}");
        assert!(!only.detail.contains(" at line "), "{only:?}");
    }
}

#[test]
fn what_is_not_json_is_malformed_with_its_place() {
    for (text, place) in [
        ("{\n \"name\": }", "line 2, column 10"),
        ("{\"name\":\"a\"", "line 1, column 11"),
        ("{\"name\":\"a\"} x", "line 1, column 14"),
        ("{\"name\":3, oops", "line 1, column 12"),
        ("{\"name\":NaN}", "line 1, column 9"),
        ("{\"name\":\"\u{1}\"}", "line 1, column 10"),
    ] {
        let problem = error(text);
        assert_eq!((problem.status.as_u16(), problem.code), (400, "malformed"), "{text}");
        assert!(problem.detail.ends_with(place), "{text}: {}", problem.detail);
    }
    assert_eq!(error(" \n").detail, "the body is empty; it must be JSON");
    assert_eq!(parse_json::<Zone>(b"{\"name\":\"\xff\"}").unwrap_err().status, StatusCode::BAD_REQUEST);
}

#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(error(&deep).errors[0].pointer, "/name");
    assert_eq!(parse_json::<serde_json::Value>(deep.as_bytes()).unwrap_err().status, StatusCode::BAD_REQUEST);
}

#[test]
fn a_long_value_is_not_repeated_whole() {
    let problem = error(&format!("{{\"name\":\"a\",\"tags\":\"{}\"}}", "é".repeat(5000)));
    assert!(problem.errors[0].detail.chars().count() <= LONGEST_DETAIL + 1);
    assert_eq!(problem.errors[0].pointer, "/tags");
}

#[tokio::test]
async fn json_is_read_under_any_of_its_names() {
    let limits = BodyLimits::new(ByteSize::kib(1), ByteSize::kib(1));
    for (media, status) in [
        (None, 200),
        (Some("application/json"), 200),
        (Some("Application/JSON; charset=UTF-8"), 200),
        (Some("application/geo+json"), 200),
        (Some("application/vnd.x+json; v=1"), 200),
        (Some("application/json; charset=latin1"), 415),
        (Some("text/plain"), 415),
        (Some("+json"), 415),
        (Some(""), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("multipart/form-data; boundary=x"), 415),
    ] {
        let mut request = Request::post("/").body(Body::from(r#"{"name":"a"}"#)).unwrap();
        if let Some(media) = media {
            request.headers_mut().insert(header::CONTENT_TYPE, media.parse().unwrap());
        }
        let read = json_body::<Zone>(request, limits).await;
        assert_eq!(read.map_or_else(|problem| problem.status.as_u16(), |_| 200), status, "{media:?}");
    }
}

#[test]
fn a_form_is_told_how_to_be_json() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
    assert!(must_be_json(&headers).unwrap_err().detail.contains("-H 'Content-Type: application/json'"));
}
