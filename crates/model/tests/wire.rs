//! Everything that travels on the log comes back as it was sent, and bytes that are something else are refused.
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::collections::BTreeMap;

use geopush_geometry::Position;
use geopush_model::{
    AndroidOptions, AndroidPriority, ApiKey, ApnsOptions, ApnsPushType, App, Campaign, CampaignId,
    CampaignRun, CampaignStatus, Caps, CauseId, Config, ConfigItem, DailyWindow, Delivery, DeviceEntry,
    DeviceEvent, DeviceId, DeviceState, ExitReason, Fix, Held, Hours, InterruptionLevel, Job, KeyHash,
    KeyKind, Membership, Message, Origin, Outcome, Ping, PingKind, PlanState, Provider, Push, PushId,
    PushRequest, QuietHours, QuietHoursThen, Reason, Removal, Request, Retry, SendId, SentMessage, Source,
    TenantId, TenantSettings, Text, Transition, TransitionId, TransitionKind, Trigger, TriggerKind,
    UnixMillis, Urgency, Variant, WebpushOptions, Weekday, Weight, Wire, WireError, Work, Zone, ZoneChoice,
    ZoneId, ZoneTrigger,
};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const ZONE: ZoneId = ZoneId(Uuid::from_u128(2));

fn device() -> DeviceId {
    DeviceId::new("žluťoučký/1").unwrap()
}

fn fix() -> Fix {
    Fix {
        position: Position::new(-179.999_999_9, 41.3).unwrap(),
        time: UnixMillis(-1_000),
        accuracy_m: Some(0.1),
        speed_mps: None,
        heading_deg: Some(0.0),
        id: Some("f".into()),
    }
}

fn comes_back<T: Wire + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(T::decode(&value.encode()).as_ref(), Ok(value));
    assert!(T::decode(b"\xff\xff").is_err(), "bytes of nothing were taken for {value:?}");
}

#[test]
fn pings_and_transitions_come_back() {
    for kind in [PingKind::Forget, PingKind::Fixes(vec![fix(), Fix::at(fix().position, UnixMillis(5))])] {
        comes_back(&Ping { tenant: TENANT, device: device(), received_at: UnixMillis(7), kind });
    }
    let reasons = [
        ExitReason::Left,
        ExitReason::ZoneRemoved,
        ExitReason::ZoneChanged,
        ExitReason::DeviceRemoved,
        ExitReason::Expired,
    ];
    let exits = reasons.map(TransitionKind::Exit);
    for kind in [TransitionKind::Enter, TransitionKind::Dwell].into_iter().chain(exits) {
        comes_back(&Transition {
            id: TransitionId::of(TENANT, &device(), ZONE, kind, UnixMillis(3)),
            seq: 4,
            tenant: TENANT,
            device: device(),
            zone: ZONE,
            zone_external_id: Some("shop".into()),
            kind,
            at: UnixMillis(3),
            fix: fix(),
            initial: true,
            dwell_s: Some(0),
            zone_version: 2,
            incarnation: UnixMillis(1),
            received_at: None,
        });
    }
}

#[test]
fn state_comes_back() {
    let membership = Membership {
        zone: ZONE,
        zone_external_id: None,
        since: UnixMillis(1),
        dwelled: true,
        zone_version: 3,
    };
    let entry = DeviceEntry {
        tenant: TENANT,
        device: device(),
        incarnation: UnixMillis(1),
        seq: 9,
        last_fix: fix(),
        last_received: UnixMillis(8),
        memberships: vec![membership],
    };
    comes_back(&DeviceState { devices: vec![entry], as_of: 12 });
    comes_back(&PlanState {
        incarnation: UnixMillis(1),
        seq: 3,
        cooldowns: BTreeMap::from([(CampaignId(Uuid::from_u128(5)), UnixMillis(6))]),
        requests: vec![CauseId(Uuid::from_u128(7))],
        pushed_at: vec![UnixMillis(4)],
        held: [None, Some(SentMessage { app: "shop".into(), message: message() })]
            .map(|sent| Held {
                origin: Origin {
                    source: Source::Campaign(CampaignId(Uuid::from_u128(5))),
                    cause: CauseId(Uuid::from_u128(8)),
                },
                until: UnixMillis(9),
                at: UnixMillis(1),
                received_at: None,
                held_at: UnixMillis(2),
                context: serde_json::json!({"zone": {"name": "Shop"}}),
                sent,
            })
            .into(),
        absences: BTreeMap::from([(CampaignId(Uuid::from_u128(5)), UnixMillis(3))]),
    });
}

