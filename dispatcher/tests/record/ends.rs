//! What is an end and what is not, and the rows that only some ends have.

use std::collections::{BTreeMap, BTreeSet};

use geopush_model::{CampaignId, Delivery, Message, Outcome, Reason, SendId, Source};
use geopush_registry::message_of;
use geopush_store::tables::{
    DeadLetterHourRow, DeadLetterRow, DeliveryByDeviceRow, PushRow, SHARDS, hour_of, id_shard, month_of,
};
use uuid::Uuid;

use crate::house::{APP, House, NOW, TENANT};
use crate::scene::{OUTCOMES, all, delivery, delivery_record, rows_of_source, totals};

fn campaign() -> Source {
    Source::Campaign(CampaignId(Uuid::from_u128(1)))
}

fn put_off(end: &Delivery, deferrals: u32) -> Delivery {
    Delivery {
        outcome: Outcome::Deferred,
        reason: Some(Reason::ProviderUnavailable),
        deferrals,
        dead_letter: None,
        ..end.clone()
    }
}

fn dead_letter(end: Delivery) -> Delivery {
    let message =
        Message { title: "Hello Ann".to_owned(), body: "50 % off".to_owned(), ..Message::default() };
    Delivery { reason: Some(Reason::BadMessage), dead_letter: Some(message), ..end }
}

async fn push(house: &House, delivery: &Delivery) -> Option<PushRow> {
    house.store.get::<PushRow>(&(TENANT.0, delivery.push.0), &()).await.unwrap()
}

/// The dead letters, found as readers find them: by the list of hours.
async fn dead_letters(house: &House) -> Vec<DeadLetterRow> {
    let mut rows = Vec::new();
    for hour in all::<DeadLetterHourRow>(house, (TENANT.0,)).await {
        for shard in 0..SHARDS {
            rows.extend(all::<DeadLetterRow>(house, (TENANT.0, hour.hour, shard)).await);
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_was_put_off_has_no_row_until_it_ends() {
    let mut house = House::new().await;
    house.start_record();
    let end = Delivery { deferrals: 2, ..delivery("d1", 1, campaign(), Outcome::Accepted) };
    let waits = delivery("d1", 2, campaign(), Outcome::Accepted);
    let records = [put_off(&end, 1), put_off(&waits, 1), put_off(&end, 2), end.clone()];
    house.append(records.iter().map(delivery_record)).await;
    house
        .eventually("the end", async || totals(&house, campaign().id()).await.get("accepted").copied())
        .await;
    house.stop().await;
    let rows = rows_of_source(&house, campaign().id()).await;
    assert_eq!(
        rows.iter().map(|row| (row.push, row.outcome.as_str())).collect::<Vec<_>>(),
        [(end.push.0, "accepted")]
    );
    assert_eq!(totals(&house, campaign().id()).await.values().sum::<i64>(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_that_a_phone_may_show_are_found_by_their_ids() {
    let mut house = House::new().await;
    house.start_record();
    let ends = [
        (delivery("d1", 1, campaign(), Outcome::Accepted), true),
        (delivery("d2", 2, campaign(), Outcome::Expired), true),
        (Delivery { attempts: 0, ..delivery("d2", 3, campaign(), Outcome::Expired) }, false),
        (delivery("d1", 4, campaign(), Outcome::Suppressed), false),
        (delivery("d1", 5, campaign(), Outcome::Failed), false),
        (dead_letter(delivery("d1", 6, campaign(), Outcome::Failed)), true),
    ];
    house.append(ends.iter().map(|(end, _)| delivery_record(end))).await;
    house
        .eventually("the totals", async || {
            (totals(&house, campaign().id()).await.values().sum::<i64>() == 6).then_some(())
        })
        .await;
    house.stop().await;
    for (end, is_found) in ends {
        let row = push(&house, &end).await;
        assert_eq!(row.is_some(), is_found, "{end:?}");
        if let Some(row) = row {
            assert_eq!((row.device.as_str(), row.source), (end.device.as_str(), campaign().id()));
            assert_eq!(row.created_at.0, end.created_at.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_kept_with_its_message_and_its_variant() {
    let mut house = House::new().await;
    house.start_record();
    let end = Delivery {
        variant: Some("b".to_owned()),
        ..dead_letter(delivery("d1", 7, Source::Send(SendId(Uuid::from_u128(2))), Outcome::Failed))
    };
    house.append([delivery_record(&end)]).await;
    house
        .eventually("the totals", async || {
            totals(&house, end.origin.source.id()).await.get("failed").copied()
        })
        .await;
    house.stop().await;
    let rows = dead_letters(&house).await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.hour, row.shard), (hour_of(end.created_at.0), id_shard(end.push.0)));
    assert_eq!((row.push, row.device.as_str(), row.app.as_str()), (end.push.0, "d1", APP));
    assert_eq!((row.campaign, row.send), (None, Some(Uuid::from_u128(2))));
    assert_eq!((row.reason.as_str(), row.variant.as_deref(), row.attempts), ("bad_message", Some("b"), 1));
    assert_eq!(message_of(&row.message), end.dead_letter);
    let by_device = all::<DeliveryByDeviceRow>(&house, (TENANT.0, "d1".into(), month_of(NOW))).await;
    assert_eq!(by_device[0].variant.as_deref(), Some("b"));
    assert_eq!(rows_of_source(&house, Uuid::from_u128(2)).await[0].variant.as_deref(), Some("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_has_its_rows_and_its_count_through_kills_and_deferrals() {
    let mut house = House::new().await;
    let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut found_by_id, mut dead) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..6_u128 {
        house.start_record();
        for n in round * 60..(round + 1) * 60 {
            let outcome = OUTCOMES[usize::try_from(n % 4).unwrap()];
            let mut end = delivery(&format!("d{}", n % 7), n, campaign(), outcome);
            if outcome == Outcome::Failed && n % 3 == 0 {
                end = dead_letter(end);
                dead.insert(end.push.0);
            }
            if end.dead_letter.is_some() || matches!(outcome, Outcome::Accepted | Outcome::Expired) {
                found_by_id.insert(end.push.0);
            }
            *expected.entry(outcome.as_str()).or_default() += 1;
            let deferrals = u32::try_from(n % 3).unwrap();
            let mut records: Vec<_> = (1..=deferrals).map(|i| delivery_record(&put_off(&end, i))).collect();
            // What is not known to be written is written again.
            records.extend(vec![delivery_record(&end); if n % 5 == 0 { 2 } else { 1 }]);
            house.append(records).await;
        }
        let some = usize::try_from(round).unwrap() * 45;
        house
            .eventually("some of the rows", async || {
                (rows_of_source(&house, campaign().id()).await.len() >= some).then_some(())
            })
            .await;
        house.kill().await;
    }
    house.start_record();
    house
        .eventually("the totals", async || (totals(&house, campaign().id()).await == expected).then_some(()))
        .await;
    house.stop().await;
    assert_eq!(totals(&house, campaign().id()).await, expected, "and nothing is added later");
    let rows = rows_of_source(&house, campaign().id()).await;
    assert_eq!(rows.len(), 360);
    for row in rows {
        let is_found = house.store.get::<PushRow>(&(TENANT.0, row.push), &()).await.unwrap().is_some();
        assert_eq!(is_found, found_by_id.contains(&row.push), "{row:?}");
    }
    let kept: Vec<Uuid> = dead_letters(&house).await.into_iter().map(|row| row.push).collect();
    assert_eq!((kept.len(), BTreeSet::from_iter(kept)), (dead.len(), dead));
}
