//! Each check must be able to fail.

use std::time::{Duration, Instant};

use geopush_geometry::Position;
use geopush_model::{CampaignId, Fix, Origin, PushId, Source, UnixMillis};
use uuid::Uuid;

use super::*;
use crate::e2e::observe::Seen;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const CAMPAIGN: CampaignId = CampaignId(Uuid::from_u128(2));
const PHONES: usize = 40;
const SCHEDULE: Schedule = Schedule {
    rate: 2_400.0,
    batch: 3,
    phones: PHONES,
    warmup: Duration::ZERO,
    duration: Duration::from_secs(1),
    first_round: 0,
};

/// A run in which everything went well.
struct Run {
    town: Town,
    fates: Vec<Fate>,
    pings: Vec<Ping>,
    expected: ByDevice,
    pushes: Vec<ExpectedPush>,
    observed: Observed,
}

fn a_good_run() -> Run {
    let town = Town::new(9, 100);
    let mut routes: Vec<_> = (0..PHONES).map(|phone| town.route(phone)).collect();
    let ping = |request: usize| {
        let fixes =
            routes[request % PHONES].by_ref().take(SCHEDULE.batch).map(|sent| logged(&sent)).collect();
        let device = DeviceId::new(&Town::phone(request % PHONES).device).unwrap();
        let received_at = UnixMillis(1_790_000_000_000 + request as i64);
        Ping { tenant: TENANT, device, received_at, kind: PingKind::Fixes(fixes) }
    };
    let pings: Vec<_> = (0..SCHEDULE.requests()).map(ping).collect();
    let zones = town.zones(TENANT).unwrap();
    let expected = reference(TENANT, &zones, &pings);
    let pushes = expected_pushes(TENANT, &zones, &[("shop", CAMPAIGN)], &expected);
    let observed = Observed {
        transitions: expected.values().flatten().cloned().map(seen).collect(),
        pushes: Vec::new(),
        sent: pushes.iter().filter_map(sent).map(seen).collect(),
        deliveries: pushes.iter().map(delivery).map(seen).collect(),
    };
    Run { town, fates: vec![Fate::Accepted; SCHEDULE.requests()], pings, expected, pushes, observed }
}

fn seen<T>(what: T) -> Seen<T> {
    Seen { at: Instant::now(), what }
}

fn logged(sent: &SentFix) -> Fix {
    let json = sent.json();
    let number = |name: &str| json[name].as_f64();
    let position = Position::new(number("lon").unwrap(), number("lat").unwrap()).unwrap();
    let fix = Fix::at(position, UnixMillis(json["time"].as_i64().unwrap()));
    Fix { accuracy_m: number("accuracy_m"), ..fix }
}

fn sent(push: &ExpectedPush) -> Option<SentPush> {
    Some(SentPush { push: Some(push.push), token: push.token.clone()? })
}

fn delivery(push: &ExpectedPush) -> Delivery {
    let is_sent = push.token.is_some();
    Delivery {
        push: push.push,
        tenant: TENANT,
        device: DeviceId::new("any").unwrap(),
        origin: Origin { source: Source::Campaign(CAMPAIGN), cause: CauseId(Uuid::nil()) },
        app: "bench".to_owned(),
        provider: None,
        outcome: if is_sent { Outcome::Accepted } else { Outcome::Suppressed },
        reason: (!is_sent).then_some(Reason::NoConsent),
        attempts: 1,
        created_at: UnixMillis(0),
        finished_at: UnixMillis(0),
        provider_message_id: None,
        dead_token: None,
        variant: None,
        deferrals: 0,
        dead_letter: None,
    }
}

impl Run {
    fn checks(&self) -> [Check; 4] {
        let [ends, extra] = pushes_are_right(&self.pushes, &self.observed);
        let kept = pings_are_kept(&[(SCHEDULE, &self.fates)], &self.town, &self.pings);
        [kept, transitions_are_right(&self.expected, &self.observed), ends, extra]
    }

    /// Which of the checks pass: pings, transitions, ends, extra.
    fn passed(&self) -> [bool; 4] {
        self.checks().map(|check| check.passed())
    }
}

