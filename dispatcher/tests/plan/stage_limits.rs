//! Held pushes, quotas and cancelled sends on a real log and real tables, whatever is killed.

use std::collections::{BTreeMap, BTreeSet};

use geopush_log::{Record, Topic};
use geopush_model::{
    Config, ConfigItem, Delivery, PlanState, Push, PushRequest, QuietHours, QuietHoursThen, Reason, Request,
    SendId, SentMessage, TenantSettings, TransitionKind, UnixMillis, Wire as _,
};
use geopush_store::Timestamp;
use geopush_store::tables::{DeviceEngagementRow, QuotaRow, SendRow, day_of};
use serde_json::json;
use uuid::Uuid;

use crate::house::{APP, House, NOW, TENANT, campaign, campaign_record, id, transition, transition_record};
use crate::limits::window;
use crate::scene::{DAY, HOUR};

const ENTER: TransitionKind = TransitionKind::Enter;
const DECISIONS: [Topic; 2] = [Topic::Pushes, Topic::Deliveries];

fn settings_record(settings: TenantSettings, version: i64) -> Record {
    let config = Config { tenant: TENANT, version, item: ConfigItem::Tenant(settings) };
    Record::new(Topic::Config, config.key(), config.encode())
}

fn request(device: &str, send: u128, title: &str) -> Record {
    let mut message = campaign(1).message;
    message.title = title.to_owned();
    let request = PushRequest {
        tenant: TENANT,
        device: id(device),
        request: Request::Send {
            send: SendId(Uuid::from_u128(send)),
            sent: SentMessage { app: APP.to_owned(), message }.into(),
        },
        requested_at: UnixMillis(NOW),
    };
    Record::new(Topic::PushRequests, request.key().to_bytes(), request.encode())
}

