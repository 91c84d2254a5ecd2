//! The checker on a small history that a right system had, and on what bugs would make of it.

use std::collections::{BTreeMap, BTreeSet};

use geopush_geofence::engine::{Reference, Rules};
use geopush_geometry::{Position, Shape};
use geopush_model::{
    CampaignId, CauseId, Delivery, DeviceId, Fix, Origin, Outcome, Ping, PingKind, PushId, Reason, SendId,
    Source, TenantId, Transition, TransitionKind, UnixMillis, Zone, ZoneId,
};
use serde_json::json;
use uuid::Uuid;

use super::pushes::{Decision, decisions};
use super::told::row;
use super::{Kind, check};
use crate::history::{
    Asked, Campaign, End, Fate, History, On, Phone, Request, Seen, Send, Taken, Told, Totals, Version,
};

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
/// When the change of the second zone was answered.
const CHANGED: u64 = 500;

fn device() -> DeviceId {
    DeviceId::new("phone").expect("a device id")
}

fn shy() -> DeviceId {
    DeviceId::new("shy").expect("a device id")
}

/// A circle of 100 m on the equator; `lon` is in units of about 111 m.
fn zone(number: u128, version: i64, lon: f64) -> Zone {
    let center = Position::new(lon / 1_000.0, 0.0).expect("a position");
    Zone {
        external_id: Some(format!("zone-{number}")),
        exit_buffer_m: Some(0.0),
        dwell_s: Some(15),
        version,
        updated_at: UnixMillis(1_000_000),
        ..Zone::new(
            TENANT,
            ZoneId(Uuid::from_u128(number)),
            "",
            Shape::circle(center, 100.0).expect("a circle"),
            UnixMillis(0),
        )
    }
}

/// At `lon` (see [`zone`]) at a time in seconds, sent at a moment.
fn request(sent: u64, fixes: &[(f64, i64)]) -> Request {
    let fix = |(lon, s): &(f64, i64)| {
        Fix::at(Position::new(lon / 1_000.0, 0.0).expect("a position"), UnixMillis(s * 1_000))
    };
    Request { fixes: fixes.iter().map(fix).collect(), sent, fate: Fate::Accepted }
}

/// Through the first zone, stays in the second, which moves away and comes back under it.
fn requests() -> Vec<Request> {
    vec![
        request(100, &[(0.0, 10), (0.1, 20), (5.0, 30)]),
        request(200, &[(10.0, 40), (10.1, 60)]),
        request(300, &[(10.2, 70)]),
        request(600, &[(10.0, 80)]),
        request(700, &[(5.0, 90), (0.0, 100)]),
    ]
}

fn versions() -> BTreeMap<ZoneId, Vec<Version>> {
    let version = |zone, answered| Version { zone, answered: Some(answered) };
    BTreeMap::from([
        (ZoneId(Uuid::from_u128(7)), vec![version(zone(7, 1, 0.0), 1)]),
        (ZoneId(Uuid::from_u128(8)), vec![version(zone(8, 1, 10.0), 2), version(zone(8, 2, 30.0), CHANGED)]),
    ])
}

/// What the reference says when the change comes before request `turn`, counted from 0.
fn transitions(device: &DeviceId, requests: &[Request], turn: usize) -> Vec<Transition> {
    let mut reference = Reference::new(TENANT, Rules::default());
    let versions = versions();
    for zone in versions.values() {
        reference.zone_changed(zone[0].zone.clone());
    }
    let mut all = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        if number == turn {
            all.extend(reference.zone_changed(versions[&ZoneId(Uuid::from_u128(8))][1].zone.clone()));
        }
        for fix in &request.fixes {
            all.extend(reference.fix(device, fix, UnixMillis(5)));
        }
    }
    all
}

/// The history of a right system in which the change came before request `turn`.
fn right(turn: usize) -> History {
    let phone =
        |token: &str, wants_pushes| Phone { token: token.to_owned(), wants_pushes, requests: requests() };
    let phones = BTreeMap::from([(device(), phone("token", true)), (shy(), phone("hush", false))]);
    let campaign = |id, on, cooldown_s| Campaign { id: CampaignId(Uuid::from_u128(id)), on, cooldown_s };
    let totals = Totals { targeted: 2, accepted: 1, suppressed: 1, ..Totals::default() };
    let under_way = Totals { targeted: 2, pending: 2, ..Totals::default() };
    let asked = Asked {
        tenant: TENANT,
        phones,
        zones: versions(),
        campaigns: vec![campaign(20, On::Enter, 0), campaign(21, On::Exit, 3_600)],
        sends: vec![Send {
            id: SendId(Uuid::from_u128(30)),
            to: BTreeSet::from([device(), shy()]),
            told: vec![under_way, totals],
        }],
    };
    let mut history = History { asked, seen: Seen::default() };
    for (device, phone) in &history.asked.phones {
        history.seen.transitions.extend(transitions(device, &phone.requests, turn));
        history.seen.pings.extend(phone.requests.iter().map(|request| Ping {
            tenant: TENANT,
            device: device.clone(),
            received_at: UnixMillis(5),
            kind: PingKind::Fixes(request.fixes.clone()),
        }));
    }
    dispatch(&mut history);
    tell(&mut history);
    history
}

