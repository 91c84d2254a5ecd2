//! Whether what was measured was also right. A system that loses half of the work is fast.
//!
//! Three steps, so that a difference says where it began: what phones were told against the pings in the log; those
//! pings, through the reference, against the transitions; the reference's enters against pushes and deliveries.

use std::collections::{BTreeMap, HashMap};
use std::thread;

use geopush_geofence::engine::{Reference, Rules};
use geopush_model::{
    CampaignId, CauseId, Delivery, DeviceId, Outcome, Ping, PingKind, PushId, Reason, TenantId, Transition,
    TransitionKind, Zone,
};

use super::load::Fate;
use super::observe::{Observed, SentPush};
use super::schedule::Schedule;
use super::town::{SentFix, Town, step_of};
use crate::report::Check;

/// Transitions by device, in their order.
pub type ByDevice = BTreeMap<DeviceId, Vec<Transition>>;

/// What must come of a transition that a campaign is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedPush {
    /// The push's id.
    pub push: PushId,
    /// Where it goes to; `None`: its owner does not want it, and it is suppressed.
    pub token: Option<String>,
}

/// The transitions that the pings must have, by the slow reference; phones are shared out among the processors.
pub fn reference(tenant: TenantId, zones: &[Zone], pings: &[Ping]) -> ByDevice {
    let mut devices: BTreeMap<&DeviceId, Vec<&Ping>> = BTreeMap::new();
    for ping in pings {
        devices.entry(&ping.device).or_default().push(ping);
    }
    let devices: Vec<_> = devices.into_values().collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = devices.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let workers: Vec<_> = devices
            .chunks(share)
            .map(|devices| scope.spawn(move || evaluated(tenant, zones, devices.iter().flatten().copied())))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("the reference does not panic"));
        joined.flatten().collect()
    })
}

fn evaluated<'a>(tenant: TenantId, zones: &[Zone], pings: impl Iterator<Item = &'a Ping>) -> ByDevice {
    let mut reference = Reference::new(tenant, Rules::default());
    for zone in zones {
        reference.zone_changed(zone.clone());
    }
    let mut all = ByDevice::new();
    for ping in pings {
        all.entry(ping.device.clone()).or_default().extend(reference.ping(ping));
    }
    all
}

/// The pushes that the transitions must have.
pub fn expected_pushes(
    tenant: TenantId,
    zones: &[Zone],
    campaigns: &[(&str, CampaignId)],
    transitions: &ByDevice,
) -> Vec<ExpectedPush> {
    let campaign_of =
        |zone: &Zone| campaigns.iter().find(|(tag, _)| zone.tags.iter().any(|t| t == tag)).map(|c| c.1);
    let campaigns: HashMap<_, _> =
        zones.iter().filter_map(|zone| Some((zone.id, campaign_of(zone)?))).collect();
    let enters = transitions.values().flatten().filter(|t| t.kind == TransitionKind::Enter && !t.initial);
    let expected = enters.filter_map(|enter| {
        let campaign = campaigns.get(&enter.zone)?;
        let (phone, _) = step_of(&enter.device, &enter.fix)?;
        let phone = Town::phone(phone);
        let push = PushId::of(tenant, campaign.0, &enter.device, CauseId(enter.id.0));
        Some(ExpectedPush { push, token: phone.wants_pushes.then_some(phone.push_token) })
    });
    expected.collect()
}

/// Every request of these loads that was answered 202 is in the log once and as sent; none that was refused is.
pub fn pings_are_kept(loads: &[(Schedule, &[Fate])], town: &Town, pings: &[Ping]) -> Check {
    let mut check = Check::new("every fix that was answered 202 is in the log once, as it was sent");
    let mut records: HashMap<(usize, u64), Vec<&Ping>> = HashMap::new();
    for ping in pings {
        let PingKind::Fixes(fixes) = &ping.kind else { continue };
        let place = fixes.first().and_then(|fix| step_of(&ping.device, fix));
        match place {
            Some(place) => records.entry(place).or_default().push(ping),
            None => check.compare(Some(|| format!("{}: a ping in the log that nobody sent", ping.device))),
        }
    }
    let phones = loads
        .iter()
        .flat_map(|(schedule, fates)| (0..schedule.phones).map(move |phone| (schedule, *fates, phone)));
    for (schedule, fates, phone) in phones {
        let mut route = town.route(phone).skip(schedule.first_round * schedule.batch);
        for (request, fate) in fates.iter().enumerate().skip(phone).step_by(schedule.phones) {
            let sent: Vec<_> = route.by_ref().take(schedule.batch).collect();
            let found = records.remove(&schedule.content(request)).unwrap_or_default();
            let as_sent = found.iter().all(|ping| holds(ping, &sent));
            let right = match fate {
                Fate::Accepted => found.len() == 1,
                Fate::Refused => found.is_empty(),
                Fate::Unknown => found.len() <= 1,
            };
            let tell = || {
                let found = found.len();
                format!(
                    "request {request} of phone {phone} was {fate:?}; {found} records, as sent: {as_sent}"
                )
            };
            check.compare((!right || !as_sent).then_some(tell));
        }
    }
    for (phone, step) in records.into_keys() {
        check.compare(Some(|| format!("phone {phone}: fix {step} is in the log and was never sent")));
    }
    check
}

