use axum::extract::{Extension, Path};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::http::Invalid;
use crate::telemetry::{LogFormat, init};

fn router() -> Router {
    Router::new()
        .route("/v1/things/{id}", get(async |Path(id): Path<u32>| id.to_string()).delete(async || ()))
        .route(
            "/v1/ids",
            get(async |Extension(id): Extension<RequestId>, Extension(trace): Extension<TraceId>| {
                format!("{id} {trace}")
            }),
        )
        .route("/v1/panic", get(async || -> () { panic!("out of bounds") }))
        .route("/v1/slow", get(std::future::pending::<()>))
        .route("/v1/slower", get(std::future::pending::<()>))
        .route("/v1/bare", get(async || StatusCode::CONFLICT))
        .route("/v1/page", get(async || (StatusCode::GONE, axum::response::Html("<p>gone"))))
        .route("/v1/leak", get(async || (StatusCode::INTERNAL_SERVER_ERROR, "password is 123")))
        .route(
            "/v1/invalid",
            post(async || Problem::invalid(vec![Invalid::new("/shape", "not_closed", "close the ring")])),
        )
        .route("/v1/full", get(async || Problem::unavailable("the log is full", Duration::from_millis(1500))))
        .route("/v1/key", get(async || Problem::unauthorized("no such key")))
}

fn edge() -> Edge {
    Edge::new("test").timeout(Duration::from_secs(5)).timeout_for("/v1/slower", Duration::from_secs(50))
}

async fn send(request: Request) -> Response {
    edge().apply(router()).oneshot(request).await.unwrap()
}

async fn ask(method: &str, path: &str) -> Response {
    send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_failure_leaves_as_a_problem_that_names_its_request() {
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/v1/things/1", 405, "method_not_allowed"),
        ("GET", "/v1/things/x", 400, "malformed"),
        ("GET", "/v1/panic", 500, "internal"),
        ("GET", "/v1/bare", 409, "refused"),
        ("GET", "/v1/leak", 500, "internal"),
        ("POST", "/v1/invalid", 422, "invalid"),
        ("GET", "/v1/full", 503, "unavailable"),
        ("GET", "/v1/key", 401, "unauthorized"),
    ] {
        let response = ask(method, path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(header(&response, "content-type"), "application/problem+json", "{path}");
        let id = header(&response, "x-request-id").to_owned();
        let length = header(&response, "content-length").to_owned();
        let told = text(response).await;
        assert!(length.is_empty() || length == told.len().to_string(), "{path}");
        let body: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(body["status"], status, "{path}");
        assert_eq!(body["code"], code, "{path}");
        assert_eq!(body["type"], format!("urn:geopush:problem:{code}"), "{path}");
        assert_eq!(body["request_id"], id, "{path}");
        assert!(!id.is_empty() && !told.contains("password") && !told.contains("bounds"), "{path}");
        let members: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members.len(), 7, "{members:?}");
    }
}

#[tokio::test]
async fn a_problem_has_exactly_the_members_of_the_contract() {
    let mut request = Request::post("/v1/invalid").body(Body::empty()).unwrap();
    request.headers_mut().insert(X_REQUEST_ID, HeaderValue::from_static("r-1"));
    let body = text(send(request).await).await;
    assert_eq!(
        body,
        r#"{"type":"urn:geopush:problem:invalid","title":"Invalid request","status":422,"code":"invalid","detail":"/shape: close the ring","request_id":"r-1","errors":[{"pointer":"/shape","code":"not_closed","detail":"close the ring"}]}"#
    );
}

#[tokio::test]
async fn problems_bring_the_headers_of_their_status() {
    assert_eq!(header(&ask("POST", "/v1/things/1").await, "allow"), "GET,HEAD,DELETE");
    assert_eq!(header(&ask("GET", "/v1/full").await, "retry-after"), "2");
    assert_eq!(header(&ask("GET", "/v1/key").await, "www-authenticate"), "Bearer");
    let encoding = Problem::unsupported_encoding("x").into_response();
    assert_eq!(header(&encoding, "accept-encoding"), "gzip, zstd");
}

#[tokio::test]
async fn a_library_s_words_to_the_caller_become_the_detail() {
    let body: Value = serde_json::from_str(&text(ask("GET", "/v1/things/x").await).await).unwrap();
    assert!(body["detail"].as_str().unwrap().contains("Invalid URL"), "{body}");
}

