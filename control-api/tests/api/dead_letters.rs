//! Dead letters: listed, read, and sent anew.

use geopush_campaign::MessageTemplate;
use geopush_log::Topic;
use geopush_model::{Job, Message, Wire as _, Work};
use geopush_registry::{message_json, message_of};
use geopush_store::Timestamp;
use geopush_store::tables::{
    DeadLetterHourRow, DeadLetterRow, PushRow, SendRow, SendTargetRow, hour_of, id_shard,
};
use serde_json::json;
use uuid::Uuid;

use crate::house::{House, NOW, house};

const HOUR: i64 = 3_600_000;

fn id(i: i64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &i.to_be_bytes())
}

/// A message that was filled in already, with what only looks like a template.
fn message() -> Message {
    Message { title: "50 % {{ off }}".to_owned(), body: "Dear Ann".to_owned(), ..Message::default() }
}

/// Writes 20 dead letters, half an hour apart, as the dispatcher does.
async fn dead_letters(house: &House) {
    let tenant = house.tenant.tenant.0;
    for i in 0..20 {
        let at = NOW + i * HOUR / 2;
        let letter = DeadLetterRow {
            tenant,
            hour: hour_of(at),
            shard: id_shard(id(i)),
            created_at: Timestamp(at),
            push: id(i),
            device: "d".into(),
            app: "shop".into(),
            campaign: Some(Uuid::from_u128(5)),
            send: None,
            variant: Some("a".into()),
            provider: Some("apns".into()),
            reason: "bad_message".into(),
            attempts: 1,
            finished_at: Timestamp(at + 7),
            message: message_json(&message()),
        };
        let source = Uuid::from_u128(5);
        let push = PushRow { tenant, push: id(i), device: "d".into(), source, created_at: Timestamp(at) };
        house.store.put(DeadLetterHourRow { tenant, hour: hour_of(at) }).await.unwrap();
        house.store.put(letter).await.unwrap();
        house.store.put(push).await.unwrap();
    }
}

#[tokio::test]
async fn dead_letters_are_told_by_time_and_by_id() {
    let house = house().await;
    assert_eq!(house.get("/v1/dead-letters").await.ok(), json!({"data": [], "next_cursor": null}));
    dead_letters(&house).await;
    house.whole_at_every_cut("/v1/dead-letters", 20, "push_id").await;
    let wanted = json!({
        "push_id": id(0), "device_id": "d", "campaign_id": Uuid::from_u128(5), "send_id": null, "variant": "a",
        "app": "shop", "provider": "apns", "reason": "bad_message", "attempts": 1,
        "created_at": "2026-01-01T00:00:00.000Z", "finished_at": "2026-01-01T00:00:00.007Z",
        "message": {"title": "50 % {{ off }}", "body": "Dear Ann", "data": {}}
    });
    assert_eq!(house.pages("/v1/dead-letters", 3, "asc").await.0[0], wanted);
    assert_eq!(house.get(&format!("/v1/dead-letters/{}", id(0))).await.ok(), wanted);
    let range = "/v1/dead-letters?from=2026-01-01T00:30:00Z&to=2026-01-01T02:30:00Z";
    let ids: Vec<_> = house.pages(range, 2, "desc").await.0.iter().map(|d| d["push_id"].clone()).collect();
    assert_eq!(ids, [4, 3, 2, 1].map(|i| json!(id(i))));

    for unknown in [id(99).to_string(), "x".to_owned()] {
        assert_eq!(house.get(&format!("/v1/dead-letters/{unknown}")).await.problem().0, 404);
    }
    for call in [format!("GET /v1/dead-letters/{}", id(0)), format!("POST /v1/dead-letters/{}/replay", id(0))]
    {
        assert_eq!(house.ask_with(&house.other.secret_key, &call, &[], "").await.problem().0, 404);
    }
}

#[tokio::test]
async fn a_replay_is_a_send_to_that_device_that_says_exactly_that() {
    let house = house().await;
    dead_letters(&house).await;
    let call = format!("POST /v1/dead-letters/{}/replay", id(3));
    let answer = house.ask(&call, &[("idempotency-key", "once")], "").await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let send: Uuid = answer.json()["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/sends/{send}"));
    let again = house.ask(&call, &[("idempotency-key", "once")], "").await;
    assert_eq!(again.json()["id"], json!(send), "it is sent anew once");

    let tenant = house.tenant.tenant.0;
    let row = house.store.get::<SendRow>(&(tenant,), &(send,)).await.unwrap().unwrap();
    assert_eq!((row.app.as_str(), row.targeted), ("shop", 1));
    let target = house.store.get::<SendTargetRow>(&(tenant, send, 0), &("d".to_owned(),)).await.unwrap();
    assert!(target.is_some());
    let jobs: Vec<Job> = house
        .records(Topic::Jobs)
        .await
        .iter()
        .map(|r| Job::decode(r.value.as_ref().unwrap()).unwrap())
        .collect();
    assert_eq!(
        jobs.iter().map(|job| job.work).collect::<Vec<_>>(),
        [Work::Send(geopush_model::SendId(send))]
    );

    // What plan makes of it is what failed, letter for letter.
    let template = MessageTemplate::parse(&message_of(&row.message).unwrap()).unwrap();
    assert_eq!(template.render(None, || json!({"off": "!"})).unwrap(), message());
    let status = house.get(&format!("/v1/sends/{send}")).await.ok();
    assert_eq!((&status["targeted"], &status["pending"]), (&json!(1), &json!(1)));
}
