//! The transitions' topic: device by device in order and without a gap, and zone by zone as the reference has them.

use std::collections::BTreeMap;

use geopush_model::{DeviceId, ExitReason, Transition, TransitionKind, ZoneId};

use super::zone_of_device::{Stays, describe};
use super::{Kind, Violations};
use crate::history::History;

pub fn check(history: &History, found: &mut Violations) {
    let seen = history.seen.by_device();
    for device in seen.keys().filter(|device| !history.asked.phones.contains_key(**device)) {
        found.add(Kind::Transition, format!("{device}: has transitions and sent nothing"));
    }
    for (device, phone) in &history.asked.phones {
        let transitions = seen.get(device).map(Vec::as_slice).unwrap_or_default();
        numbers(device, transitions, found);
        order(device, transitions, found);
        let mut by_zone: BTreeMap<ZoneId, Vec<&Transition>> = BTreeMap::new();
        for transition in transitions {
            by_zone.entry(transition.zone).or_default().push(transition);
        }
        for (zone, versions) in &history.asked.zones {
            let observed = by_zone.remove(zone).unwrap_or_default();
            let stays = Stays { tenant: history.asked.tenant, device, phone, versions };
            if let Err(wrong) = stays.explain(&observed) {
                found.add(Kind::Transition, format!("{device}: {wrong}"));
            }
        }
        for extra in by_zone.into_values().flatten() {
            found.add(Kind::Transition, format!("{device}: of a zone that nobody made: {}", describe(extra)));
        }
    }
}

/// `seq` counts from 1 on, once each, in the topic's order; and the device was never forgotten.
fn numbers(device: &DeviceId, transitions: &[&Transition], found: &mut Violations) {
    for (place, transition) in (1..).zip(transitions) {
        if transition.seq != place {
            let (seq, told) = (transition.seq, describe(transition));
            found.add(
                Kind::Sequence,
                format!("{device}: seq {seq} stands at place {place} of the topic: {told}"),
            );
            return;
        }
    }
    if let Some(pair) = transitions.windows(2).find(|pair| pair[0].incarnation != pair[1].incarnation) {
        found.add(Kind::Sequence, format!("{device}: was forgotten before {}", describe(pair[1])));
    }
}

/// By fix; at one fix exits, enters, dwells, each by zone; then what zones' changes made of it.
fn order(device: &DeviceId, transitions: &[&Transition], found: &mut Violations) {
    for pair in transitions.windows(2) {
        let ((fix_a, rank_a), (fix_b, rank_b)) = (rank(pair[0]), rank(pair[1]));
        let at_one_place = (fix_a, rank_a) == (fix_b, rank_b) && rank_a != Rank::ZoneChange;
        if (fix_b, rank_b) < (fix_a, rank_a) || at_one_place && pair[1].zone <= pair[0].zone {
            let (first, second) = (describe(pair[0]), describe(pair[1]));
            found.add(Kind::Order, format!("{device}: out of order: {first}, then {second}"));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Exit,
    Enter,
    Dwell,
    ZoneChange,
}

fn rank(transition: &Transition) -> (i64, Rank) {
    let rank = match transition.kind {
        TransitionKind::Exit(ExitReason::Left | ExitReason::Expired) => Rank::Exit,
        TransitionKind::Enter => Rank::Enter,
        TransitionKind::Dwell => Rank::Dwell,
        TransitionKind::Exit(_) => Rank::ZoneChange,
    };
    (transition.fix.time.0, rank)
}
