//! `/v1/zones`.

use geopush_log::Topic;
use geopush_model::{Wire as _, Zone};
use serde_json::{Value, json};

use crate::house::{House, NOW, NOW_TEXT, house};

pub fn circle() -> Value {
    json!({"type": "circle", "center": [2.1, 41.3], "radius_m": 500})
}

fn square() -> Value {
    json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]})
}

fn zone(name: &str) -> Value {
    json!({"name": name, "shape": circle()})
}

async fn published(house: &House) -> Vec<Zone> {
    let records = house.records(Topic::Zones).await;
    records.iter().map(|record| Zone::decode(record.value.as_ref().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn a_zone_is_created_read_replaced_and_deleted() {
    let house = house().await;
    let made = house.post("/v1/zones", &zone("One")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let body = made.json();
    let id = body["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/zones/{id}");
    assert_eq!((made.header("location"), made.header("etag")), (path.as_str(), "\"1\""));
    let wanted = json!({
        "id": id, "external_id": null, "location_id": null, "name": "One", "shape": circle(),
        "exit_buffer_m": 50.0, "dwell_s": null, "max_accuracy_m": 200.0, "active": true, "tags": [],
        "metadata": {}, "version": 1, "created_at": NOW_TEXT, "updated_at": NOW_TEXT
    });
    assert_eq!(body["shape"]["radius_m"].as_f64(), Some(500.0));
    assert_eq!(with_floats(&body), with_floats(&wanted));
    assert_eq!(house.get(&path).await.ok(), body);
    assert_eq!(published(&house).await[0].name, "One");

    house.clock.advance(1_000);
    let full = json!({
        "name": "Two", "shape": square(), "location_id": "l", "exit_buffer_m": 0, "dwell_s": 60.0, "max_accuracy_m": 7,
        "active": false, "tags": ["a", "b", "a"], "metadata": {"k": [1, null]}
    });
    let put = |tag: &'static str| house.ask_owned(format!("PUT {path}"), tag, full.to_string());
    assert_eq!(put("").await.problem().0, 428);
    assert_eq!(put("\"2\"").await.problem().0, 412);
    let replaced = put("\"1\"").await;
    assert_eq!(replaced.header("etag"), "\"2\"");
    let replaced = replaced.ok();
    for (member, value) in full.as_object().unwrap() {
        let wanted = if member == "tags" { &json!(["a", "b"]) } else { value };
        assert_eq!(with_floats(&replaced[member]), with_floats(wanted), "{member}");
    }
    assert_eq!((&replaced["version"], &replaced["created_at"]), (&json!(2), &json!(NOW_TEXT)));
    assert_eq!(replaced["updated_at"], "2026-01-01T00:00:01.000Z");
    // What was read may be sent back.
    let back = house.ask_owned(format!("PUT {path}"), "*", replaced.to_string()).await.ok();
    assert_eq!(back["version"], 3);

    let delete = |tag: &'static str| house.ask_owned(format!("DELETE {path}"), tag, String::new());
    assert_eq!(delete("").await.problem().0, 428);
    assert_eq!(delete("\"1\"").await.problem().0, 412);
    let deleted = delete("\"3\"").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(house.get(&path).await.problem(), (404, "not_found".to_owned()));
    assert_eq!(delete("\"4\"").await.problem().0, 404);
    assert_eq!(put("").await.problem().0, 404);
    let last = published(&house).await;
    assert!(last.len() == 1 && last[0].deleted && last[0].version == 4);
}

impl House {
    async fn ask_owned(&self, call: String, tag: &'static str, body: String) -> crate::house::Answer {
        let headers: &[(&str, &str)] = if tag.is_empty() { &[] } else { &[("if-match", tag)] };
        self.ask(&call, headers, body).await
    }
}

/// JSON with every number as a float, since `50` and `50.0` are the same to JSON.
fn with_floats(json: &Value) -> Value {
    match json {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(with_floats).collect(),
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), with_floats(v))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn defaults_that_are_sent_back_go_on_to_follow_the_shape() {
    let house = house().await;
    let mut body = zone("Large");
    body["shape"]["radius_m"] = 50_000.into();
    let mut read = house.put("/v1/zones/external/l", &body).await.json();
    assert_eq!(read["exit_buffer_m"], 5_000.0);
    assert_eq!(house.put("/v1/zones/external/l", &read).await.ok()["exit_buffer_m"], 5_000.0);
    assert_eq!(published(&house).await[0].exit_buffer_m, None);
    read["exit_buffer_m"] = 4_999.0.into();
    assert_eq!(house.put("/v1/zones/external/l", &read).await.pointers(), ["/exit_buffer_m"]);
}

#[tokio::test]
async fn an_external_id_is_unique_and_for_ever() {
    let house = house().await;
    let mut shop = zone("Shop");
    shop["external_id"] = "shop/1 é".into();
    let made = house.post("/v1/zones", &shop).await;
    assert_eq!(made.status, 201);
    let id = made.json()["id"].clone();
    assert_eq!(house.post("/v1/zones", &shop).await.problem(), (409, "duplicate".to_owned()));

    // Kept if it is left out, refused if it is another.
    let path = format!("/v1/zones/{}", id.as_str().unwrap());
    let renamed = house.ask_owned(format!("PUT {path}"), "\"1\"", zone("New").to_string()).await.ok();
    assert_eq!((&renamed["external_id"], &renamed["name"]), (&json!("shop/1 é"), &json!("New")));
    shop["external_id"] = "other".into();
    let other = house.ask_owned(format!("PUT {path}"), "\"2\"", shop.to_string()).await;
    assert_eq!(other.pointers(), ["/external_id"]);

    // By its name in the path.
    let by_name = "/v1/zones/external/shop%2F1%20%C3%A9";
    let again = house.put(by_name, &zone("Again")).await.ok();
    assert_eq!((&again["id"], &again["version"]), (&id, &json!(3)));
    assert_eq!(house.put(by_name, &shop).await.pointers(), ["/external_id"]);
    let stale = house.ask_owned(format!("PUT {by_name}"), "\"1\"", zone("x").to_string()).await;
    assert_eq!(stale.problem().0, 412);
    let fresh = house.put("/v1/zones/external/new", &zone("Fresh")).await;
    assert_eq!((fresh.status, fresh.json()["external_id"].as_str()), (201, Some("new")));
    let absent = house.ask_owned("PUT /v1/zones/external/none".into(), "*", zone("x").to_string()).await;
    assert_eq!(absent.problem().0, 412);

    // Created again after its deletion, its version goes on.
    assert_eq!(house.ask_owned(format!("DELETE {path}"), "*", String::new()).await.status, 204);
    let reborn = house.put(by_name, &zone("Reborn")).await;
    assert_eq!((reborn.status, &reborn.json()["version"]), (201, &json!(5)));
    let long = format!("/v1/zones/external/{}", "x".repeat(257));
    assert_eq!(house.put(&long, &zone("x")).await.pointers(), ["/path/external_id"]);
}

/// Who sees only the latest version must know when the stays of older ones ended.
#[tokio::test]
async fn a_zone_that_is_live_again_tells_when_it_was_removed() {
    let house = house().await;
    let path = "/v1/zones/external/shop";
    let put = |active: bool| {
        let mut shop = zone("Shop");
        shop["active"] = active.into();
        shop
    };
    let mut removals = Vec::new();
    for active in [true, false, false, true, true] {
        house.clock.advance(1_000);
        house.put(path, &put(active)).await;
        removals
            .push(published(&house).await[0].removal.map(|removal| (removal.version, removal.at.0 - NOW)));
    }
    assert_eq!(removals, [None, Some((2, 2_000)), Some((2, 2_000)), Some((2, 2_000)), Some((2, 2_000))]);

    house.clock.advance(1_000);
    let id = house.get("/v1/zones").await.ok()["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(house.ask_owned(format!("DELETE /v1/zones/{id}"), "*", String::new()).await.status, 204);
    house.put(path, &put(true)).await;
    let zone = published(&house).await.remove(0);
    let removal = zone.removal.map(|removal| (removal.version, removal.at.0 - NOW));
    assert_eq!((zone.is_live(), zone.version, removal), (true, 7, Some((6, 6_000))));
}

#[tokio::test]
async fn zones_are_listed_whole_at_every_cut() {
    let house = house().await;
    assert_eq!(house.get("/v1/zones").await.ok(), json!({"data": [], "next_cursor": null}));
    for i in 0..23 {
        let path = format!("/v1/zones/external/z{i}");
        assert_eq!(house.put(&path, &zone("z")).await.status, 201);
    }
    for gone in ["z3", "z4", "z17"] {
        let id = house.put(&format!("/v1/zones/external/{gone}"), &zone("z")).await.ok()["id"].clone();
        let path = format!("DELETE /v1/zones/{}", id.as_str().unwrap());
        assert_eq!(house.ask_owned(path, "*", String::new()).await.status, 204);
    }
    house.whole_at_every_cut("/v1/zones", 20, "id").await;
    for (query, pointer) in [
        ("limit=0", "/query/limit"),
        ("limit=1001", "/query/limit"),
        ("limit=x", "/query/limit"),
        ("order=up", "/query/order"),
        ("cursor=%21", "/query/cursor"),
        ("cursor=WzEsWyJ4Il1d", "/query/cursor"),
        ("cursor=WzAsWzFdXQ", "/query/cursor"),
    ] {
        assert_eq!(house.get(&format!("/v1/zones?{query}")).await.pointers(), [pointer], "{query}");
    }
}

#[tokio::test]
async fn every_wrong_member_is_named_by_its_pointer() {
    let house = house().await;
    let with = |member: &str, value: Value| {
        let mut body = zone("z");
        body[member] = value;
        body
    };
    let shape = |shape: Value| with("shape", shape);
    let cases = [
        (json!([]), &[""][..]),
        (json!("zone"), &[""]),
        (json!({}), &["/name", "/shape"]),
        (with("name", json!("")), &["/name"]),
        (with("name", json!(7)), &["/name"]),
        (with("name", Value::Null), &["/name"]),
        (with("name", json!("a\u{7}b")), &["/name"]),
        (with("name", json!("x".repeat(257))), &["/name"]),
        (with("external_id", json!("")), &["/external_id"]),
        (with("external_id", json!(1)), &["/external_id"]),
        (with("location_id", json!({})), &["/location_id"]),
        (with("exit_buffer_m", json!(-1)), &["/exit_buffer_m"]),
        (with("exit_buffer_m", json!(1000.5)), &["/exit_buffer_m"]),
        (with("exit_buffer_m", json!("20")), &["/exit_buffer_m"]),
        (with("dwell_s", json!(0)), &["/dwell_s"]),
        (with("dwell_s", json!(1.5)), &["/dwell_s"]),
        (with("max_accuracy_m", json!(-0.1)), &["/max_accuracy_m"]),
        (with("active", json!("yes")), &["/active"]),
        (with("tags", json!("a")), &["/tags"]),
        (with("tags", json!(["a", 1, ""])), &["/tags/1", "/tags/2"]),
        (with("tags", json!(vec!["t"; 51])), &["/tags"]),
        (with("metadata", json!([1])), &["/metadata"]),
        (with("metadata", json!({"k": "x".repeat(20_000)})), &["/metadata"]),
        (with("radius", json!(5)), &["/radius"]),
        (with("a/b~c", json!(5)), &["/a~1b~0c"]),
        (shape(Value::Null), &["/shape"]),
        (shape(json!(5)), &["/shape"]),
        (shape(json!({"type": "square"})), &["/shape/type"]),
        (shape(json!({"type": "circle", "center": [2.1, 41.3], "radius_m": 9.9})), &["/shape/radius_m"]),
        (shape(json!({"type": "circle", "center": [2.1, 91], "radius_m": 99})), &["/shape/center"]),
        (shape(json!({"type": "circle"})), &["/shape/center", "/shape/radius_m"]),
        (shape(json!({"type": "Polygon"})), &["/shape/coordinates"]),
        (shape(json!({"type": "Polygon", "coordinates": []})), &["/shape/coordinates"]),
        (
            shape(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]})),
            &["/shape/coordinates/0"],
        ),
        (
            shape(json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]})),
            &["/shape/coordinates/0"],
        ),
        (
            shape(json!({"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 181], [0, 0]]]]})),
            &["/shape/coordinates/0/0/2"],
        ),
    ];
    for (body, pointers) in cases {
        assert_eq!(house.post("/v1/zones", &body).await.pointers(), pointers, "{body}");
    }
    for broken in ["", "{", "{\"name\":}", "nul"] {
        let answer = house.ask("POST /v1/zones", &[("content-type", "application/json")], broken).await;
        assert_eq!(answer.problem().0, 400, "{broken}");
    }
    let form = house.ask("POST /v1/zones", &[], "").await;
    assert_eq!(form.problem().0, 400);
    assert!(published(&house).await.is_empty());
}

#[tokio::test]
async fn another_tenants_zone_is_not_there() {
    let house = house().await;
    let made = house.put("/v1/zones/external/shop", &zone("Mine")).await.json();
    let path = format!("/v1/zones/{}", made["id"].as_str().unwrap());
    let other = &house.other.secret_key;
    for (call, body) in [
        (format!("GET {path}"), String::new()),
        (format!("PUT {path}"), zone("Theirs").to_string()),
        (format!("DELETE {path}"), String::new()),
        (format!("GET /v1/transitions?zone_id={}", made["id"].as_str().unwrap()), String::new()),
        ("GET /v1/zones/not-a-uuid".to_owned(), String::new()),
    ] {
        let answer = house.ask_with(other, &call, &[("if-match", "*")], body).await;
        assert_eq!(answer.problem().0, 404, "{call}");
    }
    // The same external id is another zone there.
    let theirs = house.ask_with(other, "PUT /v1/zones/external/shop", &[], zone("Theirs").to_string()).await;
    assert_eq!(theirs.status, 201);
    assert_ne!(theirs.json()["id"], made["id"]);
    assert_eq!(house.get(&path).await.ok()["name"], "Mine");
    let listed = house.ask_with(other, "GET /v1/zones", &[], "").await.ok();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}
