//! Expand on a real log: every device of a send is asked for once, whatever is killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod house;

use std::collections::BTreeSet;

use geopush_log::{Record, Topic};
use geopush_model::{Job, PushRequest, Request, SendId, SentMessage, Wire as _, Work};
use geopush_registry::message_json;
use geopush_store::Timestamp;
use geopush_store::tables::{SendRow, SendTargetRow, device_shard};
use house::{APP, House, NOW, TENANT, campaign};
use uuid::Uuid;

async fn send(house: &House, send: u128, devices: u32, shards: i32, status: &str) -> Vec<Record> {
    let id = Uuid::from_u128(send);
    let row = SendRow {
        tenant: TENANT.0,
        send: id,
        app: APP.to_owned(),
        audience: None,
        message: message_json(&campaign(1).message),
        targeted: i64::from(devices),
        shards,
        spread_s: None,
        status: status.to_owned(),
        created_at: Timestamp(NOW),
        updated_at: Timestamp(NOW),
        version: 1,
    };
    assert!(house.store.put_if_absent(row).await.unwrap());
    let target = |i| {
        let device = format!("device-{i}");
        SendTargetRow { tenant: TENANT.0, send: id, shard: device_shard(&device, shards), device }
    };
    house.store.put_all((0..devices).map(target).collect()).await.unwrap();
    (0..shards.unsigned_abs()).map(|shard| job(send, shard)).collect()
}

fn job(send: u128, shard: u32) -> Record {
    let work = Work::Send(SendId(Uuid::from_u128(send)));
    let job = Job { tenant: TENANT, work, shard, cursor: None, expanded: 0, not_before: None };
    Record::new(Topic::Jobs, job.key(), job.encode())
}

async fn requested(house: &House, send: u128) -> Vec<PushRequest> {
    let requests = house.values::<PushRequest>(Topic::PushRequests).await;
    requests.into_iter().filter(|request| request.cause().0.as_u128() == send).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_devices_are_asked_for_once_each_through_ten_kills() {
    let mut house = House::new().await;
    let jobs = send(&house, 9, 4_000, 4, "running").await;
    house.append(jobs).await;
    for tenth in 1..=9 {
        house.start_expand(70).await;
        house.wait_for(&[Topic::PushRequests], tenth * 400).await;
        house.kill().await;
    }
    house.start_expand(70).await;
    house.wait_for(&[Topic::PushRequests], 4_000).await;
    house.stop().await;
    let requests = requested(&house, 9).await;
    assert_eq!(requests.len(), 4_000);
    let devices: BTreeSet<_> = requests.iter().map(|request| request.device.as_str()).collect();
    assert_eq!(devices.len(), 4_000);
    let message = campaign(1).message;
    let wanted = Request::Send {
        send: SendId(Uuid::from_u128(9)),
        sent: SentMessage { app: APP.into(), message }.into(),
    };
    assert!(requests.iter().all(|r| r.request == wanted && r.requested_at.0 == NOW));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_just_full_is_the_last() {
    let mut house = House::new().await;
    for (id, devices) in [(1, 0), (2, 1), (3, 10), (4, 11), (5, 20)] {
        let jobs = send(&house, id, devices, 1, "running").await;
        house.append(jobs).await;
    }
    house.start_expand(10).await;
    house.wait_for(&[Topic::PushRequests], 42).await;
    house.stop().await;
    for (id, devices) in [(1, 0), (2, 1), (3, 10), (4, 11), (5, 20)] {
        assert_eq!(requested(&house, id).await.len(), devices);
    }
    // Five sends, and a second page for those of eleven and of twenty.
    assert_eq!(house.records(Topic::Jobs).await.len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_job_ends_and_blocks_nobody() {
    let mut house = House::new().await;
    let unreadable = send(&house, 2, 5, 1, "lost").await;
    let good = send(&house, 3, 5, 1, "running").await;
    // All to one partition: they wait for one another.
    let garbage = Record::new(Topic::Jobs, "garbage", "no protobuf");
    let dead = [job(1, 0), garbage, Record::tombstone(Topic::Jobs, "garbage")];
    house.append(dead.into_iter().chain(unreadable).chain(good).map(|record| record.at(0))).await;
    house.start_expand(10).await;
    house.wait_for(&[Topic::PushRequests], 5).await;
    house.stop().await;
    assert_eq!(requested(&house, 2).await, []);
    assert_eq!(requested(&house, 3).await.len(), 5);
    assert_eq!(house.records(Topic::Rejected).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_send_does_not_wait_for_a_large_one() {
    let mut house = House::new().await;
    let large = send(&house, 1, 2_000, 1, "running").await;
    let small = send(&house, 2, 5, 1, "running").await;
    house.append(large.into_iter().chain(small).map(|record| record.at(0))).await;
    house.start_expand(10).await;
    let first: Vec<_> = house.wait_for(&[Topic::PushRequests], 2_005).await;
    house.stop().await;
    // Each partition has a part of the small send, near its beginning: only the first page came before.
    let requests: Vec<PushRequest> = first
        .iter()
        .map(|(_, record)| PushRequest::decode(record.value.as_ref().unwrap()).unwrap())
        .collect();
    assert_eq!(requests.iter().filter(|request| request.cause().0.as_u128() == 2).count(), 5);
    let jobs = house.values::<Job>(Topic::Jobs).await;
    assert_eq!(jobs.len(), 201);
    let small_offsets = house.records(Topic::PushRequests).await.into_iter().filter_map(|record| {
        let request = PushRequest::decode(&record.value.unwrap()).unwrap();
        (request.cause().0.as_u128() == 2).then_some(record.offset)
    });
    assert!(small_offsets.into_iter().all(|offset| offset < 15));
}
