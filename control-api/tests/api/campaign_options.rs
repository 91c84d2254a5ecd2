//! What campaigns say beyond a zone and a text: other triggers, times, limits, groups, options of messages.

use geopush_log::Topic;
use geopush_model::{
    ApnsPushType, Campaign, InterruptionLevel, Text, Trigger, Urgency, Weekday, Wire as _, ZoneChoice, ZoneId,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{House, house};

fn campaign(more: &Value) -> Value {
    let mut campaign = json!({"name": "Hello", "app": "shop", "trigger": {"type": "zone", "on": "enter"},
        "message": {"title": "Hi"}});
    campaign.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    campaign
}

async fn published(house: &House) -> Campaign {
    let records = house.records(Topic::Campaigns).await;
    Campaign::decode(records.last().unwrap().value.as_ref().unwrap()).unwrap()
}

/// Creates it, and asserts that what is answered says what was given, that it may be sent back, and that nothing
/// changes then.
async fn made(house: &House, body: &Value) -> (Value, Campaign) {
    let made = house.post("/v1/campaigns", body).await;
    assert_eq!(made.status, 201, "{body}: {}", made.text);
    let answer = made.json();
    for (member, value) in body.as_object().unwrap() {
        covers(&answer[member], value, member);
    }
    let path = format!("PUT {}", made.header("location"));
    let put = house.ask(&path, &[("if-match", "*")], made.text.clone()).await.ok();
    assert_eq!(put, answer, "what was answered may be sent back");
    let published = published(house).await;
    assert_eq!(published.version, 1);
    (answer, published)
}

/// Whether all that is in `given` is in `answer`, which may say more of what was left out.
fn covers(answer: &Value, given: &Value, at: &str) {
    match (answer, given) {
        (Value::Object(answer), Value::Object(given)) => {
            for (member, value) in given {
                covers(answer.get(member).unwrap_or(&Value::Null), value, &format!("{at}/{member}"));
            }
        }
        (Value::Array(answer), Value::Array(given)) if answer.len() == given.len() => {
            answer.iter().zip(given).for_each(|(answer, given)| covers(answer, given, at));
        }
        _ => assert_eq!(answer, given, "{at}"),
    }
}

#[tokio::test]
async fn every_trigger_reads_back() {
    let house = house().await;
    let zone = Uuid::from_u128(5);
    let zones = ZoneChoice { zone_ids: vec![ZoneId(zone)], zone_tags: vec!["shops".into()] };
    let event = |max_age_s| Trigger::Event { name: "order shipped".into(), max_age_s };
    let cases = [
        (
            json!({"type": "schedule", "cron": "30 9 * * MON-FRI"}),
            Trigger::Schedule { cron: "30 9 * * MON-FRI".into() },
        ),
        (
            json!({"type": "absence", "days": 30, "zone_ids": [zone], "zone_tags": ["shops"]}),
            Trigger::Absence { days: 30, zones },
        ),
        (json!({"type": "absence", "days": 88}), Trigger::Absence { days: 88, zones: ZoneChoice::default() }),
        (json!({"type": "event", "name": "order shipped"}), event(Some(900))),
        (json!({"type": "event", "name": "order shipped", "max_age_s": 60}), event(Some(60))),
        (json!({"type": "event", "name": "order shipped", "max_age_s": null}), event(None)),
    ];
    for (trigger, wanted) in cases {
        let (_, told) = made(&house, &campaign(&json!({"trigger": trigger}))).await;
        assert_eq!(told.trigger, wanted);
    }
}

#[tokio::test]
async fn times_limits_and_groups_read_back() {
    let house = house().await;
    let body = campaign(&json!({
        "starts_at": "2026-03-01T00:00:00.000Z", "ends_at": "2026-06-01T00:00:00.500Z",
        "hours": {"from": "09:00", "to": "02:30", "weekdays": ["sat", "mon"]}, "cooldown_s": 60,
        "ignores_caps": true, "ignores_quiet_hours": true, "holdout_percent": 100,
        "variants": [
            {"name": "warm", "weight": 1, "message": {"title": "Hello", "body": "", "data": {}}},
            {"name": "short", "weight": 1000, "message": {"title": "", "body": "Hi", "data": {"k": "v"}}}
        ]
    }));
    let (answer, told) = made(&house, &body).await;
    assert_eq!(told.starts_at.unwrap().0, 1_772_323_200_000);
    assert_eq!(told.ends_at.unwrap().0, 1_780_272_000_500);
    let hours = told.hours.unwrap();
    assert_eq!((hours.window.from.minutes(), hours.window.to.minutes()), (540, 150));
    assert_eq!(hours.weekdays, [Weekday::Sat, Weekday::Mon]);
    assert!(told.ignores_caps && told.ignores_quiet_hours && told.holdout_percent == 100);
    let variants: Vec<_> = told.variants.iter().map(|v| (v.name.as_str(), v.weight)).collect();
    assert_eq!(variants, [("warm", 1), ("short", 1000)]);
    assert_eq!(answer["message"]["title"], "Hi", "what there is besides variants stays");

    // A time of any offset is one of UTC; the same day or zone twice is one.
    let zone = Uuid::from_u128(5);
    let body = json!({"starts_at": "2026-03-01T02:00:00+02:00",
        "trigger": {"type": "absence", "days": 1, "zone_ids": [zone, zone]}, "hours": {"from": "08:00", "to": "08:00",
        "weekdays": ["mon", "mon"]}});
    let answer = house.post("/v1/campaigns", &campaign(&body)).await.json();
    assert_eq!(answer["starts_at"], "2026-03-01T00:00:00.000Z");
    assert_eq!(answer["hours"], json!({"from": "08:00", "to": "08:00", "weekdays": ["mon"]}));
    assert_eq!(answer["trigger"]["zone_ids"], json!([zone]));
}

#[tokio::test]
async fn where_there_are_variants_there_need_be_no_message() {
    let house = house().await;
    let mut body = campaign(&json!({"variants": [{"name": "a", "weight": 1, "message": {"title": "A"}}]}));
    body.as_object_mut().unwrap().remove("message");
    let (answer, told) = made(&house, &body).await;
    assert_eq!((&answer["message"], told.variants.len()), (&Value::Null, 1));
    for variants in [json!([]), Value::Null] {
        body["variants"] = variants;
        assert_eq!(house.post("/v1/campaigns", &body).await.pointers(), ["/message"]);
    }
}

#[tokio::test]
async fn every_option_of_a_message_reads_back() {
    let house = house().await;
    let message = json!({
        "title": "Hi {{ device.attributes.name | default('you') }}", "body": "See {{ zone.name }}",
        "data": {"screen": "offers"},
        "translations": {"es": {"title": "Hola", "body": ""}, "pt-BR": {"title": "", "body": "Oi"}},
        "image": "https://shop.example/a.png", "link": "shop://offers/7", "ttl_s": 3600,
        "analytics_label": "spring",
        "android": {"priority": "normal", "collapse_key": "offer", "channel_id": "offers", "direct_boot_ok": true,
            "sound": "ding", "icon": "tag", "color": "#FF6600"},
        "apns": {"push_type": "alert", "badge": 0, "sound": "default", "thread_id": "offers", "category": "OFFER",
            "subtitle": "Today", "mutable_content": true, "interruption_level": "time-sensitive", "priority": 5,
            "collapse_id": "offer"},
        "webpush": {"urgency": "very-low", "icon": "https://shop.example/i.png"}
    });
    let (answer, told) = made(&house, &campaign(&json!({"message": message}))).await;
    assert_eq!(answer["message"], message, "nothing more and nothing less");
    let told = told.message;
    assert_eq!(told.translations["pt-BR"], Text { title: String::new(), body: "Oi".into() });
    assert_eq!((told.apns.badge, told.apns.priority, told.ttl_s), (Some(0), Some(5), Some(3600)));
    assert_eq!(told.apns.interruption_level, Some(InterruptionLevel::TimeSensitive));
    assert_eq!(told.webpush.urgency, Some(Urgency::VeryLow));

    // One option of a platform shows them all; `null` is as good as left out.
    let message = json!({"apns": {"push_type": "background", "badge": null}, "image": null, "android": null});
    let (answer, told) = made(&house, &campaign(&json!({"message": message}))).await;
    assert_eq!(told.message.apns.push_type, ApnsPushType::Background);
    assert_eq!(answer["message"]["apns"]["mutable_content"], false);
}

#[tokio::test]
async fn every_wrong_option_is_named_by_its_pointer_and_code() {
    let house = house().await;
    let message = |more: Value| {
        let mut message = json!({"title": "Hi"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"message": message})
    };
    let variant = |more: Value| {
        let mut variant = json!({"name": "b", "weight": 1, "message": {"title": "B"}});
        variant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"variants": [{"name": "a", "weight": 1, "message": {"title": "A"}}, variant]})
    };
    let trigger = |trigger: Value| json!({"trigger": trigger});
    let cases = [
        (trigger(json!({"type": "weather"})), &["/trigger/type invalid_value"][..]),
        (trigger(json!({"type": 1})), &["/trigger/type wrong_type"]),
        (trigger(json!({"type": "schedule"})), &["/trigger/cron required"]),
        (trigger(json!({"type": "schedule", "cron": "often"})), &["/trigger/cron invalid_schedule"]),
        (trigger(json!({"type": "schedule", "cron": "* * * * * *"})), &["/trigger/cron invalid_schedule"]),
        (trigger(json!({"type": "schedule", "cron": "0 0 31 2 *"})), &["/trigger/cron invalid_schedule"]),
        (
            trigger(json!({"type": "schedule", "cron": "0 9 * * *", "on": "enter"})),
            &["/trigger/on unknown_member"],
        ),
        (trigger(json!({"type": "absence"})), &["/trigger/days required"]),
        (trigger(json!({"type": "absence", "days": 0})), &["/trigger/days out_of_range"]),
        (trigger(json!({"type": "absence", "days": 89})), &["/trigger/days out_of_range"]),
        (
            trigger(json!({"type": "absence", "days": 7, "zone_ids": ["x"], "max_age_s": 900})),
            &["/trigger/zone_ids/0 invalid_value", "/trigger/max_age_s unknown_member"],
        ),
        (trigger(json!({"type": "event"})), &["/trigger/name required"]),
        (trigger(json!({"type": "event", "name": "x".repeat(65)})), &["/trigger/name invalid_value"]),
        (
            trigger(json!({"type": "event", "name": "x", "max_age_s": -1})),
            &["/trigger/max_age_s out_of_range"],
        ),
        (json!({"starts_at": "tomorrow"}), &["/starts_at invalid_value"]),
        (json!({"starts_at": 1_767_225_600_000_i64}), &["/starts_at wrong_type"]),
        (
            json!({"starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z"}),
            &["/ends_at out_of_range"],
        ),
        (json!({"hours": "09:00-21:00"}), &["/hours wrong_type"]),
        (json!({"hours": {"from": "09:00"}}), &["/hours/to required"]),
        (
            json!({"hours": {"from": "9:00", "to": "24:00", "weekdays": ["monday"], "timezone": "UTC"}}),
            &[
                "/hours/from invalid_value",
                "/hours/to invalid_value",
                "/hours/weekdays/0 invalid_value",
                "/hours/timezone unknown_member",
            ],
        ),
        (json!({"ignores_caps": "yes"}), &["/ignores_caps wrong_type"]),
        (json!({"ignores_quiet_hours": 1}), &["/ignores_quiet_hours wrong_type"]),
        (json!({"holdout_percent": 101}), &["/holdout_percent out_of_range"]),
        (json!({"holdout_percent": 0.5}), &["/holdout_percent wrong_type"]),
        (json!({"variants": {}}), &["/variants wrong_type"]),
        (json!({"variants": vec![json!({}); 11]}), &["/variants too_many"]),
        (json!({"variants": ["a"]}), &["/variants/0 wrong_type"]),
        (
            json!({"variants": [{}]}),
            &["/variants/0/name required", "/variants/0/weight required", "/variants/0/message required"],
        ),
        (variant(json!({"name": "a"})), &["/variants/1/name conflicting"]),
        (variant(json!({"weight": 0})), &["/variants/1/weight out_of_range"]),
        (variant(json!({"weight": 1001})), &["/variants/1/weight out_of_range"]),
        (variant(json!({"message": {"title": 1}})), &["/variants/1/message/title wrong_type"]),
        (variant(json!({"message": {"body": ""}})), &["/variants/1/message required"]),
        (variant(json!({"message": {"title": "{{ 1 +"}})), &["/variants/1/message/title invalid_template"]),
        (message(json!({"body": "{{ device.attributes.name"})), &["/message/body invalid_template"]),
        (message(json!({"data": {"a/b": "{% macro x() %}"}})), &["/message/data/a~1b invalid_template"]),
        (
            message(json!({"translations": {"es": {"title": "{{ }}"}}})),
            &["/message/translations/es/title invalid_template"],
        ),
        (message(json!({"translations": ["es"]})), &["/message/translations wrong_type"]),
        (message(json!({"translations": {"es": "Hola"}})), &["/message/translations/es wrong_type"]),
        (message(json!({"translations": {"es": {}}})), &["/message/translations/es required"]),
        (message(json!({"translations": {"?": {"title": "x"}}})), &["/message/translations/? invalid_value"]),
        (
            message(json!({"translations": {"a/b": {"title": 1, "text": ""}}})),
            &[
                "/message/translations/a~1b/title wrong_type",
                "/message/translations/a~1b/text unknown_member",
            ],
        ),
        (message(json!({"image": "a.png"})), &["/message/image invalid_url"]),
        (message(json!({"link": 5})), &["/message/link wrong_type"]),
        (message(json!({"ttl_s": 0})), &["/message/ttl_s out_of_range"]),
        (message(json!({"ttl_s": 2_419_201})), &["/message/ttl_s out_of_range"]),
        (message(json!({"ttl_s": "1h"})), &["/message/ttl_s wrong_type"]),
        (message(json!({"analytics_label": "a b"})), &["/message/analytics_label invalid_value"]),
        (message(json!({"android": "high"})), &["/message/android wrong_type"]),
        (
            message(
                json!({"android": {"priority": "urgent", "color": "red", "direct_boot_ok": 1, "ttl": 1}}),
            ),
            &[
                "/message/android/priority invalid_value",
                "/message/android/direct_boot_ok wrong_type",
                "/message/android/ttl unknown_member",
            ],
        ),
        (message(json!({"android": {"color": "red"}})), &["/message/android/color invalid_value"]),
        (
            message(
                json!({"apns": {"push_type": "voip", "badge": -1, "interruption_level": "loud", "priority": "10"}}),
            ),
            &[
                "/message/apns/push_type invalid_value",
                "/message/apns/badge out_of_range",
                "/message/apns/interruption_level invalid_value",
                "/message/apns/priority wrong_type",
            ],
        ),
        (message(json!({"apns": {"priority": 7}})), &["/message/apns/priority out_of_range"]),
        (
            message(json!({"webpush": {"urgency": "now", "badge": "x"}})),
            &["/message/webpush/urgency invalid_value", "/message/webpush/badge unknown_member"],
        ),
    ];
    for (more, wanted) in cases {
        let answer = house.post("/v1/campaigns", &campaign(&more)).await;
        assert_eq!(answer.status, 422, "{more}: {}", answer.text);
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        let text = |error: &Value, member: &str| error[member].as_str().unwrap().to_owned();
        let told: Vec<_> =
            errors.iter().map(|e| format!("{} {}", text(e, "pointer"), text(e, "code"))).collect();
        assert_eq!(told, wanted, "{more}");
    }
    assert_eq!(house.get("/v1/campaigns").await.ok()["data"], json!([]));
}