fn end(decision: &Decision) -> End {
    let delivery = Delivery {
        push: decision.push,
        tenant: TENANT,
        device: decision.device.clone(),
        origin: Origin { source: Source::Send(SendId(Uuid::nil())), cause: CauseId(Uuid::nil()) },
        app: "shop".to_owned(),
        provider: None,
        outcome: if decision.suppressed.is_some() { Outcome::Suppressed } else { Outcome::Accepted },
        reason: decision.suppressed,
        attempts: 1,
        created_at: UnixMillis(0),
        finished_at: UnixMillis(0),
        provider_message_id: None,
        dead_token: None,
        variant: None,
        deferrals: 0,
        dead_letter: None,
    };
    End { durable_at_ms: 1_000, delivery }
}

fn dispatch(history: &mut History) {
    for decision in decisions(history) {
        history.seen.ends.push(end(&decision));
        if decision.suppressed.is_none() {
            history.seen.pushes.push((decision.push, CauseId(Uuid::nil())));
            let token = history.asked.phones[&decision.device].token.clone();
            history.seen.taken.push(Taken { push: Some(decision.push), token, at_ms: 900 });
        }
    }
}

fn tell(history: &mut History) {
    let mut all: BTreeMap<DeviceId, Told> = BTreeMap::new();
    for transition in &history.seen.transitions {
        let told = all.entry(transition.device.clone()).or_default();
        told.transitions.push(row(transition));
        let zone = transition.zone.to_string();
        match transition.kind {
            TransitionKind::Exit(_) => told.present_in.remove(&zone),
            _ => told.present_in.insert(zone),
        };
    }
    for end in &history.seen.ends {
        let Delivery { push, outcome, reason, .. } = &end.delivery;
        let row = json!({
            "push_id": push.to_string(), "outcome": outcome.as_str(), "reason": reason.map(Reason::as_str),
        });
        all.entry(end.delivery.device.clone()).or_default().deliveries.push(row);
    }
    history.seen.told = all;
}

fn kinds(history: &History) -> BTreeSet<Kind> {
    check(history).into_iter().map(|violation| violation.kind).collect()
}

#[test]
fn a_change_may_be_seen_by_requests_before_its_answer_and_must_be_by_those_after() {
    let seen: Vec<String> = right(3).seen.transitions.iter().map(|t| format!("{:?}", t.kind)).collect();
    assert_eq!(seen.len(), 2 * 6, "enter, exit, enter, dwell, exit by the change, enter: {seen:?}");
    for turn in 0..=3 {
        let history = right(turn);
        assert_eq!(check(&history), [], "the change is seen before request {turn}");
    }
    for turn in [4, 5] {
        assert!(kinds(&right(turn)).contains(&Kind::Transition), "the change is not seen by request {turn}");
    }
}

#[test]
fn a_request_that_was_given_up_may_count_or_not() {
    for is_counted in [true, false] {
        let mut history = right(3);
        let phone = history.asked.phones.get_mut(&device()).expect("it is there");
        let more = Request { fate: Fate::Unknown, ..request(800, &[(5.0, 110)]) };
        let mut all = phone.requests.clone();
        phone.requests.push(more.clone());
        if is_counted {
            all.push(more);
        }
        history.seen.transitions.retain(|transition| transition.device != device());
        history.seen.transitions.extend(transitions(&device(), &all, 3));
        history.seen.ends.clear();
        history.seen.pushes.clear();
        history.seen.taken.clear();
        dispatch(&mut history);
        tell(&mut history);
        assert_eq!(check(&history), [], "counted: {is_counted}");
    }
}

