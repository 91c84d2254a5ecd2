//! Pings, registrations, and who may ask for what.

use std::io::Write as _;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use geopush_log::TraceId;
use geopush_model::PingKind;
use serde_json::json;

use crate::house::{NOW, device, house, json_of};

#[tokio::test]
async fn accepted_pings_are_in_the_log_with_their_trace_and_make_their_devices() {
    let house = house(&[]).await;
    let body = json!([
        {"device_id": "d1", "pings": [
            {"lat": 41.3, "lon": 2.1, "time": "2026-01-01T00:00:00Z", "accuracy_m": 12, "id": "x"},
            {"lat": 41.3, "lon": 2.1, "time": 1_767_225_599_000_i64},
            {"lat": 91, "lon": 2.1, "time": 0, "id": "bad"},
        ]},
        {"device_id": "d2", "pings": [{"lat": 0, "lon": 0, "time": "1999-01-01T00:00:00+02:00"}]},
    ]);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = house.post().header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let response = house.ask(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let answer = json_of(response).await;
    assert_eq!(answer["accepted"], 3);
    assert_eq!(answer["rejected"][0]["index"], 2);
    assert_eq!(answer["rejected"][0]["code"], "invalid_coordinate");
    assert_eq!(answer["rejected"][0]["id"], "bad");

    let pings = house.pings().await;
    assert_eq!(pings.len(), 2, "one record a device");
    assert!(pings.iter().all(|(_, t)| *t == TraceId::parse(trace)));
    let d1 = pings.iter().find(|(p, _)| p.device == device("d1")).unwrap();
    let PingKind::Fixes(fixes) = &d1.0.kind else { panic!("no fixes") };
    assert_eq!(fixes.iter().map(|f| f.time.0 - NOW).collect::<Vec<_>>(), [-1000, 0]);
    assert_eq!(d1.0.received_at.0, NOW);
    for id in ["d1", "d2"] {
        assert!(house.devices.get(house.tenant.tenant, &device(id)).await.unwrap().is_some());
    }
}

/// Everything that a phone, a proxy or a stranger can get wrong, with the problem that it is answered.
#[tokio::test]
async fn malformed_requests_are_refused_each_with_its_problem() {
    let house =
        house(&[("ingest.max_pings", "3"), ("ingest.max_body", "2KiB"), ("ingest.max_decoded_body", "4KiB")])
            .await;
    let ping = r#"{"lat":1,"lon":2,"time":0}"#;
    let four = format!(r#"{{"device_id":"d","pings":[{ping},{ping},{ping},{ping}]}}"#);
    let large = format!(r#"{{"device_id":"d","pings":[],"x":"{}"}}"#, "x".repeat(3000));
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = gzip(&format!(r#"{{"device_id":"d","pings":[],"x":"{}"}}"#, "x".repeat(100_000)));
    let cut = gzip(&four)[..20].to_vec();
    let text = |t: &str| t.as_bytes().to_vec();
    // body, extra header, status, code, pointer of the first error
    type Row = (Vec<u8>, (&'static str, &'static str), u16, &'static str, &'static str);
    let none = ("x-none", "1");
    let rows: Vec<Row> = vec![
        (text(""), none, 400, "malformed", ""),
        (text("   "), none, 400, "malformed", ""),
        (text("{"), none, 400, "malformed", ""),
        (text("nonsense"), none, 400, "malformed", ""),
        (text(r#"{"device_id":"d","pings":[}"#), none, 400, "malformed", ""),
        (text(r#"{"device_id":"d","pings":[]} trailing"#), none, 400, "malformed", ""),
        (text(r#"{"device_id":"d","pings":[NaN]}"#), none, 400, "malformed", ""),
        (text(r#"{"device_id":'d'}"#), none, 400, "malformed", ""),
        (b"{\"device_id\":\"\xff\",\"pings\":[]}".to_vec(), none, 400, "malformed", ""),
        (text(&deep), none, 400, "malformed", ""),
        (text("null"), none, 422, "invalid", ""),
        (text("true"), none, 422, "invalid", ""),
        (text("17"), none, 422, "invalid", ""),
        (text(r#""d1""#), none, 422, "invalid", ""),
        (text("{}"), none, 422, "invalid", "/device_id"),
        (text(r#"{"pings":[]}"#), none, 422, "invalid", "/device_id"),
        (text(r#"{"device_id":null,"pings":[]}"#), none, 422, "invalid", "/device_id"),
        (text(r#"{"device_id":7,"pings":[]}"#), none, 422, "invalid", "/device_id"),
        (text(r#"{"device_id":"","pings":[]}"#), none, 422, "invalid", "/device_id"),
        (text(r#"{"device_id":"a\u0000b","pings":[]}"#), none, 422, "invalid", "/device_id"),
        (
            text(&format!(r#"{{"device_id":"{}","pings":[]}}"#, "x".repeat(129))),
            none,
            422,
            "invalid",
            "/device_id",
        ),
        (text(r#"{"device_id":"d"}"#), none, 422, "invalid", "/pings"),
        (text(r#"{"device_id":"d","pings":null}"#), none, 422, "invalid", "/pings"),
        (text(r#"{"device_id":"d","pings":{}}"#), none, 422, "invalid", "/pings"),
        (text(r#"{"device_id":"d","pings":"x"}"#), none, 422, "invalid", "/pings"),
        (text(r"[1]"), none, 422, "invalid", "/0"),
        (text(r#"[{"device_id":"d","pings":[]},{"device_id":"e"}]"#), none, 422, "invalid", "/1/pings"),
        (text(r#"[[{"device_id":"d","pings":[]}]]"#), none, 422, "invalid", "/0"),
        (text(&four), none, 413, "too_many_pings", ""),
        (text(&large), none, 413, "too_large", ""),
        (bomb, ("content-encoding", "gzip"), 413, "too_large", ""),
        (cut, ("content-encoding", "gzip"), 400, "malformed", ""),
        (text(&four), ("content-encoding", "gzip"), 400, "malformed", ""),
        (text(&four), ("content-encoding", "zstd"), 400, "malformed", ""),
        (text(&four), ("content-encoding", "br"), 415, "unsupported_encoding", ""),
        (text(&four), ("content-type", "text/plain"), 415, "unsupported_media_type", ""),
        (
            text("a=b"),
            ("content-type", "application/x-www-form-urlencoded"),
            415,
            "unsupported_media_type",
            "",
        ),
        (
            text(&four),
            ("content-type", "application/json; charset=latin1"),
            415,
            "unsupported_media_type",
            "",
        ),
    ];
    for (body, (name, value), status, code, pointer) in rows {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let mut request = house.post().body(Body::from(body)).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let response = house.ask(request).await;
        assert_eq!(response.status().as_u16(), status, "{shown} {value}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{shown}");
        let problem = json_of(response).await;
        assert_eq!(
            (problem["status"].as_u64(), problem["code"].as_str()),
            (Some(status.into()), Some(code)),
            "{shown}"
        );
        let members = ["type", "title", "detail", "request_id"];
        assert!(members.iter().all(|m| problem[m].as_str().is_some_and(|t| !t.is_empty())), "{problem}");
        if status == 422 {
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{shown}");
        }
    }
    assert_eq!(house.pings().await.len(), 0, "nothing of a refused request is kept");
}

#[tokio::test]
async fn a_body_of_only_bad_pings_is_still_accepted_and_compressed_bodies_are_read() {
    let house = house(&[]).await;
    let bad = json!({"device_id": "d", "pings": [{}, 1]}).to_string();
    let response = house.ask(house.post().body(Body::from(bad)).unwrap()).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let answer = json_of(response).await;
    assert_eq!((&answer["accepted"], answer["rejected"].as_array().unwrap().len()), (&json!(0), 2));
    let good = json!({"device_id": "d", "pings": [{"lat": 1, "lon": 2, "time": 3}]}).to_string();
    let zstd = zstd::encode_all(good.as_bytes(), 1).unwrap();
    let request = house.post().header("content-encoding", "zstd").body(Body::from(zstd)).unwrap();
    assert_eq!(json_of(house.ask(request).await).await["accepted"], 1);
}

#[tokio::test]
async fn a_publishable_key_opens_what_is_for_phones_and_nothing_else() {
    let house = house(&[]).await;
    let (public, secret) = (&house.tenant.publishable_key, &house.tenant.secret_key);
    let registration = json!({"platform": "android", "app": "shop", "push_token": "t"});
    let attributes = json!({"attributes": {"plan": "pro"}});
    let receipt =
        json!({"push_id": uuid::Uuid::from_u128(1), "event": "opened", "at": "2026-01-01T00:00:00Z"});
    let rows = [
        ("PUT", "/v1/devices/d1", public.as_str(), &registration, 201),
        ("PUT", "/v1/devices/d1", public, &registration, 200),
        ("PUT", "/v1/devices/d1", public, &attributes, 403),
        ("PUT", "/v1/devices/d1", secret, &attributes, 200),
        ("PUT", "/v1/devices/d1", public, &json!({"platform": "symbian"}), 422),
        ("PUT", "/v1/devices/a%2Fb%20c", public, &registration, 201),
        ("GET", "/v1/devices/d1", public, &json!({}), 403),
        ("GET", "/v1/zones", public, &json!({}), 403),
        ("POST", "/v1/zones", public, &json!({}), 403),
        ("GET", "/v1/pings", public, &json!({}), 403),
        ("GET", "/v1/zones", secret, &json!({}), 404),
        ("GET", "/v1/zones", "gp_pk_nobody", &json!({}), 401),
        ("POST", "/v1/pings", "gp_pk_nobody", &json!({"device_id": "d", "pings": []}), 401),
        ("POST", "/v1/receipts", public, &receipt, 202),
        ("POST", "/v1/receipts", public, &json!({"event": "eaten"}), 422),
        ("DELETE", "/v1/devices/d1", public, &json!({}), 204),
        ("DELETE", "/v1/devices/d1", public, &json!({}), 404),
    ];
    for (method, path, key, body, status) in rows {
        let request = house.request(method, path, key).body(Body::from(body.to_string())).unwrap();
        assert_eq!(house.ask(request).await.status().as_u16(), status, "{method} {path} {body}");
    }
    let request = Request::post("/v1/pings").body(Body::empty()).unwrap();
    let response = house.ask(request).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["www-authenticate"]),
        (401, &"Bearer".parse().unwrap())
    );
    let odd = house.devices.get(house.tenant.tenant, &device("a/b c")).await.unwrap();
    assert!(odd.is_some_and(|d| d.push_token.as_deref() == Some("t")));
    assert_eq!(house.pings().await.len(), 1, "the deleted device is to be forgotten");
}

#[tokio::test]
async fn a_tenant_above_its_bound_is_told_to_wait_and_others_are_not() {
    let house = house(&[("ingest.tenant_pings_per_second", "1")]).await;
    let ping = json!({"lat": 1, "lon": 2, "time": 3});
    let body = |n: usize| Body::from(json!({"device_id": "d", "pings": vec![ping.clone(); n]}).to_string());
    assert_eq!(house.ask(house.post().body(body(10)).unwrap()).await.status(), 202);
    let refused = house.ask(house.post().body(body(10)).unwrap()).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(house.pings().await.len(), 1, "nothing of the refused request is kept");
}

#[tokio::test]
async fn a_log_that_is_closed_is_answered_503_with_when_to_try_again() {
    let house = house(&[]).await;
    house.log.close().await;
    let body = json!({"device_id": "d", "pings": [{"lat": 1, "lon": 2, "time": 3}]}).to_string();
    let response = house.ask(house.post().body(Body::from(body)).unwrap()).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn many_fixes_of_one_device_become_records_that_the_log_takes() {
    let house = house(&[]).await;
    let id = "i".repeat(128);
    let pings: Vec<_> = (0..5000).map(|t| json!({"lat": 1, "lon": 2, "time": 4999 - t, "id": id})).collect();
    let body = json!({"device_id": "d", "pings": pings}).to_string();
    assert_eq!(house.ask(house.post().body(Body::from(body)).unwrap()).await.status(), 202);
    let times: Vec<i64> = house
        .pings()
        .await
        .into_iter()
        .flat_map(|(ping, _)| match ping.kind {
            PingKind::Fixes(fixes) => fixes.into_iter().map(|f| f.time.0).collect::<Vec<_>>(),
            PingKind::Forget => panic!("nobody was deleted"),
        })
        .collect();
    assert!(times.is_sorted() && times.len() == 5000, "cut in order");
}
