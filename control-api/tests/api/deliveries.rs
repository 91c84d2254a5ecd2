//! Deliveries, their receipts, and how many there are.

use geopush_model::{CampaignId, SendId, Source};
use geopush_store::Timestamp;
use geopush_store::tables::{
    DeliveryByDeviceRow, DeliveryBySourceRow, DeliveryTotalsRow, DeviceMonthRow, ReceiptRow, SendRow,
    SourceHourRow, hour_of, id_shard, month_of,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{House, NOW, house};

const HOUR: i64 = 3_600_000;

fn id(i: i64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &i.to_be_bytes())
}

/// How a push ended.
#[derive(Clone, Copy)]
struct Ended {
    outcome: &'static str,
    reason: Option<&'static str>,
    variant: Option<&'static str>,
}

/// Writes a delivery's rows as the dispatcher does.
async fn deliver(house: &House, source: Source, i: i64, at: i64, ended: Ended) {
    let tenant = house.tenant.tenant.0;
    let text = |text: Option<&str>| text.map(str::to_owned);
    let sent = ended.outcome == "accepted";
    let by_device = DeliveryByDeviceRow {
        tenant,
        device: "d".into(),
        month: month_of(at),
        created_at: Timestamp(at),
        push: id(i),
        campaign: source.campaign().map(|id| id.0),
        send: source.send().map(|id| id.0),
        cause: source.id(),
        provider: sent.then(|| "fcm".into()),
        outcome: ended.outcome.into(),
        reason: text(ended.reason),
        attempts: sent.into(),
        finished_at: Timestamp(at + 5),
        provider_message_id: sent.then(|| "m".into()),
        app: Some("shop".into()),
        variant: text(ended.variant),
    };
    let by_source = DeliveryBySourceRow {
        tenant,
        source: source.id(),
        hour: hour_of(at),
        shard: id_shard(id(i)),
        created_at: by_device.created_at,
        push: by_device.push,
        device: by_device.device.clone(),
        campaign: by_device.campaign,
        send: by_device.send,
        cause: by_device.cause,
        provider: by_device.provider.clone(),
        outcome: by_device.outcome.clone(),
        reason: by_device.reason.clone(),
        attempts: by_device.attempts,
        finished_at: by_device.finished_at,
        provider_message_id: by_device.provider_message_id.clone(),
        app: by_device.app.clone(),
        variant: by_device.variant.clone(),
    };
    house.store.put(by_device).await.unwrap();
    house.store.put(by_source).await.unwrap();
    let month = DeviceMonthRow { tenant, device: "d".into(), kind: "deliveries".into(), month: month_of(at) };
    house.store.put(month).await.unwrap();
    house.store.put(SourceHourRow { tenant, source: source.id(), hour: hour_of(at) }).await.unwrap();
}

/// Writes 30 deliveries of one send to one device, 40 minutes apart.
async fn deliveries(house: &House, send: SendId) {
    house.put("/v1/devices/d", &json!({})).await;
    let tenant = house.tenant.tenant.0;
    let row = SendRow {
        tenant,
        send: send.0,
        app: "shop".into(),
        audience: None,
        message: String::new(),
        targeted: 30,
        shards: 1,
        spread_s: None,
        status: "running".into(),
        created_at: Timestamp(NOW),
        updated_at: Timestamp(NOW),
        version: 1,
    };
    house.store.put_if_absent(row).await.unwrap();
    for i in 0..30 {
        let accepted = Ended { outcome: "accepted", reason: None, variant: None };
        deliver(house, Source::Send(send), i, NOW + i * 2 * HOUR / 3, accepted).await;
    }
}

#[tokio::test]
async fn deliveries_are_told_by_device_and_by_source() {
    let house = house().await;
    let send = Uuid::from_u128(77);
    deliveries(&house, SendId(send)).await;
    let wanted = json!({
        "push_id": id(0), "campaign_id": null, "send_id": send, "device_id": "d", "cause_id": send, "provider": "fcm",
        "outcome": "accepted", "reason": null, "attempts": 1, "created_at": "2026-01-01T00:00:00.000Z",
        "finished_at": "2026-01-01T00:00:00.005Z", "provider_message_id": "m", "variant": null,
        "receipts": {"delivered_at": null, "opened_at": null, "clicked_at": null}
    });
    for path in ["/v1/devices/d/deliveries".to_owned(), format!("/v1/deliveries?send_id={send}")] {
        house.whole_at_every_cut(&path, 30, "push_id").await;
        let (all, _) = house.pages(&path, 7, "asc").await;
        assert_eq!(all[0], wanted, "{path}");
        let joint = if path.contains('?') { '&' } else { '?' };
        let range = format!("{path}{joint}from=2026-01-01T00:40:00Z&to=2026-01-01T04:00:00Z");
        let ids: Vec<Value> =
            house.pages(&range, 2, "desc").await.0.iter().map(|d| d["push_id"].clone()).collect();
        assert_eq!(ids, (1..6).rev().map(|i| json!(id(i))).collect::<Vec<_>>(), "{range}");
    }
    for query in ["", "?campaign_id=x", "?send_id=x", &format!("?send_id={send}&campaign_id={send}")] {
        assert_eq!(house.get(&format!("/v1/deliveries{query}")).await.problem().0, 422, "{query}");
    }
    assert_eq!(house.get(&format!("/v1/deliveries?campaign_id={send}")).await.problem().0, 404);
    let other =
        house.ask_with(&house.other.secret_key, &format!("GET /v1/deliveries?send_id={send}"), &[], "").await;
    assert_eq!(other.problem().0, 404);
    assert_eq!(house.get("/v1/devices/nobody/deliveries").await.problem().0, 404);
}

