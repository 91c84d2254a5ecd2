//! The topics against what the API tells of each device.

use std::collections::{BTreeMap, BTreeSet};

use geopush_model::{DeviceId, ExitReason, Transition, TransitionKind};
use geopush_service::time::format_rfc3339_ms;
use serde_json::{Value, json};

use super::pushes::decisions;
use super::{Kind, Violations};
use crate::history::{History, Told};

pub fn check(history: &History, found: &mut Violations) {
    let mut decided: BTreeMap<DeviceId, BTreeMap<String, (&str, Option<&str>)>> = BTreeMap::new();
    for decision in decisions(history) {
        let outcome = if decision.suppressed.is_some() { "suppressed" } else { "accepted" };
        let reason = decision.suppressed.map(geopush_model::Reason::as_str);
        decided.entry(decision.device).or_default().insert(decision.push.to_string(), (outcome, reason));
    }
    let seen = history.seen.by_device();
    let nothing = Told::default();
    for device in history.asked.phones.keys() {
        let told = history.seen.told.get(device).unwrap_or(&nothing);
        let transitions = seen.get(device).map(Vec::as_slice).unwrap_or_default();
        rows(device, transitions, &told.transitions, found);
        deliveries(device, decided.remove(device).unwrap_or_default(), &told.deliveries, found);
        presence(device, transitions, &told.present_in, found);
    }
}

fn rows(device: &DeviceId, transitions: &[&Transition], told: &[Value], found: &mut Violations) {
    if transitions.len() != told.len() {
        let (records, rows) = (transitions.len(), told.len());
        found.add(Kind::Told, format!("{device}: the topic has {records} transitions, the API tells {rows}"));
    }
    for (transition, told) in transitions.iter().zip(told) {
        let right = row(transition);
        if right != *told {
            found.add(Kind::Told, format!("{device}: the API tells {told}, the topic has {right}"));
            return;
        }
    }
}

fn deliveries(
    device: &DeviceId,
    mut decided: BTreeMap<String, (&str, Option<&str>)>,
    told: &[Value],
    found: &mut Violations,
) {
    for row in told {
        let push = row["push_id"].as_str().unwrap_or_default();
        match decided.remove(push) {
            Some((outcome, reason)) if row["outcome"] == outcome && row["reason"].as_str() == reason => {}
            Some(right) => {
                found
                    .add(Kind::Told, format!("{device}: push {push} must be {right:?}; the API tells {row}"));
            }
            None => found.add(Kind::Told, format!("{device}: a delivery without a cause, or twice: {row}")),
        }
    }
    for (push, right) in decided {
        found.add(Kind::Told, format!("{device}: push {push} ({right:?}) has no delivery row"));
    }
}

fn presence(device: &DeviceId, transitions: &[&Transition], told: &BTreeSet<String>, found: &mut Violations) {
    let mut right = BTreeSet::new();
    for transition in transitions {
        let zone = transition.zone.to_string();
        match transition.kind {
            TransitionKind::Exit(_) => right.remove(&zone),
            TransitionKind::Enter | TransitionKind::Dwell => right.insert(zone),
        };
    }
    if right != *told {
        found.add(Kind::Told, format!("{device}: is in {right:?}; the API tells {told:?}"));
    }
}

/// A transition as the API tells it.
pub fn row(transition: &Transition) -> Value {
    let fix = &transition.fix;
    json!({
        "id": transition.id.to_string(),
        "seq": transition.seq,
        "device_id": transition.device.as_str(),
        "zone_id": transition.zone.to_string(),
        "zone_external_id": transition.zone_external_id,
        "kind": transition.kind.as_str(),
        "at": format_rfc3339_ms(transition.at.0),
        "reason": transition.kind.reason().map(ExitReason::as_str),
        "initial": transition.initial,
        "dwell_s": transition.dwell_s,
        "zone_version": transition.zone_version,
        "fix": {
            "lat": fix.position.lat, "lon": fix.position.lon, "time": format_rfc3339_ms(fix.time.0),
            "accuracy_m": fix.accuracy_m,
        },
    })
}
