//! What goes out of the sends of two tenants while they contend, through the whole stage: expand on a real log, and
//! stages behind it that take what is asked for in its order.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod house;

use std::collections::VecDeque;
use std::time::Duration;

use geopush_dispatcher::expand::ExpandConfig;
use geopush_log::{Cursor, Reader, Record, Topic, Until};
use geopush_model::{
    Config, ConfigItem, Job, PushRequest, SendId, TenantId, TenantSettings, Weight, Wire as _, Work,
};
use geopush_registry::message_json;
use geopush_store::Timestamp;
use geopush_store::tables::{DeliveryTotalsRow, SendRow, SendTargetRow, device_shard, hour_of};
use house::{APP, House, NOW, campaign};
use uuid::Uuid;

const DEVICES: usize = 9_000;
/// What may be under way of both.
const CONFIG: ExpandConfig = ExpandConfig { page: 100, window: 800 };
/// So many end at once, when so many are under way.
const AT_ONCE: usize = 100;
const FULL: usize = 600;

/// Tenants, and what their sends are called.
const TWO: [Uuid; 2] = [Uuid::from_u128(101), Uuid::from_u128(102)];

async fn weigh(house: &House, weights: [u32; 2], version: i64) {
    for (tenant, weight) in TWO.into_iter().zip(weights) {
        let settings = TenantSettings { weight: Weight::new(weight).unwrap(), ..TenantSettings::default() };
        let config = Config { tenant: TenantId(tenant), version, item: ConfigItem::Tenant(settings) };
        house.append([Record::new(Topic::Config, config.key(), config.encode())]).await;
    }
}

/// A send to many of a tenant's devices.
async fn send(house: &House, tenant: Uuid) {
    let target = |n| {
        let device = format!("device-{n}");
        SendTargetRow { tenant, send: tenant, shard: device_shard(&device, 1), device }
    };
    house.store.put_all((0..DEVICES).map(target).collect()).await.unwrap();
    let row = SendRow {
        tenant,
        send: tenant,
        app: APP.to_owned(),
        audience: None,
        message: message_json(&campaign(1).message),
        targeted: i64::try_from(DEVICES).unwrap(),
        shards: 1,
        spread_s: None,
        status: "running".to_owned(),
        created_at: Timestamp(NOW),
        updated_at: Timestamp(NOW),
        version: 1,
    };
    assert!(house.store.put_if_absent(row).await.unwrap());
    let (tenant, work) = (TenantId(tenant), Work::Send(SendId(tenant)));
    let job = Job { tenant, work, shard: 0, cursor: None, expanded: 0, not_before: None };
    house.append([Record::new(Topic::Jobs, job.key(), job.encode())]).await;
}

/// The stages behind expand.
struct Stages<'h> {
    house: &'h House,
    reader: Box<dyn Reader>,
    line: VecDeque<Uuid>,
    ended: [usize; 2],
}

impl<'h> Stages<'h> {
    async fn behind(house: &'h House) -> Self {
        let topic = Topic::PushRequests;
        let partitions = 0..house.log.partitions(topic);
        let from = partitions.map(|partition| Cursor { topic, partition, offset: 0 }).collect();
        let reader = house.log.read(from, Until::Never).await.unwrap();
        Self { house, reader, line: VecDeque::new(), ended: [0; 2] }
    }

    /// So many end; how many of each tenant's.
    async fn end(&mut self, count: usize) -> [usize; 2] {
        let before = self.ended;
        for _ in 0..count / AT_ONCE {
            while self.line.len() < FULL {
                let come = self.reader.next(Duration::from_secs(60)).await.unwrap();
                let (_, records) = come.expect("a page comes, as others have ended");
                let tenant =
                    |value: &[u8]| PushRequest::decode(value).map(|request| request.tenant.0).unwrap();
                self.line.extend(records.iter().map(|record| tenant(record.value.as_ref().unwrap())));
            }
            for tenant in self.line.drain(..AT_ONCE) {
                self.ended[TWO.iter().position(|other| *other == tenant).unwrap()] += 1;
            }
            let totals = TWO.into_iter().zip(self.ended).map(|(tenant, ended)| DeliveryTotalsRow {
                tenant,
                source: tenant,
                hour: hour_of(NOW),
                log_partition: 0,
                counted_to: i64::try_from(ended).unwrap(),
                accepted: i64::try_from(ended).unwrap(),
                failed: 0,
                suppressed: 0,
                expired: 0,
                put_off: None,
            });
            self.house.store.put_all(totals.collect()).await.unwrap();
        }
        [self.ended[0] - before[0], self.ended[1] - before[1]]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_as_much_goes_out_of_a_tenant_that_weighs_three_and_a_change_holds_at_once() {
    let mut house = House::new().await;
    weigh(&house, [3, 1], 1).await;
    house.start_expand_with(CONFIG).await;
    for tenant in TWO {
        send(&house, tenant).await;
    }
    let mut stages = Stages::behind(&house).await;
    stages.end(1_500).await;
    let [heavy, light] = stages.end(3_000).await;
    assert!(
        (2 * light..=4 * light).contains(&heavy),
        "{heavy} of the heavier ended, and {light} of the other"
    );

    weigh(&house, [1, 3], 2).await;
    stages.end(1_500).await;
    let [light, heavy] = stages.end(3_000).await;
    assert!((2 * light..=4 * light).contains(&heavy), "{heavy} of the heavier ended, and {light}, later");
}