#[tokio::test]
async fn what_the_phone_said_is_told_with_its_delivery() {
    let house = house().await;
    let send = Uuid::from_u128(77);
    deliveries(&house, SendId(send)).await;
    let tenant = house.tenant.tenant.0;
    for (push, event, after) in [(3, "delivered", 1), (3, "opened", 2), (4, "clicked", 3)] {
        let at = Timestamp(NOW + after);
        let row = ReceiptRow { tenant, push: id(push), event: event.into(), at, received_at: Timestamp(NOW) };
        house.store.put(row).await.unwrap();
    }
    let stranger = house.other.tenant.0;
    let (at, event) = (Timestamp(NOW), "opened".to_owned());
    let row = ReceiptRow { tenant: stranger, push: id(5), event, at, received_at: at };
    house.store.put(row).await.unwrap();
    let (none, at) = (Value::Null, |ms: i64| json!(format!("2026-01-01T00:00:00.{ms:03}Z")));
    for path in ["/v1/devices/d/deliveries".to_owned(), format!("/v1/deliveries?send_id={send}")] {
        let (all, _) = house.pages(&path, 7, "asc").await;
        let receipts = |i: usize| all[i]["receipts"].clone();
        assert_eq!(receipts(3), json!({"delivered_at": at(1), "opened_at": at(2), "clicked_at": none}));
        assert_eq!(receipts(4), json!({"delivered_at": none, "opened_at": none, "clicked_at": at(3)}));
        assert_eq!(receipts(5), json!({"delivered_at": none, "opened_at": none, "clicked_at": none}));
    }
}

#[tokio::test]
async fn a_filter_keeps_what_it_says_at_every_cut() {
    let house = house().await;
    let source = Source::Campaign(campaign_of(&house).await);
    house.put("/v1/devices/d", &json!({})).await;
    let ends = [
        Ended { outcome: "accepted", reason: None, variant: Some("a") },
        Ended { outcome: "accepted", reason: None, variant: Some("b") },
        Ended { outcome: "suppressed", reason: Some("holdout"), variant: None },
        Ended { outcome: "suppressed", reason: Some("capped"), variant: Some("a") },
        Ended { outcome: "failed", reason: Some("bad_message"), variant: Some("b") },
    ];
    for i in 0..40 {
        deliver(&house, source, i, NOW + i * HOUR / 3, ends[usize::try_from(i).unwrap() % 5]).await;
    }
    let by_source = format!("/v1/deliveries?campaign_id={}&", source.id());
    for path in ["/v1/devices/d/deliveries?", &by_source] {
        for (filter, count) in [
            ("outcome=accepted", 16),
            ("outcome=suppressed&reason=capped", 8),
            ("reason=holdout", 8),
            ("variant=b", 16),
            ("variant=b&outcome=failed", 8),
            ("outcome=expired", 0),
            ("outcome=&reason=&variant=", 40),
        ] {
            house.whole_at_every_cut(&format!("{path}{filter}"), count, "push_id").await;
        }
        for (filter, pointer) in [("outcome=deferred", "/query/outcome"), ("reason=bad", "/query/reason")] {
            assert_eq!(house.get(&format!("{path}{filter}")).await.pointers(), [pointer]);
        }
    }
}

async fn campaign_of(house: &House) -> CampaignId {
    let trigger = json!({"type": "zone", "on": "enter"});
    let asked = json!({"name": "Sale", "app": "shop", "trigger": trigger, "message": {"title": "Hello"}});
    let made = house.post("/v1/campaigns", &asked).await.json();
    CampaignId(made["id"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_campaigns_totals_are_the_sums_of_its_hours() {
    let house = house().await;
    let CampaignId(source) = campaign_of(&house).await;
    let tenant = house.tenant.tenant.0;
    for hour in 0..100_i64 {
        for log_partition in 0..16 {
            let row = DeliveryTotalsRow {
                tenant,
                source,
                hour: hour_of(NOW) + hour,
                log_partition,
                accepted: hour,
                failed: 1,
                suppressed: 2,
                expired: i64::from(log_partition == 3),
                counted_to: 9,
                put_off: None,
            };
            house.store.put(row).await.unwrap();
        }
    }
    let path = format!("/v1/campaigns/{source}/totals");
    let all = house.get(&path).await.ok();
    let counts =
        |of: &Value| ["accepted", "failed", "suppressed", "expired"].map(|name| of[name].as_i64().unwrap());
    assert_eq!(counts(&all), [16 * 4_950, 1_600, 3_200, 100]);
    let hours = all["hours"].as_array().unwrap();
    assert_eq!((hours.len(), &hours[99]["hour"]), (100, &json!("2026-01-05T03:00:00.000Z")));
    assert_eq!(counts(&hours[5]), [16 * 5, 16, 32, 1]);

    // The hours in which the range begins and ends are counted whole.
    let some = house.get(&format!("{path}?from=2026-01-01T02:30:00Z&to=2026-01-01T04:00:00Z")).await.ok();
    assert_eq!((some["hours"].as_array().unwrap().len(), counts(&some)), (2, [16 * 5, 32, 64, 2]));
    assert_eq!(house.get(&format!("{path}?from=later")).await.pointers(), ["/query/from"]);
    let unknown = Uuid::from_u128(1);
    assert_eq!(house.get(&format!("/v1/campaigns/{unknown}/totals")).await.problem().0, 404);
    let other = house.ask_with(&house.other.secret_key, &format!("GET {path}"), &[], "").await;
    assert_eq!(other.problem().0, 404);
}
