//! Sends to audiences, on a real log: counts that add up at any moment, whatever is killed; pauses, cancellations,
//! spreads, and room for others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod house;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use geopush_dispatcher::expand::ExpandConfig;
use geopush_log::{Record, Topic, partition_of};
use geopush_model::{Delivery, DeviceId, Job, PushRequest, SendId, UnixMillis, Wire as _, Work};
use geopush_registry::message_json;
use geopush_store::tables::{
    DEVICE_BUCKETS, DeliveryTotalsRow, SendPageRow, SendRow, SendShardRow, SendTargetRow, device_shard,
};
use geopush_store::{Direction, Page, Timestamp};
use house::{APP, House, NOW, TENANT, campaign, id};
use uuid::Uuid;

const SEND: Uuid = Uuid::from_u128(9);
const EVERYONE: &str = "{\"all\":[]}";

/// So many devices, and which of them are VIPs.
async fn register(house: &House, devices: usize, vip: impl Fn(usize) -> bool) {
    let one = async |i: usize| {
        let tag = vip(i);
        let change = |device: &mut geopush_registry::Device| {
            if tag {
                device.tags = vec!["vip".to_owned()];
            }
        };
        house
            .devices
            .upsert(TENANT, &id(&format!("device-{i}")), None, UnixMillis(NOW), change)
            .await
            .unwrap();
    };
    stream::iter(0..devices).for_each_concurrent(64, one).await;
}

fn row(send: Uuid, audience: Option<&str>, targeted: i64) -> SendRow {
    SendRow {
        tenant: TENANT.0,
        send,
        app: APP.to_owned(),
        audience: audience.map(str::to_owned),
        message: message_json(&campaign(1).message),
        targeted,
        shards: if audience.is_some() { DEVICE_BUCKETS } else { 1 },
        spread_s: None,
        status: "running".to_owned(),
        created_at: Timestamp(NOW),
        updated_at: Timestamp(NOW),
        version: 1,
    }
}

fn job(send: Uuid, shard: i32, cursor: Option<DeviceId>, expanded: i64) -> Record {
    let (shard, expanded) = (shard.unsigned_abs(), expanded.unsigned_abs());
    let job =
        Job { tenant: TENANT, work: Work::Send(SendId(send)), shard, cursor, expanded, not_before: None };
    Record::new(Topic::Jobs, job.key(), job.encode())
}

async fn begin(house: &House, row: SendRow) {
    let (send, shards) = (row.send, row.shards);
    assert!(house.store.put_if_absent(row).await.unwrap());
    house.append((0..shards).map(|shard| job(send, shard, None, 0))).await;
}

/// A send to listed devices, in one shard.
async fn list(house: &House, row: SendRow, devices: usize) {
    let target = |i| {
        let device = format!("device-{i}");
        SendTargetRow { tenant: TENANT.0, send: row.send, shard: device_shard(&device, 1), device }
    };
    house.store.put_all((0..devices).map(target).collect()).await.unwrap();
    begin(house, row).await;
}

/// A send to one device, in the slice of another one's first job.
async fn small(house: &House, send: Uuid, other: Uuid) {
    let target = SendTargetRow { tenant: TENANT.0, send, shard: 0, device: "one".to_owned() };
    house.store.put(target).await.unwrap();
    assert!(house.store.put_if_absent(row(send, None, 1)).await.unwrap());
    let partition = partition_of(format!("{other}/0").as_bytes(), house.log.partitions(Topic::Jobs));
    house.append([job(send, 0, None, 0).at(partition)]).await;
}

async fn turn(house: &House, send: Uuid, status: &str) {
    let row: SendRow = house.store.get(&(TENANT.0,), &(send,)).await.unwrap().unwrap();
    let version = row.version;
    let row = SendRow { status: status.to_owned(), version: version + 1, ..row };
    assert!(house.store.put_if_version(row, version).await.unwrap());
}

async fn shards(house: &House, send: Uuid) -> Vec<SendShardRow> {
    house.store.page(&(TENANT.0, send), &Page::first(100, Direction::Ascending)).await.unwrap()
}

/// Waits until the jobs of a send have ended, each in one of these states, and says how many devices were asked for.
async fn ended(house: &House, send: Uuid, states: &[&str]) -> usize {
    let is_over = |row: &SendShardRow| states.contains(&row.state.as_str());
    let rows = house.eventually("the end of all jobs", async || {
        let rows = shards(house, send).await;
        (rows.len() == DEVICE_BUCKETS.unsigned_abs() as usize && rows.iter().all(is_over)).then_some(rows)
    });
    rows.await.iter().map(|row| usize::try_from(row.expanded).unwrap()).sum()
}

async fn requested(house: &House, send: Uuid) -> Vec<String> {
    let requests = house.values::<PushRequest>(Topic::PushRequests).await;
    let of_send = requests.into_iter().filter(|request| request.cause().0 == send);
    of_send.map(|request| request.device.as_str().to_owned()).collect()
}