/// A bug's name, what it makes of a right history, and the kind of violation that must be among those found.
type Bug = (&'static str, fn(&mut History), Kind);

const BUGS: &[Bug] = &[
    ("an acknowledged ping is lost", |h| drop(h.seen.pings.remove(1)), Kind::LostFix),
    (
        "a ping comes from nowhere",
        |h| h.seen.pings[0].device = DeviceId::new("x").expect("an id"),
        Kind::ForeignFix,
    ),
    ("a transition is lost", |h| drop(h.seen.transitions.remove(1)), Kind::Transition),
    ("the last transition is lost", |h| drop(h.seen.transitions.remove(5)), Kind::Transition),
    (
        "a transition comes twice",
        |h| h.seen.transitions.insert(1, h.seen.transitions[0].clone()),
        Kind::Sequence,
    ),
    (
        "a transition is judged by another version",
        |h| h.seen.transitions[2].zone_version = 2,
        Kind::Transition,
    ),
    ("a stay is forgotten", |h| h.seen.transitions[1].dwell_s = Some(0), Kind::Transition),
    ("a device is forgotten", |h| h.seen.transitions[3].incarnation = UnixMillis(9), Kind::Sequence),
    ("two transitions change places", |h| h.seen.transitions.swap(1, 2), Kind::Order),
    ("a push is not decided", |h| h.seen.pushes.truncate(1), Kind::Push),
    ("a push is decided twice", |h| h.seen.pushes.push(h.seen.pushes[0]), Kind::Push),
    ("a push is not sent", |h| drop(h.seen.taken.remove(0)), Kind::Push),
    ("a push has no cause", |h| h.seen.taken[0].push = Some(PushId(Uuid::nil())), Kind::Push),
    ("a push goes to another phone", |h| h.seen.taken[0].token = "hush".to_owned(), Kind::Push),
    (
        "a push goes out again and nobody counts it",
        |h| h.seen.taken.push(h.seen.taken[0].clone()),
        Kind::SentTwice,
    ),
    ("a push goes out again after its end", send_again_late, Kind::SentTwice),
    ("an end is lost", |h| drop(h.seen.ends.remove(0)), Kind::End),
    ("an end is wrong", |h| h.seen.ends[0].delivery.outcome = Outcome::Failed, Kind::End),
    ("a push ends in two ways", end_otherwise, Kind::End),
    ("a cooldown is forgotten", forget_cooldown, Kind::End),
    ("the API leaves a transition out", |h| drop(told(h).transitions.remove(0)), Kind::Told),
    ("the API tells an old zone", |h| told(h).transitions[0]["zone_version"] = json!(0), Kind::Told),
    ("the API leaves a delivery out", |h| drop(told(h).deliveries.remove(0)), Kind::Told),
    (
        "the API tells a delivery twice",
        |h| {
            let again = told(h).deliveries[0].clone();
            told(h).deliveries.push(again);
        },
        Kind::Told,
    ),
    ("the API tells an old presence", |h| told(h).present_in.clear(), Kind::Told),
    ("a send does not add up on its way", |h| h.asked.sends[0].told[0].pending = 1, Kind::Totals),
    ("a send does not end", |h| h.asked.sends[0].told.truncate(1), Kind::Totals),
    ("a send counts twice", |h| h.asked.sends[0].told[1].accepted = 2, Kind::Totals),
];

fn told(history: &mut History) -> &mut Told {
    history.seen.told.get_mut(&device()).expect("it is told of")
}

fn send_again_late(history: &mut History) {
    history.seen.uncertain = 1;
    let again = Taken { at_ms: 1_001, ..history.seen.taken[0].clone() };
    history.seen.taken.push(again);
}

fn end_otherwise(history: &mut History) {
    let mut other = history.seen.ends[0].clone();
    other.delivery.outcome = Outcome::Expired;
    history.seen.ends.push(other);
}

fn forget_cooldown(history: &mut History) {
    let cooled = |end: &&mut End| end.delivery.reason == Some(Reason::Cooldown);
    let end = history.seen.ends.iter_mut().find(cooled).expect("one was cooled down");
    (end.delivery.outcome, end.delivery.reason) = (Outcome::Accepted, None);
}

#[test]
fn every_bug_is_seen() {
    for (name, bug, kind) in BUGS {
        let mut history = right(3);
        bug(&mut history);
        assert!(kinds(&history).contains(kind), "{name}: {:?}", check(&history));
    }
}

#[test]
fn a_push_may_go_out_again_when_that_was_counted_and_its_end_was_not_durable() {
    let mut history = right(3);
    history.seen.uncertain = 1;
    history.seen.taken.push(history.seen.taken[0].clone());
    assert_eq!(check(&history), []);
}