fn damaged(damage: impl FnOnce(&mut Run)) -> [bool; 4] {
    let mut run = a_good_run();
    damage(&mut run);
    run.passed()
}

#[test]
fn a_good_run_passes_and_has_something_of_everything() {
    let run = a_good_run();
    assert_eq!(run.passed(), [true; 4], "{:#?}", run.checks());
    assert!(run.pushes.iter().any(|push| push.token.is_none()), "none is to be suppressed");
    assert!(run.pushes.iter().any(|push| push.token.is_some()), "none is to be sent");
}

#[test]
fn pings_that_are_lost_doubled_changed_or_made_up_are_found() {
    let pings = [false, true, true, true];
    assert_eq!(damaged(|run| drop(run.pings.pop())), pings);
    assert_eq!(damaged(|run| run.pings.push(run.pings[0].clone())), pings);
    assert_eq!(damaged(|run| run.fates[3] = Fate::Refused), pings);
    assert_eq!(damaged(|run| run.fates.truncate(run.fates.len() - 1)), pings);
    let moved = |run: &mut Run| {
        let PingKind::Fixes(fixes) = &mut run.pings[0].kind else { panic!("a ping has fixes") };
        fixes[1].accuracy_m = None;
    };
    assert_eq!(damaged(moved), pings);
}

#[test]
fn a_request_without_an_answer_may_have_gone_either_way() {
    let good = [true; 4];
    assert_eq!(damaged(|run| run.fates[3] = Fate::Unknown), good);
    let lost = |run: &mut Run| {
        *run.fates.last_mut().unwrap() = Fate::Unknown;
        run.pings.pop();
    };
    assert_eq!(damaged(lost), good);
}

#[test]
fn transitions_that_are_lost_doubled_swapped_or_changed_are_found() {
    let transitions = [true, false, true, true];
    assert_eq!(damaged(|run| drop(run.observed.transitions.remove(4))), transitions);
    assert_eq!(
        damaged(|run| run.observed.transitions.push(run.observed.transitions[0].clone())),
        transitions
    );
    let swapped = |run: &mut Run| {
        let all = &mut run.observed.transitions;
        let same = |pair: &[Seen<Transition>]| pair[0].what.device == pair[1].what.device;
        let at = all.windows(2).position(same).unwrap();
        all.swap(at, at + 1);
    };
    assert_eq!(damaged(swapped), transitions);
    assert_eq!(damaged(|run| run.observed.transitions[2].what.received_at = None), transitions);
}

#[test]
fn the_first_difference_says_what_differs() {
    let mut run = a_good_run();
    run.observed.transitions[0].what.zone_version = 2;
    let check = transitions_are_right(&run.expected, &run.observed);
    assert!(check.first[0].contains("differs in zone_version"), "{:?}", check.first);
}

#[test]
fn pushes_that_are_lost_doubled_misled_or_made_up_are_found() {
    let (ends, extra) = ([true, true, false, true], [true, true, true, false]);
    assert_eq!(damaged(|run| drop(run.observed.sent.pop())), ends);
    assert_eq!(damaged(|run| run.observed.sent[0].what.token.push('x')), ends);
    assert_eq!(damaged(|run| drop(run.observed.deliveries.pop())), ends);
    assert_eq!(damaged(|run| run.observed.deliveries[0].what.outcome = Outcome::Failed), ends);
    assert_eq!(damaged(|run| run.observed.deliveries.push(run.observed.deliveries[0].clone())), ends);
    assert_eq!(damaged(|run| run.observed.sent.push(run.observed.sent[0].clone())), extra);
    let stranger = SentPush { push: Some(PushId(Uuid::nil())), token: String::new() };
    assert_eq!(damaged(|run| run.observed.sent.push(seen(stranger))), extra);
    let nameless = SentPush { push: None, token: String::new() };
    assert_eq!(damaged(|run| run.observed.sent.push(seen(nameless))), extra);
    let muted = |run: &mut Run| {
        let push = run.pushes.iter().find(|push| push.token.is_none()).unwrap().push;
        run.observed.sent.push(seen(SentPush { push: Some(push), token: Town::phone(0).push_token }));
    };
    assert_eq!(damaged(muted), ends);
}
