//! The OpenAPI document and its page.

use axum::body::Body;
use axum::http::Request;
use geopush_control_api::openapi;
use serde_json::Value;

use crate::house::house;

#[tokio::test]
async fn the_document_and_its_page_need_no_key() {
    let house = house().await;
    let bare = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    let document = house.send(bare("/v1/openapi.json")).await;
    assert_eq!(document.header("content-type"), "application/json");
    assert_eq!(document.ok(), openapi());
    let page = house.send(bare("/docs")).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    for path in openapi()["paths"].as_object().unwrap().keys() {
        assert!(page.text.contains(&format!("<code>{path}</code>")), "{path}");
    }
    assert!(!page.text.contains("http://") && !page.text.contains("https://cdn"), "the page loads nothing");
}

#[test]
fn the_document_is_3_1_and_every_reference_resolves() {
    let document = openapi();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut references = Vec::new();
    gather(&document, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn gather(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| gather(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| gather(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn what_the_document_shows_is_taken() {
    let house = house().await;
    let example = |name: &str| openapi()["components"]["schemas"][name]["example"].clone();
    let mut campaign = example("Campaign");
    for (call, body) in [
        ("PUT /v1/devices/d1", example("Device")),
        ("PUT /v1/settings", example("Settings")),
        ("POST /v1/zones", example("Zone")),
        ("POST /v1/campaigns", campaign.clone()),
        ("POST /v1/events", example("Event")),
        ("POST /v1/sends", example("NewSend")),
    ] {
        let answer = house.ask(call, &[], body.to_string()).await;
        assert!((200..300).contains(&answer.status), "{call}: {}", answer.text);
    }
    for trigger in ["ScheduleTrigger", "AbsenceTrigger", "EventTrigger"] {
        campaign["trigger"] = example(trigger);
        campaign["audience"] = example("Audience");
        let answer = house.post("/v1/campaigns", &campaign).await;
        assert_eq!(answer.status, 201, "{trigger}: {}", answer.text);
    }
}

#[test]
fn every_operation_is_described() {
    let document = openapi();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}");
            assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{at}");
            assert_eq!(
                matches!(method.as_str(), "put")
                    || path == "/v1/zones/import"
                    || path.ends_with("/preview")
                    || (method == "post" && !path.contains('{')),
                operation.get("requestBody").is_some(),
                "{at}"
            );
            for name in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(parameters.iter().any(|p| p["name"] == name && p["in"] == "path"), "{at} {name}");
            }
        }
    }
}
