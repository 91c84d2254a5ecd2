//! What phones did with pushes.

use axum::body::Body;
use geopush_ingest::EarlyReceipts;
use geopush_model::UnixMillis;
use geopush_store::Timestamp;
use geopush_store::tables::{DeviceEngagementRow, EarlyReceiptRow, PushRow, ReceiptRow, SHARDS};
use geopush_store::{Direction, Page};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{House, NOW, house, json_of};

const PUSH: Uuid = Uuid::from_u128(0x9a);
const OTHER: Uuid = Uuid::from_u128(0x9b);
const HOUR: i64 = 3_600_000;

impl House {
    async fn tell(&self, receipts: &Value) -> (u16, Value) {
        let request = self.request("POST", "/v1/receipts", &self.tenant.publishable_key);
        let response = self.ask(request.body(Body::from(receipts.to_string())).unwrap()).await;
        (response.status().as_u16(), json_of(response).await)
    }

    async fn sent(&self, push: Uuid, device: &str) {
        let (tenant, source) = (self.tenant.tenant.0, Uuid::from_u128(5));
        let device = device.to_owned();
        let row = PushRow { tenant, push, device, source, created_at: Timestamp(NOW - 60_000) };
        self.store.put(row).await.unwrap();
    }

    async fn receipt(&self, push: Uuid, event: &str) -> Option<i64> {
        let key = (self.tenant.tenant.0, push);
        let row = self.store.get::<ReceiptRow>(&key, &(event.to_owned(),)).await.unwrap();
        row.map(|row| row.at.0 - NOW)
    }

    async fn last_opened(&self, device: &str) -> Option<(Uuid, i64)> {
        let key = (self.tenant.tenant.0, device.to_owned());
        let row = self.store.get::<DeviceEngagementRow>(&key, &()).await.unwrap();
        row.map(|row| (row.push, row.opened_at.0 - NOW))
    }

    async fn waiting(&self) -> usize {
        let mut count = 0;
        for shard in 0..SHARDS {
            let page = Page::first(1_000, Direction::Ascending);
            count += self.store.page::<EarlyReceiptRow>(&(shard,), &page).await.unwrap().len();
        }
        count
    }
}

fn receipt(push: Uuid, event: &str, ago_ms: i64) -> Value {
    json!({"push_id": push, "event": event, "at": NOW - ago_ms})
}

#[tokio::test]
async fn what_was_opened_or_clicked_is_known_of_the_device_and_what_was_delivered_is_not() {
    let house = house(&[]).await;
    house.sent(PUSH, "d1").await;
    assert_eq!(house.tell(&receipt(PUSH, "delivered", 900)).await.0, 202);
    assert_eq!((house.receipt(PUSH, "delivered").await, house.last_opened("d1").await), (Some(-900), None));
    assert_eq!(house.tell(&receipt(PUSH, "opened", 500)).await.0, 202);
    assert_eq!(house.last_opened("d1").await, Some((PUSH, -500)));
    assert_eq!(house.tell(&receipt(PUSH, "clicked", 400)).await.0, 202);
    assert_eq!(house.last_opened("d1").await, Some((PUSH, -400)));
    assert_eq!(house.waiting().await, 0);
}

#[tokio::test]
async fn an_older_receipt_that_comes_later_sets_nothing_back() {
    let house = house(&[]).await;
    house.sent(PUSH, "d1").await;
    house.sent(OTHER, "d1").await;
    let many = json!([receipt(OTHER, "opened", 10), receipt(PUSH, "opened", 5_000)]);
    assert_eq!(house.tell(&many).await.1, json!({"accepted": 2, "rejected": []}));
    assert_eq!(house.last_opened("d1").await, Some((OTHER, -10)));
    assert_eq!(house.tell(&receipt(PUSH, "clicked", 4_000)).await.0, 202);
    assert_eq!(house.last_opened("d1").await, Some((OTHER, -10)));
}

#[tokio::test]
async fn a_receipt_that_comes_before_its_pushs_row_is_joined_later() {
    let house = house(&[]).await;
    let many = json!([receipt(PUSH, "opened", 5), receipt(PUSH, "clicked", 3), receipt(OTHER, "opened", 2)]);
    assert_eq!(house.tell(&many).await.0, 202);
    assert_eq!(house.receipt(PUSH, "opened").await, Some(-5), "the receipt itself is kept at once");
    let mut early = EarlyReceipts::default();
    assert_eq!(early.join(&house.store, UnixMillis(NOW)).await.unwrap(), 0);
    assert_eq!((house.last_opened("d1").await, house.waiting().await), (None, 2));

    house.sent(PUSH, "d1").await;
    assert_eq!(early.join(&house.store, UnixMillis(NOW + HOUR)).await.unwrap(), 1);
    assert_eq!(house.last_opened("d1").await, Some((PUSH, -3)));
    // A push that nobody knows after an hour was never one.
    assert_eq!(house.waiting().await, 1);
    assert_eq!(early.join(&house.store, UnixMillis(NOW + HOUR + 1)).await.unwrap(), 0);
    assert_eq!(house.waiting().await, 0);
}

#[tokio::test]
async fn what_waits_is_all_looked_at_however_much_it_is() {
    let house = house(&[]).await;
    for hundred in 0..12_u128 {
        let pushes = (hundred * 1_000..).take(1_000).map(|n| receipt(Uuid::from_u128(n << 8), "opened", 0));
        assert_eq!(house.tell(&pushes.collect()).await.1["accepted"], 1_000);
    }
    let last = Uuid::from_u128(11_999 << 8);
    house.sent(last, "d1").await;
    let mut early = EarlyReceipts::default();
    // All of them are in one shard: more than are looked at in one go.
    let joined = early.join(&house.store, UnixMillis(NOW)).await.unwrap()
        + early.join(&house.store, UnixMillis(NOW)).await.unwrap();
    assert_eq!((joined, house.waiting().await), (1, 1_000), "as many as a page of this test shows");
    assert_eq!(house.last_opened("d1").await, Some((last, 0)));
}

#[tokio::test]
async fn receipts_are_refused_or_rejected_each_with_its_reason() {
    let house = house(&[("ingest.tenant_pings_per_second", "1")]).await;
    let bad = json!([receipt(PUSH, "eaten", 0), {"push_id": PUSH, "event": "opened", "at": "yesterday"}]);
    let (status, answer) = house.tell(&bad).await;
    assert_eq!((status, &answer["accepted"], &answer["rejected"][1]["index"]), (202, &json!(0), &json!(1)));
    let (status, problem) = house.tell(&receipt(PUSH, "eaten", 0)).await;
    assert_eq!((status, problem["errors"][0]["pointer"].as_str()), (422, Some("/event")));
    let (status, problem) = house.tell(&Value::Array(vec![receipt(PUSH, "opened", 0); 1_001])).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("too_many_receipts")));

    let ten = Value::Array(vec![receipt(PUSH, "opened", 0); 10]);
    assert_eq!(house.tell(&ten).await.0, 202);
    assert_eq!(house.tell(&ten).await.0, 429, "receipts count like fixes");
}