#[test]
fn what_merchants_configure_comes_back() {
    let shape = serde_json::json!({"type": "circle", "center": [2.1, 41.3], "radius_m": 50.0});
    let Ok(shape) = geopush_geometry::Shape::from_json(&shape) else { panic!("a valid circle was refused") };
    comes_back(&Zone {
        tenant: TENANT,
        id: ZONE,
        external_id: Some("shop".into()),
        location_id: None,
        name: "Shop".into(),
        shape,
        exit_buffer_m: Some(0.0),
        dwell_s: Some(60),
        max_accuracy_m: None,
        active: true,
        tags: vec!["a".into()],
        metadata: serde_json::from_str(r#"{"k":[1,null]}"#).unwrap(),
        version: 3,
        created_at: UnixMillis(1),
        updated_at: UnixMillis(2),
        deleted: false,
        removal: Some(Removal { version: 2, at: UnixMillis(2) }),
    });
    let zones = ZoneChoice { zone_ids: vec![ZONE], zone_tags: vec!["a".into()] };
    let on_zones = [TriggerKind::Enter, TriggerKind::Exit, TriggerKind::Dwell]
        .map(|on| Trigger::Zone(ZoneTrigger { on, zones: zones.clone(), max_age_s: None, on_initial: true }));
    let others = [
        Trigger::Schedule { cron: "0 9 * * 1".into() },
        Trigger::Absence { days: 30, zones },
        Trigger::Event { name: "paid".into(), max_age_s: Some(60) },
    ];
    for trigger in on_zones.into_iter().chain(others) {
        let json = serde_json::to_string(&trigger).unwrap();
        assert_eq!(serde_json::from_str::<Trigger>(&json).unwrap(), trigger, "{json}");
        comes_back(&campaign(trigger));
    }
    let items = [
        ConfigItem::Tenant(TenantSettings { name: "T".into(), ..TenantSettings::default() }),
        ConfigItem::Tenant(TenantSettings {
            name: "T".into(),
            detect_crossings: true,
            timezone: Some("Europe/Madrid".into()),
            quiet_hours: Some(QuietHours { window: overnight(), then: QuietHoursThen::Drop }),
            caps: Caps { per_hour: Some(1), per_day: None, per_week: Some(7) },
            quota_per_day: Some(0),
            weight: Weight::MOST,
        }),
        ConfigItem::Key(ApiKey { hash: KeyHash([7; 32]), kind: KeyKind::Publishable, revoked: true }),
        ConfigItem::App(App {
            name: "shop".into(),
            sealed: bytes::Bytes::from_static(b"x"),
            fcm: true,
            apns: false,
            deleted: false,
        }),
        ConfigItem::Gone(DeviceId::new("käse/1").unwrap()),
    ];
    for item in items {
        comes_back(&Config { tenant: TENANT, version: 2, item });
    }
}

#[test]
fn a_tenant_from_before_there_was_a_choice_detects_no_crossings() {
    let mut bytes = vec![0x0a, 16];
    bytes.extend(TENANT.0.as_bytes());
    bytes.extend([0x10, 2, 0x1a, 3, 0x0a, 1, b'T']); // version 1, settings of a name alone
    let item = ConfigItem::Tenant(TenantSettings { name: "T".into(), ..TenantSettings::default() });
    assert_eq!(Config::decode(&bytes), Ok(Config { tenant: TENANT, version: 1, item }));
}

fn overnight() -> DailyWindow {
    DailyWindow { from: "22:00".parse().unwrap(), to: "07:30".parse().unwrap() }
}

fn campaign(trigger: Trigger) -> Campaign {
    let id = CampaignId(Uuid::from_u128(5));
    Campaign {
        name: "Welcome".into(),
        status: CampaignStatus::Active,
        starts_at: Some(UnixMillis(0)),
        ends_at: Some(UnixMillis(9)),
        hours: Some(Hours { window: overnight(), weekdays: vec![Weekday::Mon, Weekday::Sun] }),
        cooldown_s: 60,
        ignores_caps: true,
        ignores_quiet_hours: true,
        audience: Some(serde_json::json!({"tag": "vip"})),
        holdout_percent: 10,
        variants: vec![Variant { name: "b".into(), weight: 2, message: message() }],
        deleted: true,
        ..Campaign::draft(TENANT, id, "shop", trigger, message(), UnixMillis(1))
    }
}

/// One in which nothing is as it is by default.
fn message() -> Message {
    let text = Text { title: "Hallo".into(), body: "Du".into() };
    Message {
        title: "Hi".into(),
        body: "There".into(),
        data: BTreeMap::from([("k".into(), "v".into())]),
        translations: BTreeMap::from([("de".into(), text)]),
        image: Some("https://a.example/i.png".into()),
        link: Some("shop://sale".into()),
        ttl_s: Some(60),
        analytics_label: Some("l".into()),
        android: AndroidOptions {
            priority: AndroidPriority::Normal,
            collapse_key: Some("c".into()),
            channel_id: Some("ch".into()),
            direct_boot_ok: true,
            sound: Some("default".into()),
            icon: Some("i".into()),
            color: Some("#112233".into()),
        },
        apns: ApnsOptions {
            push_type: ApnsPushType::Background,
            badge: Some(0),
            sound: Some("default".into()),
            thread_id: Some("t".into()),
            category: Some("c".into()),
            subtitle: Some("s".into()),
            mutable_content: true,
            interruption_level: Some(InterruptionLevel::TimeSensitive),
            priority: Some(5),
            collapse_id: Some("ci".into()),
        },
        webpush: WebpushOptions { urgency: Some(Urgency::VeryLow), icon: Some("i".into()) },
    }
}

#[test]
fn a_message_reads_back_from_json_and_a_plain_one_says_no_more_than_it_has() {
    let json = serde_json::to_string(&message()).unwrap();
    assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message());
    let plain = Message { title: "Hi".into(), ..Message::default() };
    let json = serde_json::to_value(&plain).unwrap();
    assert_eq!(json, serde_json::json!({"title": "Hi", "body": "", "data": {}}));
    assert_eq!(serde_json::from_value::<Message>(json).unwrap(), plain);
}

