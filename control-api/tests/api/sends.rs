//! `/v1/sends`.

use geopush_log::Topic;
use geopush_model::{Job, Wire as _};
use geopush_store::tables::{DeliveryTotalsRow, SendRow, SendShardRow, SendTargetRow, device_shard};
use geopush_store::{Direction, Page, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{Answer, House, NOW, NOW_TEXT, house};

fn send(device_ids: &[String]) -> Value {
    json!({"app": "shop", "device_ids": device_ids, "message": {"title": "Hi", "body": "there", "data": {"k": "v"}}})
}

/// A send to an audience.
fn to(audience: impl Into<Value>) -> Value {
    let audience = audience.into();
    json!({"app": "shop", "audience": audience, "message": {"title": "Hi"}})
}

impl House {
    async fn taken(&self, body: &Value) -> Uuid {
        let taken = self.post("/v1/sends", body).await;
        assert_eq!(taken.status, 202, "{}", taken.text);
        taken.json()["id"].as_str().unwrap().parse().unwrap()
    }

    async fn turn(&self, send: Uuid, turn: &str) -> Answer {
        self.ask(&format!("POST /v1/sends/{send}/{turn}"), &[], "").await
    }

    async fn jobs(&self) -> Vec<Job> {
        let records = self.records(Topic::Jobs).await;
        records.iter().map(|record| Job::decode(record.value.as_ref().unwrap()).unwrap()).collect()
    }

    async fn ended(&self, send: Uuid, accepted: i64) {
        let (tenant, source) = (self.tenant.tenant.0, send);
        let none = DeliveryTotalsRow {
            tenant,
            source,
            hour: 5,
            log_partition: 0,
            accepted,
            failed: 0,
            suppressed: 0,
            expired: 0,
            counted_to: accepted,
            put_off: None,
        };
        self.store.put(none).await.unwrap();
    }

    async fn expanded(&self, send: Uuid, shard: i32, expanded: i64, state: &str) {
        let row = SendShardRow {
            tenant: self.tenant.tenant.0,
            send,
            shard,
            cursor: Some(format!("d{expanded}")),
            expanded,
            state: state.to_owned(),
            job: None,
            updated_at: Timestamp(NOW),
        };
        self.store.put(row).await.unwrap();
    }
}

#[tokio::test]
async fn a_send_is_its_targets_its_row_and_a_job_a_shard() {
    let house = house().await;
    let mut devices: Vec<String> = (0..2_500).map(|i| format!("d{i}")).collect();
    devices.push("d0".into());
    let taken = house.post("/v1/sends", &send(&devices)).await;
    assert_eq!(taken.status, 202, "{}", taken.text);
    let id: Uuid = taken.json()["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/sends/{id}");
    assert_eq!((taken.header("location"), taken.json()), (path.as_str(), json!({"id": id})));

    let tenant = house.tenant.tenant;
    let mut jobs: Vec<Job> = house
        .records(Topic::Jobs)
        .await
        .iter()
        .map(|r| Job::decode(r.value.as_ref().unwrap()).unwrap())
        .collect();
    jobs.sort_by_key(|job| job.shard);
    assert_eq!(jobs.iter().map(|job| job.shard).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(jobs.iter().all(|job| job.tenant == tenant && job.work.source() == id && job.cursor.is_none()));
    let mut listed = 0;
    for shard in 0..3 {
        let page = Page::first(10_000, Direction::Ascending);
        let rows: Vec<SendTargetRow> = house.store.page(&(tenant.0, id, shard), &page).await.unwrap();
        assert!(rows.iter().all(|row| device_shard(&row.device, 3) == shard));
        listed += rows.len();
    }
    assert_eq!(listed, 2_500, "a device that is listed twice is a target once");

    let wanted = json!({"id": id, "app": "shop", "status": "running", "targeted": 2500, "pending": 2500, "accepted": 0,
        "failed": 0, "suppressed": 0, "expired": 0, "audience": null, "spread_s": null, "created_at": NOW_TEXT});
    assert_eq!(house.get(&path).await.ok(), wanted);
    for log_partition in 0..2 {
        let row = DeliveryTotalsRow {
            tenant: tenant.0,
            source: id,
            hour: 5,
            log_partition,
            accepted: 1_000,
            failed: 100,
            suppressed: 100,
            expired: 50,
            counted_to: 9,
            put_off: None,
        };
        house.store.put(row).await.unwrap();
    }
    let done = house.get(&path).await.ok();
    assert_eq!(
        (&done["status"], &done["pending"], &done["accepted"]),
        (&json!("done"), &json!(0), &json!(2_000))
    );
    assert_eq!(
        house.ask_with(&house.other.secret_key, &format!("GET {path}"), &[], "").await.problem().0,
        404
    );
    assert_eq!(house.get("/v1/sends/x").await.problem().0, 404);
}

#[tokio::test]
async fn every_wrong_member_is_named_by_its_pointer() {
    let house = house().await;
    let with = |member: &str, value: Value| {
        let mut body = send(&["d".into()]);
        body[member] = value;
        body
    };
    for (body, pointers, code) in [
        (json!([]), &[""][..], "wrong_type"),
        (json!({}), &["/app", "/device_ids", "/message"], "required"),
        (with("app", json!("")), &["/app"], "invalid_value"),
        (with("device_ids", json!([])), &["/device_ids"], "out_of_range"),
        (with("device_ids", json!("d")), &["/device_ids"], "wrong_type"),
        (with("device_ids", json!(["d", "", 5])), &["/device_ids/1", "/device_ids/2"], "invalid_value"),
        (with("device_ids", json!(vec!["d"; 100_001])), &["/device_ids"], "out_of_range"),
        (with("audience", json!({"tag": "vip"})), &["/audience"], "conflicting"),
        (with("message", json!({})), &["/message"], "required"),
        (with("when", json!("now")), &["/when"], "unknown_member"),
        (with("spread_s", json!(0)), &["/spread_s"], "out_of_range"),
        (with("spread_s", json!(86_401)), &["/spread_s"], "out_of_range"),
        (with("spread_s", json!("an hour")), &["/spread_s"], "wrong_type"),
        (to(json!({"all": [{"tag": "vip"}, {"tag": 5}]})), &["/audience/all/1/tag"], "wrong_type"),
        (to(json!("everyone")), &["/audience"], "wrong_type"),
    ] {
        let answer = house.post("/v1/sends", &body).await;
        assert_eq!(answer.pointers(), pointers);
        assert_eq!(answer.json()["errors"][0]["code"], code);
    }
    let most: Vec<String> = (0..100_000).map(|i| format!("{i:0>128}")).collect();
    assert_eq!(house.post("/v1/sends", &send(&most)).await.status, 202);
    assert_eq!(house.records(Topic::Jobs).await.len(), 16);
}

#[tokio::test]
async fn a_send_to_an_audience_has_a_job_a_bucket_and_counts_what_is_found() {
    let house = house().await;
    let vip = json!({"tag": "vip"});
    let mut body = to(vip.clone());
    body["spread_s"] = json!(600);
    let id = house.taken(&body).await;
    let shards: Vec<u32> = house.jobs().await.iter().map(|job| job.shard).collect();
    assert_eq!(shards.iter().collect::<std::collections::BTreeSet<_>>().len(), 16);
    let path = format!("/v1/sends/{id}");
    let new = house.get(&path).await.ok();
    assert_eq!(
        (&new["status"], &new["targeted"], &new["pending"], &new["audience"], &new["spread_s"]),
        (&json!("running"), &json!(0), &json!(0), &vip, &json!(600))
    );
    for shard in 0..16 {
        house.expanded(id, shard, 10, if shard < 15 { "done" } else { "running" }).await;
    }
    house.ended(id, 160).await;
    let found = house.get(&path).await.ok();
    assert_eq!(
        (&found["status"], &found["targeted"], &found["pending"]),
        (&json!("running"), &json!(160), &json!(0))
    );
    house.expanded(id, 15, 12, "done").await;
    let found = house.get(&path).await.ok();
    assert_eq!(
        (&found["status"], &found["targeted"], &found["pending"]),
        (&json!("running"), &json!(162), &json!(2))
    );
    house.ended(id, 162).await;
    assert_eq!(house.get(&path).await.ok()["status"], "done");
}

#[tokio::test]
async fn no_audience_is_everyone_only_where_it_is_said() {
    let house = house().await;
    let listed = json!({"app": "shop", "audience": null, "device_ids": ["d"], "message": {"title": "Hi"}});
    for (body, audience, stored) in [
        (to(json!({})), json!({}), Some("{\"all\":[]}")),
        (to(Value::Null), json!({}), Some("{\"all\":[]}")),
        (listed, Value::Null, None),
    ] {
        let id = house.taken(&body).await;
        let row: SendRow = house.store.get(&(house.tenant.tenant.0,), &(id,)).await.unwrap().unwrap();
        assert_eq!(row.audience.as_deref(), stored);
        assert_eq!(house.get(&format!("/v1/sends/{id}")).await.ok()["audience"], audience);
    }
    let neither = json!({"app": "shop", "message": {"title": "Hi"}});
    assert_eq!(house.post("/v1/sends", &neither).await.pointers(), ["/device_ids"]);
}

#[tokio::test]
async fn sends_are_listed_by_time() {
    let house = house().await;
    assert_eq!(house.get("/v1/sends").await.ok(), json!({"data": [], "next_cursor": null}));
    let mut ids = Vec::new();
    for i in 0..7 {
        // Over two months.
        house.clock.set(NOW + i * 6 * 86_400_000);
        ids.push(json!(house.taken(&send(&["d".into()])).await));
    }
    house.whole_at_every_cut("/v1/sends", 7, "id").await;
    let listed = |page: Value| {
        page["data"].as_array().unwrap().iter().map(|send| send["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed(house.get("/v1/sends?order=asc").await.ok()), ids);
    let range = "/v1/sends?order=asc&from=2026-01-07T00:00:00Z&to=2026-02-06T00:00:00Z";
    assert_eq!(listed(house.get(range).await.ok()), ids[1..6]);
    let other = house.ask_with(&house.other.secret_key, "GET /v1/sends", &[], "").await.ok();
    assert_eq!(other["data"], json!([]));
}

#[tokio::test]
async fn a_paused_send_goes_on_from_where_it_was() {
    let house = house().await;
    let id = house.taken(&to(json!({}))).await;
    assert_eq!(house.turn(id, "pause").await.ok()["status"], "paused");
    assert_eq!(house.turn(id, "pause").await.ok()["status"], "paused");
    assert_eq!(house.jobs().await.len(), 16, "a pause needs no jobs");
    house.expanded(id, 0, 30, "done").await;
    house.expanded(id, 1, 20, "paused").await;
    assert_eq!(house.turn(id, "resume").await.ok()["status"], "running");
    let jobs = house.jobs().await.split_off(0);
    let resumed = |shard: u32| {
        let mut of_shard = jobs.iter().filter(move |job| job.shard == shard).skip(1);
        of_shard.next().map(|job| (job.cursor.as_ref().map(|d| d.as_str().to_owned()), job.expanded))
    };
    assert_eq!((jobs.len(), resumed(0), resumed(1)), (31, None, Some((Some("d20".to_owned()), 20))));
    assert_eq!(resumed(2), Some((None, 0)));
    assert_eq!(
        house.turn(id, "resume").await.ok()["status"],
        "running",
        "asked again it tells its jobs again"
    );
    assert_eq!(house.jobs().await.len(), 46);
}

#[tokio::test]
async fn a_cancelled_send_stays_so() {
    let house = house().await;
    let (audience, listed) = (house.taken(&to(json!({}))).await, house.taken(&send(&["d".into()])).await);
    assert_eq!(house.jobs().await.len(), 17);
    assert_eq!(house.turn(audience, "cancel").await.ok()["status"], "cancelled");
    assert_eq!(house.jobs().await.len(), 17);
    let pending = house.turn(listed, "cancel").await.ok();
    assert_eq!((&pending["status"], &pending["pending"]), (&json!("cancelled"), &json!(1)));
    assert_eq!(house.jobs().await.len(), 18, "what is left of the listed is counted one by one");
    assert_eq!(house.turn(listed, "cancel").await.ok()["status"], "cancelled");
    for turn in ["pause", "resume"] {
        assert_eq!(house.turn(listed, turn).await.problem(), (409, "send_cancelled".to_owned()));
    }
    let done = house.taken(&send(&["d".into()])).await;
    house.ended(done, 1).await;
    for turn in ["pause", "resume", "cancel"] {
        assert_eq!(house.turn(done, turn).await.problem(), (409, "send_done".to_owned()));
        assert_eq!(house.turn(Uuid::nil(), turn).await.problem().0, 404);
        let path = format!("POST /v1/sends/{done}/{turn}");
        assert_eq!(house.ask_with(&house.other.secret_key, &path, &[], "").await.problem().0, 404);
    }
}
