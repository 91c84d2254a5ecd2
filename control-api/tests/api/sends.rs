//! `/v1/sends`.

use geopush_log::Topic;
use geopush_model::{Job, Wire as _};
use geopush_store::tables::{DeliveryTotalsRow, SendTargetRow, device_shard};
use geopush_store::{Direction, Page};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{NOW_TEXT, house};

fn send(device_ids: &[String]) -> Value {
    json!({"app": "shop", "device_ids": device_ids, "message": {"title": "Hi", "body": "there", "data": {"k": "v"}}})
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
        "failed": 0, "suppressed": 0, "expired": 0, "created_at": NOW_TEXT});
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
        (with("device_ids", json!(vec!["d"; 10_001])), &["/device_ids"], "out_of_range"),
        (with("audience", json!({"tag": "vip"})), &["/audience"], "conflicting"),
        (with("message", json!({})), &["/message"], "required"),
        (with("when", json!("now")), &["/when"], "unknown_member"),
        (
            json!({"app": "shop", "audience": {"tag": "vip"}, "message": {"title": "Hi"}}),
            &["/audience"],
            "not_supported",
        ),
    ] {
        let answer = house.post("/v1/sends", &body).await;
        assert_eq!(answer.pointers(), pointers);
        assert_eq!(answer.json()["errors"][0]["code"], code);
    }
    let most: Vec<String> = (0..10_000).map(|i| format!("{i:0>128}")).collect();
    assert_eq!(house.post("/v1/sends", &send(&most)).await.status, 202);
    assert_eq!(house.records(Topic::Jobs).await.len(), 10);
}