/// A page of devices, with room for all.
fn pages_of(page: usize) -> ExpandConfig {
    ExpandConfig { page, window: 1_000_000 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counts_of_a_send_to_an_audience_add_up_at_any_moment_through_ten_kills() {
    const VIPS: i64 = 20_000;
    let mut house = House::new().await;
    register(&house, 22_000, |i| i % 11 > 0).await;
    begin(&house, row(SEND, Some("{\"tag\":\"vip\"}"), 0)).await;
    let (mut targeted, mut ended, mut kills) = (0, 0, 0);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(300);
    loop {
        house.start_plan().await;
        house.start_expand_with(ExpandConfig { page: 100, window: 2_000 }).await;
        house.start_record();
        // Not at the same place in each life.
        let next_kill = ended + 1_500 + (kills * 7_919) % 600;
        while ended < next_kill.min(VIPS) {
            assert!(tokio::time::Instant::now() < deadline, "{ended} of {targeted} ended");
            let totals: Vec<DeliveryTotalsRow> =
                house.store.page(&(TENANT.0, SEND), &Page::first(1_000, Direction::Ascending)).await.unwrap();
            let now_ended =
                totals.iter().map(|t| t.accepted + t.failed + t.suppressed + t.expired).sum::<i64>();
            let now_targeted = shards(&house, SEND).await.iter().map(|row| row.expanded).sum::<i64>();
            assert!(now_ended <= now_targeted, "{now_ended} ended of {now_targeted}");
            assert!(
                now_targeted - now_ended <= 2_000 + 16 * 100,
                "{now_ended} of {now_targeted}: no more under way"
            );
            assert!(ended <= now_ended && targeted <= now_targeted, "it only grows");
            (targeted, ended) = (now_targeted, now_ended);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if ended == VIPS {
            break;
        }
        house.kill().await;
        kills += 1;
    }
    house.stop().await;
    assert_eq!((targeted, ended), (VIPS, VIPS));
    assert!(kills >= 8 && shards(&house, SEND).await.iter().all(|row| row.state == "done"));
    let requests = requested(&house, SEND).await;
    assert_eq!((requests.len(), requests.iter().collect::<BTreeSet<_>>().len()), (20_000, 20_000));
    let deliveries = house.values::<Delivery>(Topic::Deliveries).await;
    let devices: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.device.as_str()).collect();
    assert_eq!((deliveries.len(), devices.len()), (20_000, 20_000));
}

/// A page of ten, the last of its shard, was begun and counted; then its process died, one of the ten was deleted,
/// another is in the audience no more, and the send became `status`.
async fn a_page_that_is_done_again(status: &str) {
    let mut house = House::new().await;
    let in_shard = |i: &usize| device_shard(&format!("device-{i}"), DEVICE_BUCKETS) == 0;
    let mut devices: Vec<String> = (0..).filter(in_shard).take(10).map(|i| format!("device-{i}")).collect();
    devices.sort();
    for (i, device) in devices.iter().enumerate() {
        let tag = |device: &mut geopush_registry::Device| {
            device.tags = if i == 5 { Vec::new() } else { vec!["vip".to_owned()] };
        };
        house.devices.upsert(TENANT, &id(device), None, UnixMillis(NOW), tag).await.unwrap();
    }
    let send = SendRow { status: status.to_owned(), ..row(SEND, Some("{\"tag\":\"vip\"}"), 0) };
    assert!(house.store.put_if_absent(send).await.unwrap());
    house.append([job(SEND, 0, None, 0)]).await;
    let (tenant, listed) = (TENANT.0, serde_json::to_string(&devices).unwrap());
    house.store.put(SendPageRow { tenant, send: SEND, shard: 0, job: 0, devices: listed }).await.unwrap();
    let begun = SendShardRow {
        tenant,
        send: SEND,
        shard: 0,
        cursor: None,
        expanded: 10,
        state: "done".to_owned(),
        job: Some(0),
        updated_at: Timestamp(NOW),
    };
    house.store.put(begun.clone()).await.unwrap();
    house.devices.delete(TENANT, &id(&devices[3]), None, UnixMillis(NOW)).await.unwrap();
    house.start_plan().await;
    house.start_record();
    house.start_expand_with(pages_of(20)).await;
    let ended = house.eventually("ten ends", async || {
        let page = Page::first(1_000, Direction::Ascending);
        let totals: Vec<DeliveryTotalsRow> = house.store.page(&(tenant, SEND), &page).await.unwrap();
        // Nobody has a token.
        (totals.iter().map(|t| t.suppressed).sum::<i64>() == 10).then_some(())
    });
    ended.await;
    house.stop().await;
    let row = shards(&house, SEND).await.remove(0);
    assert_eq!((row.expanded, row.state), (begun.expanded, begun.state), "{status}: it counts what it did");
    let mut asked = requested(&house, SEND).await;
    asked.sort();
    assert_eq!(asked, devices, "{status}: those that were counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_counted_has_an_end_though_the_device_goes_before_its_page_is_done_again() {
    for status in ["running", "paused", "cancelled"] {
        a_page_that_is_done_again(status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_send_goes_on_from_where_it_was_however_often_it_is_told_to() {
    let mut house = House::new().await;
    register(&house, 2_000, |_| true).await;
    begin(&house, row(SEND, Some(EVERYONE), 0)).await;
    house.start_expand_with(pages_of(4)).await;
    house.wait_for(&[Topic::PushRequests], 100).await;
    turn(&house, SEND, "paused").await;
    let asked = ended(&house, SEND, &["paused", "done"]).await;
    house.kill().await;
    assert_eq!(requested(&house, SEND).await.len(), asked, "each that was asked for is counted");
    assert!(asked < 2_000);
    house.start_expand_with(pages_of(4)).await;
    turn(&house, SEND, "running").await;
    for _ in 0..2 {
        let rows = shards(&house, SEND).await.into_iter().filter(|row| row.state != "done");
        let resume = |row: SendShardRow| job(SEND, row.shard, row.cursor.as_deref().map(id), row.expanded);
        house.append(rows.map(resume)).await;
    }
    assert_eq!(ended(&house, SEND, &["done"]).await, 2_000);
    house.stop().await;
    let devices = requested(&house, SEND).await;
    assert_eq!((devices.len(), devices.iter().collect::<BTreeSet<_>>().len()), (2_000, 2_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_audience_is_asked_for_no_more_and_listed_devices_are_for_their_counts() {
    let mut house = House::new().await;
    register(&house, 2_000, |_| true).await;
    begin(&house, row(SEND, Some(EVERYONE), 0)).await;
    house.start_expand_with(pages_of(4)).await;
    house.wait_for(&[Topic::PushRequests], 100).await;
    turn(&house, SEND, "cancelled").await;
    let asked = ended(&house, SEND, &["done"]).await;
    assert!(asked < 2_000);
    let listed = Uuid::from_u128(10);
    let cancelled =
        SendRow { status: "cancelled".to_owned(), spread_s: Some(3_600), ..row(listed, None, 30) };
    list(&house, cancelled, 30).await;
    // Another one behind it shows that it was looked at.
    small(&house, Uuid::from_u128(11), listed).await;
    house.wait_for(&[Topic::PushRequests], asked + 1).await;
    assert_eq!(requested(&house, listed).await.len(), 0, "what is left would be pushed");
    // By now everybody knows that it is cancelled.
    house.clock.advance(3_000);
    house.wait_for(&[Topic::PushRequests], asked + 1 + 30).await;
    house.stop().await;
    assert_eq!(requested(&house, SEND).await.len(), asked, "each that was asked for is counted");
    assert_eq!(requested(&house, listed).await.len(), 30, "and each that was listed, at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spread_send_goes_out_device_by_device_through_kills() {
    let mut house = House::new().await;
    list(&house, SendRow { spread_s: Some(12), ..row(SEND, None, 12) }, 12).await;
    house.start_expand_with(pages_of(500)).await;
    for second in 0..12 {
        let asked = house.wait_for(&[Topic::PushRequests], second + 1).await.len();
        assert_eq!(asked, second + 1, "one a second");
        if second % 4 == 3 {
            house.kill().await;
            house.start_expand_with(pages_of(500)).await;
        }
        house.clock.advance(1_000);
    }
    house.stop().await;
    let devices = requested(&house, SEND).await;
    assert_eq!((devices.len(), devices.iter().collect::<BTreeSet<_>>().len()), (12, 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_whose_window_is_full_does_not_hold_up_anothers_device() {
    let mut house = House::new().await;
    let (large, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    list(&house, row(large, None, 10_000), 10_000).await;
    house.start_expand_with(ExpandConfig { page: 100, window: 1_000 }).await;
    // Nothing ends, since nobody decides.
    house.wait_for(&[Topic::PushRequests], 1_000).await;
    let begun = std::time::Instant::now();
    small(&house, other, large).await;
    house
        .eventually("the small send", async || (!requested(&house, other).await.is_empty()).then_some(()))
        .await;
    let pages_after = 1 + begun.elapsed().as_secs() as usize / 2;
    let asked = requested(&house, large).await.len();
    assert!((1_000..=1_000 + 100 * (pages_after + 1)).contains(&asked), "{asked}");
    // The job that waits is not lost.
    house.kill().await;
    house.start_expand_with(pages_of(500)).await;
    house
        .eventually("the rest", async || (requested(&house, large).await.len() == 10_000).then_some(()))
        .await;
    house.stop().await;
}
