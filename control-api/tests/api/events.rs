//! `/v1/events`.

use geopush_log::Topic;
use geopush_model::{CauseId, DeviceEvent, PushRequest, Request, UnixMillis, Wire as _};
use serde_json::{Value, json};

use crate::house::{House, NOW, house};

/// What was asked for, by device.
async fn told(house: &House) -> Vec<PushRequest> {
    let records = house.records(Topic::PushRequests).await;
    let mut told: Vec<PushRequest> = records
        .iter()
        .map(|record| {
            let request = PushRequest::decode(record.value.as_ref().unwrap()).unwrap();
            assert_eq!(record.key.as_ref(), request.key().to_bytes().as_ref(), "in its device's order");
            request
        })
        .collect();
    told.sort_by_key(|request| request.device.as_str().to_owned());
    told
}

fn id(value: &Value) -> CauseId {
    CauseId(value.as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn an_event_is_told_to_plan_before_it_is_answered() {
    let house = house().await;
    let full = json!({"device_id": "d/1 é", "name": "order shipped", "at": "2025-12-25T01:00:00+01:00",
        "properties": {"order": "A-17", "items": [1, 2.5, null], "to": {"city": "Reus"}}});
    let answer = house.post("/v1/events", &full).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer, json!({"accepted": 1, "ids": [answer["ids"][0]]}));
    let event = DeviceEvent {
        id: id(&answer["ids"][0]),
        name: "order shipped".into(),
        at: UnixMillis(NOW - 7 * 86_400_000),
        properties: full["properties"].clone(),
    };
    let [request] = &told(&house).await[..] else { panic!("one event is one request") };
    assert_eq!(request.request, Request::Event(event));
    assert_eq!((request.tenant, request.device.as_str()), (house.tenant.tenant, "d/1 é"));
    assert_eq!(request.requested_at, UnixMillis(NOW));

    let least = house.post("/v1/events", &json!([{"device_id": "e", "name": "x"}])).await.json();
    let Request::Event(event) = &told(&house).await[1].request else { panic!("an event") };
    assert_eq!((event.id, event.at, &event.properties), (id(&least["ids"][0]), UnixMillis(NOW), &json!({})));
}

#[tokio::test]
async fn many_events_are_told_in_their_order_or_not_at_all() {
    let house = house().await;
    let event = |i: usize| json!({"device_id": format!("d{i:02}"), "name": "x"});
    let mut events: Vec<Value> = (0..100).map(event).collect();
    let answer = house.post("/v1/events", &json!(events)).await.json();
    assert_eq!(answer["accepted"], 100);
    let ids: Vec<CauseId> = answer["ids"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(told(&house).await.iter().map(PushRequest::cause).collect::<Vec<_>>(), ids);

    events.push(event(100));
    assert_eq!(house.post("/v1/events", &json!(events)).await.pointers(), [""]);
    events.truncate(3);
    events[1]["name"] = json!("");
    events[2] = json!("x");
    assert_eq!(house.post("/v1/events", &json!(events)).await.pointers(), ["/1/name", "/2"]);
    assert_eq!(told(&house).await.len(), 100, "nothing of what is refused is told");
}

#[tokio::test]
async fn the_same_request_tells_the_same_events() {
    let house = house().await;
    let body = json!([{"device_id": "d", "name": "x"}, {"device_id": "d", "name": "x"}]).to_string();
    let tell = || house.ask("POST /v1/events", &[("idempotency-key", "k")], body.clone());
    let first = tell().await;
    let again = tell().await;
    assert_eq!((again.status, &again.text), (202, &first.text));
    assert_eq!(told(&house).await.len(), 2);
    assert_ne!(first.json()["ids"][0], first.json()["ids"][1]);
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_named() {
    let house = house().await;
    let deep = |depth: usize| (1..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let with = |member: &str, value: Value| {
        let mut event = json!({"device_id": "d", "name": "x"});
        event[member] = value;
        event
    };
    for (body, pointers) in [
        (json!("x"), &[""][..]),
        (json!([]), &[""]),
        (json!({}), &["/device_id", "/name"]),
        (with("device_id", json!("x".repeat(129))), &["/device_id"]),
        (with("device_id", json!(1)), &["/device_id"]),
        (with("name", json!("x".repeat(65))), &["/name"]),
        (with("name", json!("a\nb")), &["/name"]),
        (with("at", json!("yesterday")), &["/at"]),
        (with("at", json!(NOW)), &["/at"]),
        (with("at", json!("2025-12-24T23:59:59.999Z")), &["/at"]),
        (with("at", json!("2026-01-01T00:05:00.001Z")), &["/at"]),
        (with("properties", json!([1])), &["/properties"]),
        (with("properties", json!({"a": "x".repeat(4_096)})), &["/properties"]),
        (with("properties", json!({"a": deep(17)})), &["/properties"]),
        (with("id", json!("x")), &["/id"]),
    ] {
        assert_eq!(house.post("/v1/events", &body).await.pointers(), pointers, "{body}");
    }
    assert_eq!(told(&house).await, []);
    for fits in [
        with("at", json!("2026-01-01T00:05:00Z")),
        with("properties", json!({"a": deep(16)})),
        with("properties", Value::Null),
    ] {
        assert_eq!(house.post("/v1/events", &fits).await.status, 202, "{fits}");
    }
}
