//! `Idempotency-Key`.

use geopush_log::Topic;
use geopush_store::tables::IdempotencyRow;
use serde_json::{Value, json};

use crate::house::{Answer, House, house};
use crate::zones::circle;

fn zone(name: &str) -> Value {
    json!({"name": name, "shape": circle()})
}

async fn post(house: &House, key: &str, path: &str, body: &Value) -> Answer {
    house.ask(&format!("POST {path}"), &[("idempotency-key", key)], body.to_string()).await
}

async fn row(house: &House, key: &str) -> IdempotencyRow {
    house.store.get(&(house.tenant.tenant.0, key.to_owned()), &()).await.unwrap().unwrap()
}

/// As a process leaves it that dies after it made something and before it kept its answer.
async fn forget_answer(house: &House, key: &str) {
    let known = row(house, key).await;
    let version = known.version;
    let row = IdempotencyRow { status: 0, body: String::new(), version: version + 1, ..known };
    assert!(house.store.put_if_version(row, version).await.unwrap());
}

#[tokio::test]
async fn the_same_request_is_answered_again_and_done_once() {
    let house = house().await;
    let first = post(&house, "k", "/v1/zones", &zone("One")).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
    let again = post(&house, "k", "/v1/zones", &zone("One")).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(again.text, first.text);
    for header in ["location", "etag", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!(house.get("/v1/zones").await.ok()["data"].as_array().unwrap().len(), 1);

    let other_body = post(&house, "k", "/v1/zones", &zone("Two")).await;
    assert_eq!(other_body.problem(), (422, "idempotency_key_reused".to_owned()));
    let other_path = post(&house, "k", "/v1/campaigns", &zone("One")).await;
    assert_eq!(other_path.problem().0, 422);
    // Another tenant's key is another key.
    let theirs = house.ask_with(
        &house.other.secret_key,
        "POST /v1/zones",
        &[("idempotency-key", "k")],
        zone("x").to_string(),
    );
    assert_eq!(theirs.await.status, 201);

    let wrong = post(&house, "w", "/v1/zones", &json!({})).await;
    let again = post(&house, "w", "/v1/zones", &json!({})).await;
    assert_eq!((wrong.pointers(), again.header("idempotent-replayed")), (again.pointers(), "true"));
    for key in ["", "two words", &"x".repeat(256)] {
        assert_eq!(post(&house, key, "/v1/zones", &zone("x")).await.problem().0, 400, "{key}");
    }
}

#[tokio::test]
async fn a_request_under_way_is_waited_for_and_a_dead_one_taken_over() {
    let house = house().await;
    let send = json!({"app": "shop", "device_ids": ["d"], "message": {"title": "Hi"}});
    let campaign = json!({"name": "n", "app": "shop", "trigger": {"type": "zone", "on": "enter"}, "message": {"title": "Hi"}});
    let file = json!({"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"radius_m": 50},
        "geometry": {"type": "Point", "coordinates": [2.1, 41.3]}}]});
    let mut named = zone("Named");
    named["external_id"] = "shop".into();
    for (key, path, body) in [
        ("z", "/v1/zones", &zone("One")),
        ("s", "/v1/sends", &send),
        ("n", "/v1/zones", &named),
        ("c", "/v1/campaigns", &campaign),
    ] {
        let first = post(&house, key, path, body).await;
        forget_answer(&house, key).await;
        let waiting = post(&house, key, path, body).await;
        assert_eq!(waiting.problem(), (409, "idempotency_key_in_use".to_owned()), "{key}");
        assert_eq!(waiting.header("retry-after"), "1");
        house.clock.advance(60_000);
        let taken_over = post(&house, key, path, body).await;
        assert_eq!((taken_over.status, taken_over.text), (first.status, first.text), "{key}");
        assert_eq!(taken_over.headers.get("idempotent-replayed"), None);
        assert_eq!(post(&house, key, path, body).await.header("idempotent-replayed"), "true");
    }
    let first = post(&house, "i", "/v1/zones/import", &file).await.ok();
    assert_eq!(first["created"], 1);
    forget_answer(&house, "i").await;
    house.clock.advance(600_000);
    assert_eq!(post(&house, "i", "/v1/zones/import", &file).await.ok()["unchanged"], 1);
    assert_eq!(house.get("/v1/zones").await.ok()["data"].as_array().unwrap().len(), 3);
    assert_eq!(house.get("/v1/campaigns").await.ok()["data"].as_array().unwrap().len(), 1);
    assert_eq!(house.records(Topic::Campaigns).await.len(), 1);
}

#[tokio::test]
async fn a_claim_that_was_given_back_is_free_at_once() {
    let house = house().await;
    post(&house, "k", "/v1/zones", &zone("One")).await;
    let known = row(&house, "k").await;
    let version = known.version;
    let given_back = IdempotencyRow { status: -1, version: version + 1, ..known };
    assert!(house.store.put_if_version(given_back, version).await.unwrap());
    assert_eq!(post(&house, "k", "/v1/zones", &zone("One")).await.status, 201);
}

#[tokio::test]
async fn requests_that_race_under_one_key_make_one_thing() {
    let house = house().await;
    let (a, b) = (zone("Race"), zone("Race"));
    let (one, two) = tokio::join!(post(&house, "k", "/v1/zones", &a), post(&house, "k", "/v1/zones", &b));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert!(statuses == [201, 201] || statuses == [201, 409], "{statuses:?}");
    assert_eq!(house.get("/v1/zones").await.ok()["data"].as_array().unwrap().len(), 1);
}