#[test]
fn pushes_and_their_ends_come_back() {
    let send = SendId(Uuid::from_u128(7));
    let cause = CauseId(Uuid::from_u128(8));
    for source in [Source::Send(send), Source::Campaign(CampaignId(Uuid::from_u128(5)))] {
        let origin = Origin { source, cause };
        let id = PushId::of(TENANT, source.id(), &device(), cause);
        let push = Push {
            id,
            tenant: TENANT,
            device: device(),
            origin,
            app: "shop".into(),
            provider: Provider::Apns,
            token: "t".into(),
            token_at: UnixMillis(1),
            message: message().into(),
            created_at: UnixMillis(2),
            expires_at: UnixMillis(3),
            received_at: Some(UnixMillis(1)),
            variant: Some("b".into()),
        };
        comes_back(&push);
        comes_back(&Retry { push, attempts: 2, failures: 1, deferrals: 3, not_before: UnixMillis(5) });
        for &outcome in Outcome::ALL {
            for reason in Reason::ALL.iter().copied().map(Some).chain([None]) {
                comes_back(&Delivery {
                    push: id,
                    tenant: TENANT,
                    device: device(),
                    origin,
                    app: "shop".into(),
                    provider: None,
                    outcome,
                    reason,
                    attempts: 2,
                    created_at: UnixMillis(2),
                    finished_at: UnixMillis(3),
                    provider_message_id: Some("m".into()),
                    dead_token: None,
                    variant: Some("b".into()),
                    deferrals: 1,
                    dead_letter: Some(message()),
                });
            }
        }
    }
    let run = CampaignRun { campaign: CampaignId(Uuid::from_u128(5)), at: UnixMillis(60_000), shards: 4 };
    for work in [Work::Send(send), Work::Run(run)] {
        comes_back(&Job {
            work,
            cursor: Some(device()),
            expanded: 5,
            not_before: Some(UnixMillis(9)),
            ..job(send)
        });
    }
    let event = DeviceEvent {
        id: cause,
        name: "paid".into(),
        at: UnixMillis(4),
        properties: serde_json::json!({"amount": 3}),
    };
    let sent = SentMessage { app: "shop".into(), message: message() }.into();
    for request in [Request::Send { send, sent }, Request::Run(run), Request::Event(event)] {
        comes_back(&PushRequest { tenant: TENANT, device: device(), request, requested_at: UnixMillis(1) });
    }
}

fn job(send: SendId) -> Job {
    Job { tenant: TENANT, work: Work::Send(send), shard: 3, cursor: None, expanded: 0, not_before: None }
}

#[test]
fn a_value_of_another_type_names_the_member_that_it_lacks() {
    let job = job(SendId(Uuid::from_u128(7)));
    assert!(matches!(Push::decode(&job.encode()), Err(WireError::Protobuf(_))));
    let request = Job { shard: 0, ..job };
    assert_eq!(PushRequest::decode(&request.encode()), Err(WireError::Member("device")));
    assert_eq!(Ping::decode(b""), Err(WireError::Member("tenant")));
}
