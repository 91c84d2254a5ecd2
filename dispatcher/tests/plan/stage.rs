//! Plan on a real log: decisions are published once, whatever is killed, by what was answered before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::house::{
    APP, House, NOW, TENANT, ZONE, campaign, campaign_record, id, key, transition, transition_record,
    zone_trigger,
};
use async_trait::async_trait;
use geopush_log::{
    AppendError, Cursor, Group, Log, LogError, Offset, Reader, Received, Record, SharedLog, Topic, Until,
};
use geopush_model::{
    Delivery, ExitReason, Push, PushRequest, Reason, Request, SendId, SentMessage, TransitionKind,
    TriggerKind, UnixMillis, Wire as _, Zone,
};
use geopush_store::tables::{PresenceByDeviceRow, TransitionByDeviceRow, month_of};
use geopush_store::{Direction, Page, Timestamp};
use serde_json::json;
use uuid::Uuid;

const ENTER: TransitionKind = TransitionKind::Enter;
const DECISIONS: [Topic; 2] = [Topic::Pushes, Topic::Deliveries];

fn request(device: &str, send: u128) -> Record {
    let request = PushRequest {
        tenant: TENANT,
        device: id(device),
        request: Request::Send {
            send: SendId(Uuid::from_u128(send)),
            sent: SentMessage { app: APP.to_owned(), message: campaign(1).message }.into(),
        },
        requested_at: UnixMillis(NOW),
    };
    Record::new(Topic::PushRequests, request.key().to_bytes(), request.encode())
}

/// A log from which campaigns are slow to come, as they may be from a cluster.
struct SlowCampaigns(SharedLog);

struct SlowReader(Box<dyn Reader>);

#[async_trait]
impl Log for SlowCampaigns {
    async fn append(&self, records: Vec<Record>) -> Result<(), AppendError> {
        self.0.append(records).await
    }

    async fn join(&self, group: &str, inputs: &[Topic]) -> Result<Box<dyn Group>, LogError> {
        self.0.join(group, inputs).await
    }

    async fn end(&self, topic: Topic, partition: u32) -> Result<Offset, LogError> {
        self.0.end(topic, partition).await
    }

