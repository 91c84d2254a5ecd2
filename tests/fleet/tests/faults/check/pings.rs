//! Requests against the pings' topic: what was answered 202 is in the log as it was sent, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use geopush_model::{DeviceId, Fix, PingKind};

use super::{Kind, Violations};
use crate::history::{Fate, History};

pub fn check(history: &History, found: &mut Violations) {
    let mut logged: BTreeMap<&DeviceId, BTreeSet<String>> = BTreeMap::new();
    for ping in &history.seen.pings {
        let PingKind::Fixes(fixes) = &ping.kind else { continue };
        logged.entry(&ping.device).or_default().extend(fixes.iter().map(content));
    }
    for (device, phone) in &history.asked.phones {
        let logged = logged.remove(device).unwrap_or_default();
        let mut sent = BTreeSet::new();
        for (number, request) in (1..).zip(&phone.requests) {
            for fix in &request.fixes {
                let content = content(fix);
                if request.fate == Fate::Accepted && !logged.contains(&content) {
                    let told =
                        format!("request {number} was answered 202 and the log has not its fix {content}");
                    found.add(Kind::LostFix, format!("{device}: {told}"));
                }
                sent.insert(content);
            }
        }
        for fix in logged.difference(&sent) {
            found.add(Kind::ForeignFix, format!("{device}: the log has a fix that was never sent: {fix}"));
        }
    }
    for device in logged.into_keys() {
        found.add(Kind::ForeignFix, format!("{device}: the log has fixes of a device that sent none"));
    }
}

/// A fix as a key: floats have no order of their own.
fn content(fix: &Fix) -> String {
    format!("{} at {},{} within {:?} m", fix.time.0, fix.position.lat, fix.position.lon, fix.accuracy_m)
}
