//! Campaigns that go by the clock, on a real log: each time of each is one run, whatever is killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod house;

use std::collections::BTreeMap;

use geopush_dispatcher::expand::ExpandConfig;
use geopush_log::{Record, Topic};
use geopush_model::{
    Campaign, CampaignStatus, Config, ConfigItem, Job, PushRequest, Request, TenantSettings, Trigger,
    UnixMillis, Wire as _, Work,
};
use geopush_store::tables::DEVICE_BUCKETS;
use house::{House, NOW, TENANT, campaign, campaign_record};

const MINUTE: i64 = 60_000;
const SHARDS: usize = DEVICE_BUCKETS.unsigned_abs() as usize;

fn scheduled(n: u128, cron: &str) -> Campaign {
    Campaign { trigger: Trigger::Schedule { cron: cron.to_owned() }, ..campaign(n) }
}

/// How many jobs each run of each campaign has, by its time.
async fn runs(house: &House) -> BTreeMap<(u128, i64), usize> {
    let mut runs = BTreeMap::new();
    for record in house.records(Topic::Jobs).await {
        let Ok(job) = Job::decode(&record.value.unwrap()) else { continue };
        let Work::Run(run) = job.work else { panic!("a send") };
        *runs.entry((run.campaign.0.as_u128(), (run.at.0 - NOW) / MINUTE)).or_default() += 1;
    }
    runs
}

/// Waits until every slice has looked at the clock, so that it misses nothing from now on: it says so of what it can't
/// read.
async fn looked(house: &House) {
    house.append((0..4).map(|slice| Record::new(Topic::Jobs, "garbage", "no protobuf").at(slice))).await;
    house.wait_for(&[Topic::Rejected], 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_time_of_a_schedule_is_one_run_through_kills_and_with_two_members() {
    let mut house = House::new().await;
    let paused = Campaign { status: CampaignStatus::Paused, ..scheduled(9, "* * * * *") };
    let campaigns = (1..=3).map(|n| scheduled(n, "*/5 * * * *")).chain([paused]);
    house.append(campaigns.map(|campaign| campaign_record(&campaign))).await;
    for _ in 0..2 {
        house.start_expand_with(ExpandConfig::default()).await;
    }
    looked(&house).await;
    for step in 1..=6 {
        if step % 2 == 0 {
            house.kill().await;
            house.clock.advance(5 * MINUTE);
            house.start_expand_with(ExpandConfig::default()).await;
            house.start_expand_with(ExpandConfig::default()).await;
        } else {
            house.clock.advance(5 * MINUTE);
        }
        let wanted = 3 * step * SHARDS;
        house
            .eventually("the runs", async || {
                (runs(&house).await.values().sum::<usize>() >= wanted).then_some(())
            })
            .await;
    }
    house.stop().await;
    let wanted: BTreeMap<_, _> =
        (1..=3).flat_map(|n| (1..=6).map(move |step| ((n, step * 5), SHARDS))).collect();
    assert_eq!(runs(&house).await, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_asks_for_every_device_by_the_tenants_clock() {
    let mut house = House::new().await;
    for i in 0..40 {
        house.register(&format!("device-{i}")).await;
    }
    let settings = TenantSettings { timezone: Some("Asia/Kolkata".to_owned()), ..TenantSettings::default() };
    let config = Config { tenant: TENANT, version: 1, item: ConfigItem::Tenant(settings) };
    house.append([Record::new(Topic::Config, config.key(), config.encode())]).await;
    // NOW is half past five there.
    house.append([campaign_record(&scheduled(1, "0 6 * * *"))]).await;
    house.start_expand_with(ExpandConfig { page: 2, ..ExpandConfig::default() }).await;
    looked(&house).await;
    house.clock.advance(29 * MINUTE);
    house.clock.advance(MINUTE);
    let requests = house.wait_for(&[Topic::PushRequests], 40).await;
    house.stop().await;
    let mut devices = std::collections::BTreeSet::new();
    for (_, record) in requests {
        let request = PushRequest::decode(&record.value.unwrap()).unwrap();
        let Request::Run(run) = request.request else { panic!("a send") };
        assert_eq!((run.at, request.requested_at), (UnixMillis(NOW + 30 * MINUTE), run.at));
        devices.insert(request.device);
    }
    assert_eq!(devices.len(), 40);
    assert_eq!(house.records(Topic::PushRequests).await.len(), 40);
}