    async fn read(&self, from: Vec<Cursor>, until: Until) -> Result<Box<dyn Reader>, LogError> {
        let is_slow = from.iter().any(|cursor| cursor.topic == Topic::Campaigns);
        let reader = self.0.read(from, until).await?;
        Ok(if is_slow { Box::new(SlowReader(reader)) } else { reader })
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.0.partitions(topic)
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl Reader for SlowReader {
    async fn next(&mut self, wait: Duration) -> Result<Option<(usize, Vec<Received>)>, LogError> {
        let records = self.0.next(wait).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(records)
    }

    fn position(&self, index: usize) -> Offset {
        self.0.position(index)
    }

    fn done(&self) -> bool {
        self.0.done()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_decisions_than_one_commit_takes_are_each_made_once() {
    let mut house = House::new().await;
    let devices: Vec<String> = (0..300).map(|n| format!("d{n}")).collect();
    house.append((1..=20).map(|n| campaign_record(&campaign(n)))).await;
    house.append(devices.iter().map(|device| transition_record(&transition(device, 1, ENTER, 0)))).await;
    house.start_plan().await;
    house.wait_for(&DECISIONS, 6_000).await;
    house.append(devices.iter().map(|device| request(device, 9))).await;
    house.wait_for(&DECISIONS, 6_300).await;
    let decided = house.values::<Delivery>(Topic::Deliveries).await;
    let ids: BTreeSet<Uuid> = decided.iter().map(|delivery| delivery.push.0).collect();
    assert_eq!((decided.len(), ids.len()), (6_300, 6_300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transitions_and_requests_become_pushes_and_suppressed_deliveries() {
    let mut house = House::new().await;
    house.furnish(&["d1"]).await;
    house.append([campaign_record(&campaign(1))]).await;
    house.start_plan().await;
    house
        .append([
            transition_record(&transition("d1", 1, ENTER, 0)),
            transition_record(&transition("stranger", 1, ENTER, 0)),
            request("d1", 9),
            request("stranger", 9),
        ])
        .await;
    house.wait_for(&DECISIONS, 4).await;
    let mut pushes: Vec<_> = house
        .values::<Push>(Topic::Pushes)
        .await
        .iter()
        .map(|p| (p.device.to_string(), p.origin.source.id()))
        .collect();
    pushes.sort();
    assert_eq!(pushes, [1, 9].map(|source| ("d1".to_owned(), Uuid::from_u128(source))));
    let suppressed = house.values::<Delivery>(Topic::Deliveries).await;
    assert!(suppressed.iter().all(|d| d.device == id("stranger") && d.reason == Some(Reason::NoDevice)));
    let states = house.records(Topic::PlanState).await;
    assert!(states.iter().any(|record| record.key == key("d1").to_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_that_was_answered_before_a_transition_counts_for_it() {
    let mut house = House::new().await;
    house.furnish(&["d1"]).await;
    house.start_plan_on(Arc::new(SlowCampaigns(house.log.clone()))).await;
    let enters: Vec<_> =
        (1..=50_u64).map(|n| transition("d1", n, ENTER, i64::try_from(n).unwrap())).collect();
    for enter in &enters {
        let mut edited = campaign(1);
        edited.version = i64::try_from(enter.seq).unwrap();
        edited.message.title = enter.seq.to_string();
        house.append([campaign_record(&edited)]).await;
        house.append([transition_record(enter)]).await;
    }
    house.wait_for(&[Topic::Pushes], 50).await;
    house.stop().await;
    // A later edit may be known already, an earlier one may not be left.
    for push in house.values::<Push>(Topic::Pushes).await {
        let enter = enters.iter().find(|enter| enter.id.0 == push.origin.cause.0).unwrap();
        assert!(push.message.title.parse::<u64>().unwrap() >= enter.seq);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zones_tags_of_now_choose_its_campaigns() {
    let mut house = House::new().await;
    house.furnish(&["d1"]).await;
    let mut tagged = campaign(1);
    zone_trigger(&mut tagged).zones.zone_tags = vec!["food".to_owned()];
    house.append([campaign_record(&tagged), campaign_record(&campaign(2))]).await;
    house.start_plan().await;
    let zone = |tags: &[&str], version| {
        let shape = json!({"type": "circle", "center": [2.1, 41.3], "radius_m": 50});
        let zone = Zone {
            tenant: TENANT,
            id: ZONE,
            external_id: None,
            location_id: None,
            name: "shop".to_owned(),
            shape: geopush_geometry::Shape::from_json(&shape).unwrap(),
            exit_buffer_m: None,
            dwell_s: None,
            max_accuracy_m: None,
            active: true,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            metadata: serde_json::Map::new(),
            version,
            created_at: UnixMillis(NOW),
            updated_at: UnixMillis(NOW),
            deleted: false,
            removal: None,
        };
        Record::new(Topic::Zones, ZONE.to_string(), zone.encode())
    };
    let mut sources = Vec::new();
    for (seq, record, expected) in [
        (1, zone(&["food"], 1), 2),
        (2, zone(&[], 3), 1),
        (3, zone(&["food"], 2), 1),
        (4, zone(&["a", "food"], 4), 2),
    ] {
        house.append([record]).await;
        house.append([transition_record(&transition("d1", seq, ENTER, i64::try_from(seq).unwrap()))]).await;
        sources.push(expected);
        house.wait_for(&[Topic::Pushes], sources.iter().sum()).await;
    }
    house.stop().await;
    assert_eq!(house.records(Topic::Pushes).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_every_cause_is_decided_on_once() {
    let mut house = House::new().await;
    let devices: Vec<String> = (0..40).map(|i| format!("d{i}")).collect();
    house.furnish(&devices.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut cooled = campaign(2);
    cooled.cooldown_s = 100;
    house.append([campaign_record(&campaign(1)), campaign_record(&cooled)]).await;
    let mut expected = 0;
    for round in 0..10_u64 {
        house.start_plan().await;
        for burst in 0..5_u64 {
            let seq = round * 5 + burst + 1;
            let s = i64::try_from(seq).unwrap() * 10;
            let of_all = devices.iter().map(|device| transition_record(&transition(device, seq, ENTER, s)));
            house.append(of_all).await;
            // The geofence stage may say a thing twice after a torn transaction.
            house.append([transition_record(&transition(&devices[0], seq, ENTER, s))]).await;
            expected += devices.len() * 2;
        }
        house.append(devices.iter().map(|device| request(device, u128::from(round) + 10))).await;
        expected += devices.len();
        // Not before something of this round was decided: each kill is at another place.
        house.wait_for(&DECISIONS, expected.saturating_sub(usize::try_from(round).unwrap() * 30)).await;
        house.kill().await;
    }
    house.start_plan().await;
    house.wait_for(&DECISIONS, expected).await;
    house.stop().await;

    let pushes = house.values::<Push>(Topic::Pushes).await;
    let suppressed = house.values::<Delivery>(Topic::Deliveries).await;
    assert_eq!(pushes.len() + suppressed.len(), expected);
    let ids: BTreeSet<_> = pushes.iter().map(|p| p.id).chain(suppressed.iter().map(|d| d.push)).collect();
    assert_eq!(ids.len(), expected, "no decision twice");
    assert!(suppressed.iter().all(|d| d.reason == Some(Reason::Cooldown)));
    // 50 enters ten seconds apart with a cooldown of 100 seconds: every tenth pushes.
    let cooled_pushes = pushes.iter().filter(|p| p.origin.source.id() == cooled.id.0).count();
    assert_eq!(cooled_pushes, devices.len() * 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_device_is_told_of_and_then_forgotten() {
    let mut house = House::new().await;
    house.furnish(&["d1"]).await;
    let mut on_exit = campaign(1);
    zone_trigger(&mut on_exit).on = TriggerKind::Exit;
    house.append([campaign_record(&on_exit)]).await;
    house.start_plan().await;
    let removed = TransitionKind::Exit(ExitReason::DeviceRemoved);
    house
        .append([
            transition_record(&transition("d1", 1, ENTER, 0)),
            transition_record(&transition("d1", 2, removed, 1)),
        ])
        .await;
    house.wait_for(&[Topic::Deliveries], 1).await;
    house.stop().await;
    let deliveries = house.values::<Delivery>(Topic::Deliveries).await;
    assert_eq!(deliveries[0].reason, Some(Reason::NoDevice));
    let last =
        house.records(Topic::PlanState).await.into_iter().rfind(|r| r.key == key("d1").to_bytes()).unwrap();
    assert_eq!(last.value, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_is_put_aside_and_blocks_nobody() {
    let mut house = House::new().await;
    house.furnish(&["d1"]).await;
    house.append([campaign_record(&campaign(1))]).await;
    let mut garbage = transition_record(&transition("d1", 1, ENTER, 0));
    garbage.value = Some("no protobuf".into());
    let bad_campaign = Record::new(Topic::Campaigns, "nonsense", "no protobuf");
    house.append([garbage.clone(), bad_campaign]).await;
    house.start_plan().await;
    house.append([transition_record(&transition("d1", 1, ENTER, 0))]).await;
    house.wait_for(&[Topic::Pushes], 1).await;
    house.stop().await;
    let rejected = house.records(Topic::Rejected).await;
    assert_eq!(rejected.len(), 1);
    assert_eq!(&rejected[0].key[..], Topic::Transitions.name().as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audience_may_ask_where_the_device_has_been() {
    let mut house = House::new().await;
    house.furnish(&["regular", "guest"]).await;
    let mut asking = campaign(1);
    asking.audience = Some(json!({"visited": {"zone_id": ZONE.to_string(), "within_s": 3_600}}));
    house.append([campaign_record(&asking)]).await;
    // Being in the zone since long ago is a visit; the entering that is being decided on is none.
    let inside = |device: &str, seq| PresenceByDeviceRow {
        tenant: TENANT.0,
        device: device.to_owned(),
        zone: ZONE.0,
        zone_external_id: None,
        since: Timestamp(NOW - 10_000_000),
        incarnation: NOW,
        seq,
    };
    house.store.put_all(vec![inside("regular", 1), inside("guest", 2)]).await.unwrap();
    house.start_plan().await;
    house.append(["regular", "guest"].map(|d| transition_record(&transition(d, 2, ENTER, 0)))).await;
    house.wait_for(&DECISIONS, 2).await;
    house.stop().await;
    assert_eq!(house.values::<Push>(Topic::Pushes).await[0].device, id("regular"));
    let suppressed = &house.values::<Delivery>(Topic::Deliveries).await[0];
    assert_eq!((&suppressed.device, suppressed.reason), (&id("guest"), Some(Reason::Audience)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_of_earlier_visits_counts() {
    let mut house = House::new().await;
    house.furnish(&["d1", "d2"]).await;
    let mut asking = campaign(1);
    asking.audience = Some(json!({"visited": {"zone_id": ZONE.to_string(), "within_s": 60}}));
    house.append([campaign_record(&asking)]).await;
    let left = TransitionKind::Exit(ExitReason::Left);
    for (device, exit_s) in [("d1", -60), ("d2", -61)] {
        let stay = [transition(device, 1, ENTER, -500), transition(device, 2, left, exit_s)];
        house.append(stay.iter().map(transition_record)).await;
    }
    house.start_record();
    for device in ["d1", "d2"] {
        let rows = (TENANT.0, device.to_owned(), month_of(NOW - 60_000));
        house
            .eventually("the exit's row", async || {
                let page = Page::first(10, Direction::Descending);
                let found = house.store.page::<TransitionByDeviceRow>(&rows, &page).await.unwrap();
                (found.len() == 2).then_some(())
            })
            .await;
    }
    house.start_plan().await;
    house.append(["d1", "d2"].map(|d| transition_record(&transition(d, 3, ENTER, 0)))).await;
    let enters_before = 2;
    house.wait_for(&DECISIONS, 2 + enters_before).await;
    house.stop().await;
    let pushes = house.values::<Push>(Topic::Pushes).await;
    assert_eq!(pushes.iter().map(|p| &p.device).collect::<Vec<_>>(), [&id("d1")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_nothing_is_decided_and_nothing_is_lost() {
    let mut house = House::new().await;
    house.furnish(&["d1"]).await;
    house.append([campaign_record(&campaign(1))]).await;
    house.start_plan().await;
    house.store_is_down.store(true, Ordering::SeqCst);
    house.append([transition_record(&transition("d1", 1, ENTER, 0))]).await;
    house
        .eventually("the word that it is not ready", async || {
            (!house.health.report().is_ready()).then_some(())
        })
        .await;
    house.store_is_down.store(false, Ordering::SeqCst);
    house.wait_for(&[Topic::Pushes], 1).await;
    house.stop().await;
    assert_eq!(house.records(Topic::Pushes).await.len(), 1);
    assert!(house.records(Topic::Deliveries).await.is_empty());
}
