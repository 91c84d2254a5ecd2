//! The transitions against pushes, their ends, and what the stand-ins took.

use std::collections::{BTreeMap, HashMap};

use geopush_model::{
    CampaignId, CauseId, DeviceId, Outcome, PushId, Reason, Transition, TransitionKind, UnixMillis,
};

use super::{Kind, Violations};
use crate::history::{Campaign, End, History, On, Taken};

/// What must come of a cause: a push, or the reason why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub push: PushId,
    pub device: DeviceId,
    pub suppressed: Option<Reason>,
}

/// Every decision that the transitions and the sends must have led to.
pub fn decisions(history: &History) -> Vec<Decision> {
    let mut all = Vec::new();
    for (device, transitions) in history.seen.by_device() {
        let mut cooling = BTreeMap::new();
        for transition in transitions {
            for campaign in history.asked.campaigns.iter().filter(|campaign| campaign.is_about(transition)) {
                let push = PushId::of(history.asked.tenant, campaign.id.0, device, CauseId(transition.id.0));
                let suppressed =
                    no_consent(history, device).or_else(|| cooldown(&mut cooling, campaign, transition.at));
                all.push(Decision { push, device: device.clone(), suppressed });
            }
        }
    }
    for send in &history.asked.sends {
        for device in &send.to {
            let push = PushId::of(history.asked.tenant, send.id.0, device, CauseId(send.id.0));
            all.push(Decision { push, device: device.clone(), suppressed: no_consent(history, device) });
        }
    }
    all
}

impl Campaign {
    fn is_about(&self, transition: &Transition) -> bool {
        match self.on {
            On::Enter => transition.kind == TransitionKind::Enter,
            On::Exit => matches!(transition.kind, TransitionKind::Exit(_)),
        }
    }
}

fn no_consent(history: &History, device: &DeviceId) -> Option<Reason> {
    let refuses = history.asked.phones.get(device).is_some_and(|phone| !phone.wants_pushes);
    refuses.then_some(Reason::NoConsent)
}

/// By the times of transitions, in the order of their decisions; a suppressed one begins no cooldown.
fn cooldown(
    last: &mut BTreeMap<CampaignId, UnixMillis>,
    campaign: &Campaign,
    at: UnixMillis,
) -> Option<Reason> {
    let is_near = |last: &UnixMillis| (at.0 - last.0).abs() < campaign.cooldown_s * 1_000;
    if last.get(&campaign.id).is_some_and(is_near) {
        return Some(Reason::Cooldown);
    }
    last.insert(campaign.id, at);
    None
}

pub fn check(history: &History, found: &mut Violations) {
    let seen = &history.seen;
    let mut decided: HashMap<PushId, usize> = HashMap::new();
    for (push, _) in &seen.pushes {
        *decided.entry(*push).or_default() += 1;
    }
    let mut ends: HashMap<PushId, Vec<&End>> = HashMap::new();
    for end in &seen.ends {
        ends.entry(end.delivery.push).or_default().push(end);
    }
    let mut taken: HashMap<PushId, Vec<&Taken>> = HashMap::new();
    for push in &seen.taken {
        match push.push {
            Some(id) => taken.entry(id).or_default().push(push),
            None => found.add(Kind::Push, "the sandbox took a push without an id of ours".to_owned()),
        }
    }
    let mut again = 0;
    for decision in decisions(history) {
        let times = decided.remove(&decision.push).unwrap_or_default();
        let ends = ends.remove(&decision.push).unwrap_or_default();
        let taken = taken.remove(&decision.push).unwrap_or_default();
        one_decision(history, &decision, times, &taken, found);
        one_end(&decision, &ends, found);
        again += taken.len().saturating_sub(1) as u64;
        sent_again(history, &decision, &ends, &taken, found);
    }
    for push in decided.into_keys() {
        found.add(Kind::Push, format!("push {push} was decided without a cause"));
    }
    for push in ends.into_keys() {
        found.add(Kind::End, format!("push {push} has an end and no cause"));
    }
    for push in taken.into_keys() {
        found.add(Kind::Push, format!("push {push} was sent without a cause"));
    }
    if again > seen.uncertain {
        let counted = seen.uncertain;
        found.add(
            Kind::SentTwice,
            format!("{again} pushes went out again, and the dispatchers count {counted} that may have"),
        );
    }
}

fn one_decision(
    history: &History,
    decision: &Decision,
    decided: usize,
    taken: &[&Taken],
    found: &mut Violations,
) {
    let Decision { push, device, suppressed } = decision;
    let wanted = usize::from(suppressed.is_none());
    if decided != wanted {
        let told =
            format!("{device}: push {push} is in the topic {decided} times, not {wanted} ({suppressed:?})");
        found.add(Kind::Push, told);
    }
    if taken.len().min(1) != wanted {
        let times = taken.len();
        found.add(
            Kind::Push,
            format!("{device}: push {push} was sent {times} times, not {wanted} ({suppressed:?})"),
        );
    }
    let token = history.asked.phones.get(device).map(|phone| phone.token.as_str());
    for elsewhere in taken.iter().filter(|push| Some(push.token.as_str()) != token) {
        found.add(Kind::Push, format!("{device}: push {push} went to another phone, {}", elsewhere.token));
    }
}

/// The log may have an end twice, when it did not say whether it took it; both say the same.
fn one_end(decision: &Decision, ends: &[&End], found: &mut Violations) {
    let Decision { push, device, suppressed } = decision;
    let wanted = if suppressed.is_some() { Outcome::Suppressed } else { Outcome::Accepted };
    let is_right = |end: &&&End| {
        end.delivery.outcome == wanted && end.delivery.reason == *suppressed && end.delivery.device == *device
    };
    let right = ends.iter().filter(is_right).count();
    let is_repeated = suppressed.is_some() && right > 1;
    if right == 0 || right != ends.len() || is_repeated {
        let told: Vec<_> = ends.iter().map(|end| (end.delivery.outcome, end.delivery.reason)).collect();
        found.add(
            Kind::End,
            format!("{device}: push {push} must end as {wanted:?} ({suppressed:?}); its ends are {told:?}"),
        );
    }
}

/// Once its end is durable, whoever takes over knows of it.
fn sent_again(
    history: &History,
    decision: &Decision,
    ends: &[&End],
    taken: &[&Taken],
    found: &mut Violations,
) {
    let Some(durable_at_ms) = ends.iter().map(|end| end.durable_at_ms).min() else { return };
    for again in taken.iter().skip(1) {
        let late_ms = again.at_ms - durable_at_ms;
        if late_ms > history.seen.handover_ms {
            let (device, push) = (&decision.device, decision.push);
            found.add(
                Kind::SentTwice,
                format!("{device}: push {push} went out again {late_ms} ms after its end was durable"),
            );
        }
    }
}