#[tokio::test]
async fn a_page_stays_a_page() {
    let response = ask("GET", "/v1/page").await;
    assert_eq!(response.status(), StatusCode::GONE);
    assert_eq!(text(response).await, "<p>gone");
}

#[tokio::test]
async fn sane_ids_of_the_caller_are_taken_and_others_replaced() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let long = "a".repeat(129);
    for (id, traceparent, id_taken, trace_taken) in [
        ("req-1.a:b_C", parent.as_str(), true, true),
        ("two words", "00-zz-1-01", false, false),
        ("", "00-00000000000000000000000000000000-b7ad6b7169203331-01", false, false),
        (&long, "", false, false),
    ] {
        let mut request = Request::get("/v1/ids").body(Body::empty()).unwrap();
        request.headers_mut().insert(X_REQUEST_ID, HeaderValue::from_str(id).unwrap());
        request.headers_mut().insert("traceparent", HeaderValue::from_str(traceparent).unwrap());
        let response = send(request).await;
        let (said_id, said_trace) =
            (header(&response, "x-request-id").to_owned(), header(&response, "x-trace-id").to_owned());
        assert_eq!(said_id == id, id_taken, "{id}");
        assert_eq!(said_trace == trace, trace_taken, "{traceparent}");
        assert_eq!((said_id.is_empty(), said_trace.len()), (false, 32));
        assert_eq!(text(response).await, format!("{said_id} {said_trace}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_stopped_at_its_route_s_limit() {
    for (path, seconds) in [("/v1/slow", 5), ("/v1/slower", 50)] {
        let began = tokio::time::Instant::now();
        let response = ask("GET", path).await;
        assert_eq!((response.status().as_u16(), began.elapsed().as_secs()), (503, seconds));
        assert_eq!(header(&response, "retry-after"), "1");
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(body["code"], "timeout");
    }
}

#[tokio::test]
async fn requests_above_the_limit_are_refused_until_a_slot_is_free() {
    let app = edge().at_most(1).apply(router());
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let mut held = Box::pin(app.clone().oneshot(get("/v1/slow")));
    assert!(futures::poll!(&mut held).is_pending());
    let refused = app.clone().oneshot(get("/v1/ids")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&refused, "retry-after"), "1");
    drop(held);
    assert_eq!(app.oneshot(get("/v1/ids")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let metrics = init(LogFormat::Text, "off").unwrap();
    let app = Edge::new("count-test").apply(router());
    for (method, path) in
        [("GET", "/v1/things/7"), ("GET", "/v1/things/8"), ("BREW", "/secret/path"), ("GET", "/v1/panic")]
    {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap();
    }
    let mut left = Box::pin(app.oneshot(Request::get("/v1/slow").body(Body::empty()).unwrap()));
    assert!(futures::poll!(&mut left).is_pending());
    assert!(metrics.render().contains("geopush_count_test_http_requests_in_flight 1"));
    drop(left);
    let text = metrics.render();
    for (route, method, status, count) in [
        ("/v1/things/{id}", "GET", "200", 2),
        ("unmatched", "OTHER", "404", 1),
        ("/v1/panic", "GET", "500", 1),
        ("/v1/slow", "GET", "499", 1),
    ] {
        let line = format!(
            "geopush_count_test_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {count}"
        );
        assert!(text.contains(&line), "{line} in\n{text}");
    }
    assert!(text.contains(
        "geopush_count_test_http_request_seconds_count{route=\"/v1/things/{id}\",method=\"GET\"} 2"
    ));
    assert!(text.contains("geopush_count_test_http_requests_in_flight 0"));
    assert!(!text.contains("secret"));
}

#[test]
fn a_problem_without_a_request_says_so() {
    let body: Value = serde_json::from_slice(&Problem::not_found("no zone").to_json()).unwrap();
    let expected = json!({"type": "urn:geopush:problem:not_found", "title": "Not found", "status": 404,
        "code": "not_found", "detail": "no zone", "request_id": null, "errors": []});
    assert_eq!(body, expected);
}

#[test]
fn several_invalid_members_are_summed_up() {
    let wrong = |pointer: &str| Invalid::new(pointer, "invalid_type", "give a number");
    let problem = Problem::invalid(vec![wrong("/a"), wrong("/b"), wrong("/c")]);
    assert_eq!(problem.detail, "/a: give a number (and 2 more, see errors)");
    assert_eq!(Problem::invalid(vec![wrong("")]).detail, "the body: give a number");
}