fn holds(ping: &Ping, sent: &[SentFix]) -> bool {
    match &ping.kind {
        PingKind::Fixes(fixes) => {
            fixes.len() == sent.len() && fixes.iter().zip(sent).all(|(fix, sent)| sent.is(fix))
        }
        PingKind::Forget => false,
    }
}

/// Every phone's transitions are those of the reference: none missing, none extra, in order, whole.
pub fn transitions_are_right(expected: &ByDevice, observed: &Observed) -> Check {
    let mut check = Check::new("the transitions of every phone are those of the reference, in order");
    let mut actual = ByDevice::new();
    for seen in &observed.transitions {
        actual.entry(seen.what.device.clone()).or_default().push(seen.what.clone());
    }
    let none = Vec::new();
    let devices: std::collections::BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
    for device in devices {
        let expected = expected.get(device).unwrap_or(&none);
        let actual = actual.get(device).unwrap_or(&none);
        for place in 0..expected.len().max(actual.len()) {
            let pair = (expected.get(place), actual.get(place));
            check.compare((pair.0 != pair.1).then_some(|| difference(device, pair)));
        }
    }
    check
}

fn difference(device: &DeviceId, (expected, actual): (Option<&Transition>, Option<&Transition>)) -> String {
    let told = |transition: Option<&Transition>| match transition {
        None => "nothing".to_owned(),
        Some(t) => {
            let zone = t.zone_external_id.as_deref().unwrap_or("a zone");
            format!("{} {} {zone} at {} ({})", t.seq, t.kind.as_str(), t.at.0, t.id)
        }
    };
    let member =
        expected.zip(actual).map_or(String::new(), |(e, a)| format!(", differs in {}", members(e, a)));
    format!("{device}: expected {}, got {}{member}", told(expected), told(actual))
}

/// The names of the members that differ.
fn members(e: &Transition, a: &Transition) -> String {
    let table = [
        ("id", e.id == a.id),
        ("seq", e.seq == a.seq),
        ("zone", e.zone == a.zone),
        ("kind or reason", e.kind == a.kind),
        ("at", e.at == a.at),
        ("fix", e.fix == a.fix),
        ("initial", e.initial == a.initial),
        ("dwell_s", e.dwell_s == a.dwell_s),
        ("zone_version", e.zone_version == a.zone_version),
        ("incarnation", e.incarnation == a.incarnation),
        ("received_at", e.received_at == a.received_at),
    ];
    let differ: Vec<_> = table.iter().filter(|row| !row.1).map(|row| row.0).collect();
    if differ.is_empty() { "another member".to_owned() } else { differ.join(", ") }
}

/// Every enter of a campaign's zone ended in one way, once; and nothing was pushed that should not have been.
pub fn pushes_are_right(expected: &[ExpectedPush], observed: &Observed) -> [Check; 2] {
    let mut ends =
        Check::new("every enter of a campaign's zone is one push at its phone, or one suppressed delivery");
    let mut extra = Check::new("nothing was pushed twice, or without a cause");
    let mut sent: HashMap<PushId, Vec<&SentPush>> = HashMap::new();
    for seen in &observed.sent {
        match seen.what.push {
            Some(push) => sent.entry(push).or_default().push(&seen.what),
            None => extra.compare(Some(|| "a push without an id of ours".to_owned())),
        }
    }
    let mut deliveries: HashMap<PushId, Vec<&Delivery>> = HashMap::new();
    for seen in observed.deliveries.iter().filter(|seen| seen.what.outcome.is_end()) {
        deliveries.entry(seen.what.push).or_default().push(&seen.what);
    }
    for push in expected {
        let sent = sent.remove(&push.push).unwrap_or_default();
        let deliveries = deliveries.remove(&push.push).unwrap_or_default();
        let tell = || {
            let wanted = if push.token.is_some() { "to be sent" } else { "to be suppressed" };
            let outcomes: Vec<_> = deliveries.iter().map(|delivery| delivery.outcome.as_str()).collect();
            let (push, sent) = (push.push, sent.len());
            format!("push {push} was {wanted}; the sandbox has {sent} of it, the deliveries are {outcomes:?}")
        };
        ends.compare((!ended_right(push, &sent, &deliveries)).then_some(tell));
        extra.compare(
            (sent.len() > 1).then_some(|| format!("push {} was sent {} times", push.push, sent.len())),
        );
    }
    for push in sent.into_keys() {
        extra.compare(Some(|| format!("push {push} was sent without a cause")));
    }
    for push in deliveries.into_keys() {
        extra.compare(Some(|| format!("push {push} has a delivery without a cause")));
    }
    [ends, extra]
}

fn ended_right(push: &ExpectedPush, sent: &[&SentPush], deliveries: &[&Delivery]) -> bool {
    let [delivery] = deliveries else { return false };
    match (&push.token, sent) {
        (Some(token), [sent, ..]) => sent.token == *token && delivery.outcome == Outcome::Accepted,
        (None, []) => delivery.outcome == Outcome::Suppressed && delivery.reason == Some(Reason::NoConsent),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