async fn quiet_house(devices: &[String]) -> House {
    let house = House::new().await;
    house.furnish(&devices.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let quiet_hours = QuietHours { window: window("22:00", "08:00"), then: QuietHoursThen::Hold };
    let settings = TenantSettings { quiet_hours: Some(quiet_hours), ..TenantSettings::default() };
    house.append([settings_record(settings, 1), campaign_record(&campaign(1))]).await;
    house
}

/// How much the changelog says is held.
async fn held(house: &House) -> usize {
    let states = house.records(Topic::PlanState).await;
    let last: BTreeMap<_, _> = states.into_iter().map(|record| (record.key, record.value)).collect();
    last.into_values().flatten().map(|value| PlanState::decode(&value).unwrap().held.len()).sum()
}

fn some_devices(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("d{n}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_survives_kills_and_is_pushed_once_in_the_morning() {
    let devices = some_devices(60);
    let mut house = quiet_house(&devices).await;
    for round in 0..4_u64 {
        house.start_plan().await;
        let enters = devices.iter().map(|device| {
            transition_record(&transition(device, round + 1, ENTER, i64::try_from(round).unwrap()))
        });
        house.append(enters).await;
        house.append(devices.iter().map(|device| request(device, u128::from(round) + 10, "Hi"))).await;
        // Not all of it, so that each kill is at another place.
        let some = devices.len() * 2 * usize::try_from(round).unwrap() + 20;
        house.eventually("what is held", async || (held(&house).await >= some).then_some(())).await;
        house.kill().await;
    }
    assert!(house.records(Topic::Pushes).await.is_empty(), "it is quiet");
    house.clock.set(NOW + 8 * HOUR);
    let expected = devices.len() * 8;
    for share in [4, 2, 1] {
        house.start_plan().await;
        house.wait_for(&DECISIONS, expected / share).await;
        house.kill().await;
    }
    let pushes = house.values::<Push>(Topic::Pushes).await;
    let ids: BTreeSet<_> = pushes.iter().map(|push| push.id).collect();
    assert_eq!((pushes.len(), ids.len()), (expected, expected));
    assert!(pushes.iter().all(|push| push.created_at.0 == NOW + 8 * HOUR));
    assert!(house.records(Topic::Deliveries).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_slice_sees_the_morning_come() {
    let devices = some_devices(3);
    let mut house = quiet_house(&devices).await;
    house.start_plan().await;
    house.append(devices.iter().map(|device| transition_record(&transition(device, 1, ENTER, 0)))).await;
    house.eventually("what is held", async || (held(&house).await == devices.len()).then_some(())).await;
    house.clock.set(NOW + 8 * HOUR);
    house.wait_for(&[Topic::Pushes], devices.len()).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_slices_together_never_push_more_than_the_quota() {
    let devices = some_devices(200);
    let mut house = House::new().await;
    house.furnish(&devices.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let settings = TenantSettings { quota_per_day: Some(50), ..TenantSettings::default() };
    house.append([settings_record(settings, 1)]).await;
    for round in 0..3_usize {
        house.start_plan().await;
        house.append(devices.iter().map(|device| request(device, round as u128 + 10, "Hi"))).await;
        let all = devices.len() * (round + 1);
        house.wait_for(&DECISIONS, if round == 2 { all } else { all - 150 }).await;
        if round < 2 {
            house.kill().await;
        }
    }
    let pushes = house.values::<Push>(Topic::Pushes).await.len();
    let suppressed = house.values::<Delivery>(Topic::Deliveries).await;
    // What was leased for decisions that a kill took back is lost.
    assert!((1..=50).contains(&pushes), "{pushes}");
    assert!(suppressed.iter().all(|delivery| delivery.reason == Some(Reason::Quota)));
    assert_eq!(pushes + suppressed.len(), devices.len() * 3);
    let row = house.store.get::<QuotaRow>(&(TENANT.0,), &(day_of(NOW),)).await.unwrap().unwrap();
    assert_eq!(row.leased, 50);
    // The next day there is as much again.
    house.clock.set(NOW + DAY);
    house.append(devices.iter().map(|device| request(device, 99, "Hi"))).await;
    house.wait_for(&DECISIONS, devices.len() * 4).await;
    house.stop().await;
    let next_day = house.values::<Push>(Topic::Pushes).await.len() - pushes;
    assert!((30..=50).contains(&next_day), "{next_day}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cancelled_send_asks_for_is_suppressed() {
    let mut house = House::new().await;
    house.furnish(&["d1"]).await;
    let row = |send: u128, status: &str| SendRow {
        tenant: TENANT.0,
        send: Uuid::from_u128(send),
        app: APP.to_owned(),
        audience: None,
        message: "{}".to_owned(),
        targeted: 1,
        shards: 1,
        spread_s: None,
        status: status.to_owned(),
        created_at: Timestamp(NOW),
        updated_at: Timestamp(NOW),
        version: 1,
    };
    for (send, status) in [(10, "cancelled"), (11, "running"), (12, "paused")] {
        assert!(house.store.put_if_absent(row(send, status)).await.unwrap());
    }
    house.start_plan().await;
    let template = "{{ device.id }}";
    house.append([10, 11, 12, 13].map(|send| request("d1", send, template))).await;
    house.wait_for(&DECISIONS, 4).await;
    house.stop().await;
    let suppressed = house.values::<Delivery>(Topic::Deliveries).await;
    assert_eq!(suppressed.len(), 1);
    assert_eq!(
        (suppressed[0].reason, suppressed[0].origin.source.id()),
        (Some(Reason::Cancelled), Uuid::from_u128(10))
    );
    assert!(house.values::<Push>(Topic::Pushes).await.iter().all(|push| push.message.title == "d1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audience_may_ask_whether_a_push_was_opened() {
    let mut house = House::new().await;
    house.furnish(&["reader", "ignorer"]).await;
    let mut asking = campaign(1);
    asking.audience = Some(json!({"opened": {"within_s": 3_600}}));
    house.append([campaign_record(&asking)]).await;
    for (device, ago_s) in [("reader", 3_600), ("ignorer", 3_601)] {
        let opened_at = Timestamp(NOW - ago_s * 1_000);
        let row = DeviceEngagementRow {
            tenant: TENANT.0,
            device: device.to_owned(),
            opened_at,
            push: Uuid::from_u128(1),
        };
        house.store.put(row).await.unwrap();
    }
    house.start_plan().await;
    let enters = ["reader", "ignorer", "stranger"];
    house.append(enters.map(|device| transition_record(&transition(device, 1, ENTER, 0)))).await;
    house.wait_for(&DECISIONS, 3).await;
    house.stop().await;
    let pushes = house.values::<Push>(Topic::Pushes).await;
    assert_eq!(pushes.iter().map(|push| push.device.as_str()).collect::<Vec<_>>(), ["reader"]);
}
