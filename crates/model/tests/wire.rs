//! Everything that travels on the log comes back as it was sent, and bytes that are something else are refused.
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::collections::BTreeMap;

use geopush_geometry::Position;
use geopush_model::{
    ApiKey, App, Campaign, CampaignId, CampaignStatus, CauseId, Config, ConfigItem, Delivery, DeviceEntry,
    DeviceId, DeviceState, ExitReason, Fix, Job, KeyHash, KeyKind, Membership, Message, Origin, Outcome,
    Ping, PingKind, PlanState, Provider, Push, PushId, PushRequest, Reason, Removal, SendId, Source,
    TenantId, Transition, TransitionId, TransitionKind, Trigger, TriggerKind, UnixMillis, Wire, WireError,
    Zone, ZoneId,
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
        sends: vec![SendId(Uuid::from_u128(7))],
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
    for on in [TriggerKind::Enter, TriggerKind::Exit, TriggerKind::Dwell] {
        comes_back(&Campaign {
            tenant: TENANT,
            id: CampaignId(Uuid::from_u128(5)),
            name: "Welcome".into(),
            app: "shop".into(),
            status: CampaignStatus::Active,
            trigger: Trigger {
                on,
                zone_ids: vec![ZONE],
                zone_tags: vec!["a".into()],
                max_age_s: None,
                on_initial: true,
            },
            cooldown_s: 60,
            audience: Some(serde_json::json!({"tag": "vip"})),
            message: message(),
            version: 1,
            created_at: UnixMillis(1),
            updated_at: UnixMillis(1),
            deleted: true,
        });
    }
    let items = [
        ConfigItem::Tenant { name: "T".into(), detect_crossings: false },
        ConfigItem::Tenant { name: "T".into(), detect_crossings: true },
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
    let item = ConfigItem::Tenant { name: "T".into(), detect_crossings: false };
    assert_eq!(Config::decode(&bytes), Ok(Config { tenant: TENANT, version: 1, item }));
}

fn message() -> Message {
    Message { title: "Hi".into(), body: "There".into(), data: BTreeMap::from([("k".into(), "v".into())]) }
}

#[test]
fn pushes_and_their_ends_come_back() {
    let send = SendId(Uuid::from_u128(7));
    let cause = CauseId(Uuid::from_u128(8));
    for source in [Source::Send(send), Source::Campaign(CampaignId(Uuid::from_u128(5)))] {
        let origin = Origin { source, cause };
        let id = PushId::of(TENANT, source.id(), &device(), cause);
        comes_back(&Push {
            id,
            tenant: TENANT,
            device: device(),
            origin,
            app: "shop".into(),
            provider: Provider::Apns,
            token: "t".into(),
            token_at: UnixMillis(1),
            message: message(),
            created_at: UnixMillis(2),
            expires_at: UnixMillis(3),
            received_at: Some(UnixMillis(1)),
        });
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
                });
            }
        }
    }
    comes_back(&Job { tenant: TENANT, send, shard: 3, cursor: Some(device()) });
    comes_back(&PushRequest {
        tenant: TENANT,
        device: device(),
        send,
        app: "shop".into(),
        message: message(),
        requested_at: UnixMillis(1),
    });
}

#[test]
fn a_value_of_another_type_names_the_member_that_it_lacks() {
    let job = Job { tenant: TENANT, send: SendId(Uuid::from_u128(7)), shard: 3, cursor: None };
    assert!(matches!(Push::decode(&job.encode()), Err(WireError::Protobuf(_))));
    let request = Job { shard: 0, ..job };
    assert_eq!(PushRequest::decode(&request.encode()), Err(WireError::Member("device")));
    assert_eq!(Ping::decode(b""), Err(WireError::Member("tenant")));
}
