//! The specification: a slow, obvious evaluator, written straight from the rules, that shares nothing with the engine
//! but the geometry.
//!
//! The rules, for one device:
//! 1. A fix that is not later than the last one has no effect.
//! 2. A fix that is less accurate than a zone asks for gives no transition of that zone, but is the last fix.
//! 3. Exit `left`: a member's fix lies outside by more than the exit buffer.
//! 4. Enter: a fix of a device that is no member lies inside; initial at the device's first fix.
//! 5. Dwell: once a stay, at the first later fix at least `dwell_s` after the enter.
//! 6. Exit `zone_removed` or `zone_changed` when a zone goes or moves away from a member's last fix, at the later of
//!    the change and that fix; `device_removed` when the device is deleted.
//! 7. Exit `expired` when a member's next fix comes more than `expire_after` later, or nothing is received of it for
//!    that long; at its last fix + `expire_after`. In no zone and silent for `forget_after`, it is forgotten.
//! 8. At one fix exits come first, then enters, then dwells, each by zone id; `seq` counts on.
//! 9. If the tenant asks for crossings: a zone is passed between two fixes that follow each other, at most 120 s apart
//!    and as far as one gets at 70 m/s, if the device is no member of it, neither fix lies inside, the later one is as
//!    accurate as the zone asks, and the straight line in longitude and latitude from one to the other, the short way
//!    over the antimeridian, meets it. That gives an enter where the line first comes in and an exit `left` where it
//!    last goes out, at times in proportion, in whole ms from the earlier fix. They come before the later fix's own
//!    transitions and after those of rule 7, by time, then zone id, an enter before its exit. There is no dwell.

use std::collections::BTreeMap;

use geopush_geometry::{Prepared, geodesic_distance_m};
use geopush_model::{
    DeviceId, ExitReason, Fix, Ping, PingKind, TenantId, Transition, TransitionId, TransitionKind,
    UnixMillis, Zone, ZoneId,
};

use super::Rules;

/// The transitions that one tenant's devices must have.
#[derive(Clone, Debug)]
pub struct Reference {
    tenant: TenantId,
    rules: Rules,
    detect_crossings: bool,
    zones: BTreeMap<ZoneId, (Zone, Prepared)>,
    devices: BTreeMap<DeviceId, Phone>,
}

#[derive(Clone, Debug)]
struct Phone {
    id: DeviceId,
    incarnation: UnixMillis,
    transitions: u64,
    last: Fix,
    heard: UnixMillis,
    stays: BTreeMap<ZoneId, Stay>,
}

#[derive(Clone, Debug)]
struct Stay {
    name: Option<String>,
    entered: UnixMillis,
    entered_version: i64,
    had_dwell: bool,
}

impl Reference {
    /// A tenant without zones or devices.
    pub fn new(tenant: TenantId, rules: Rules) -> Self {
        Self { tenant, rules, detect_crossings: false, zones: BTreeMap::new(), devices: BTreeMap::new() }
    }

    /// The same for a tenant that asks for crossings, or does not.
    #[must_use]
    pub fn detecting_crossings(self, detect_crossings: bool) -> Self {
        Self { detect_crossings, ..self }
    }

    /// A zone was made, changed, deactivated or deleted, at its `updated_at`. Answers by device, then in order.
    pub fn zone_changed(&mut self, zone: Zone) -> Vec<Transition> {
        if self.zones.get(&zone.id).is_some_and(|(known, _)| known.version >= zone.version) {
            return Vec::new();
        }
        let shape = Prepared::new(&zone.shape);
        let mut all = Vec::new();
        for phone in self.devices.values_mut() {
            let Some(stay) = phone.stays.get(&zone.id).cloned() else { continue };
            let reason = if zone.deleted || !zone.active {
                ExitReason::ZoneRemoved
            } else if is_outside_by_more_than(&shape, &phone.last, zone.effective_exit_buffer_m()) {
                ExitReason::ZoneChanged
            } else {
                continue;
            };
            phone.stays.remove(&zone.id);
            let at = std::cmp::max(zone.updated_at, phone.last.time);
            all.push(phone.says(self.tenant, zone.id, &stay, TransitionKind::Exit(reason), at, zone.version));
        }
        self.zones.insert(zone.id, (zone, shape));
        all
    }

    /// A request's word about a device.
    pub fn ping(&mut self, ping: &Ping) -> Vec<Transition> {
        match &ping.kind {
            PingKind::Fixes(fixes) => {
                fixes.iter().flat_map(|fix| self.fix(&ping.device, fix, ping.received_at)).collect()
            }
            PingKind::Forget => self.forget(&ping.device, ping.received_at),
        }
    }

    /// A fix was received.
    pub fn fix(&mut self, device: &DeviceId, fix: &Fix, received_at: UnixMillis) -> Vec<Transition> {
        let mut all = Vec::new();
        // Rule 7, by silence: as if a timer had run until now.
        if let Some(phone) = self.devices.get_mut(device) {
            if received_at.0 - phone.heard.0 >= self.rules.expire_after_ms {
                all.extend(phone.expires(self.tenant, &self.rules, None));
            }
            if phone.stays.is_empty() && received_at.0 - phone.heard.0 >= self.rules.forget_after_ms {
                self.devices.remove(device);
            }
        }
        let first = !self.devices.contains_key(device);
        let phone = self.devices.entry(device.clone()).or_insert_with(|| Phone {
            id: device.clone(),
            incarnation: received_at,
            transitions: 0,
            last: fix.clone(),
            heard: received_at,
            stays: BTreeMap::new(),
        });
        phone.heard = std::cmp::max(phone.heard, received_at);
        if !first {
            if fix.time <= phone.last.time {
                return all;
            }
            if fix.time.0 - phone.last.time.0 > self.rules.expire_after_ms {
                all.extend(phone.expires(self.tenant, &self.rules, Some(received_at)));
            }
        }
        let before = std::mem::replace(&mut phone.last, fix.clone());
        if self.detect_crossings && !first {
            for (zone, kind, at, entered) in crossings(phone, &before, &self.zones) {
                let stay = Stay {
                    name: zone.external_id.clone(),
                    entered,
                    entered_version: zone.version,
                    had_dwell: false,
                };
                let said = phone.says(self.tenant, zone.id, &stay, kind, at, zone.version);
                let dwell_s = said.dwell_s.filter(|_| kind != TransitionKind::Enter);
                all.push(Transition { received_at: Some(received_at), dwell_s, ..said });
            }
        }

        let mut exits = Vec::new();
        let mut enters = Vec::new();
        let mut dwells = Vec::new();
        for (id, (zone, shape)) in &self.zones {
            if !zone.active || zone.deleted {
                continue;
            }
            if fix.accuracy_m.is_some_and(|accuracy_m| accuracy_m > zone.effective_max_accuracy_m()) {
                continue;
            }
            match phone.stays.get(id) {
                Some(stay) => {
                    if is_outside_by_more_than(shape, fix, zone.effective_exit_buffer_m()) {
                        exits.push((*id, zone.version, stay.clone()));
                    } else if let Some(dwell_s) = zone.dwell_s
                        && !stay.had_dwell
                        && fix.time.0 - stay.entered.0 >= dwell_s * 1000
                    {
                        dwells.push((*id, zone.version, stay.clone()));
                    }
                }
                None => {
                    if shape.contains(fix.position) {
                        let stay = Stay {
                            name: zone.external_id.clone(),
                            entered: fix.time,
                            entered_version: zone.version,
                            had_dwell: false,
                        };
                        enters.push((*id, zone.version, stay));
                    }
                }
            }
        }
        let by_fix = |transition| Transition { received_at: Some(received_at), ..transition };
        for (zone, version, stay) in exits {
            phone.stays.remove(&zone);
            let kind = TransitionKind::Exit(ExitReason::Left);
            all.push(by_fix(phone.says(self.tenant, zone, &stay, kind, fix.time, version)));
        }
        for (zone, version, stay) in enters {
            let enter = phone.says(self.tenant, zone, &stay, TransitionKind::Enter, fix.time, version);
            all.push(Transition { initial: first, dwell_s: None, ..by_fix(enter) });
            phone.stays.insert(zone, stay);
        }
        for (zone, version, stay) in dwells {
            all.push(by_fix(phone.says(self.tenant, zone, &stay, TransitionKind::Dwell, fix.time, version)));
            phone.stays.insert(zone, Stay { had_dwell: true, ..stay });
        }
        all
    }

    /// A device was deleted.
    pub fn forget(&mut self, device: &DeviceId, received_at: UnixMillis) -> Vec<Transition> {
        let Some(mut phone) = self.devices.remove(device) else { return Vec::new() };
        let at = std::cmp::max(received_at, phone.last.time);
        let mut exits = Vec::new();
        if received_at.0 - phone.heard.0 >= self.rules.expire_after_ms {
            exits.extend(phone.expires(self.tenant, &self.rules, None));
        }
        for (zone, stay) in std::mem::take(&mut phone.stays) {
            let kind = TransitionKind::Exit(ExitReason::DeviceRemoved);
            let exit = phone.says(self.tenant, zone, &stay, kind, at, stay.entered_version);
            exits.push(Transition { received_at: Some(received_at), ..exit });
        }
        exits
    }

    /// Time has gone by until `now`. Answers by device, then in order.
    pub fn silence(&mut self, now: UnixMillis) -> Vec<Transition> {
        let silent = |phone: &&mut Phone| now.0 - phone.heard.0 >= self.rules.expire_after_ms;
        let silent = self.devices.values_mut().filter(silent);
        silent.flat_map(|phone| phone.expires(self.tenant, &self.rules, None)).collect()
    }
}

impl Phone {
    fn expires(
        &mut self,
        tenant: TenantId,
        rules: &Rules,
        received_at: Option<UnixMillis>,
    ) -> Vec<Transition> {
        let at = UnixMillis(self.last.time.0 + rules.expire_after_ms);
        let stays = std::mem::take(&mut self.stays);
        let exit = |(zone, stay): (ZoneId, Stay)| {
            let kind = TransitionKind::Exit(ExitReason::Expired);
            Transition { received_at, ..self.says(tenant, zone, &stay, kind, at, stay.entered_version) }
        };
        stays.into_iter().map(exit).collect()
    }

    fn says(
        &mut self,
        tenant: TenantId,
        zone: ZoneId,
        stay: &Stay,
        kind: TransitionKind,
        at: UnixMillis,
        zone_version: i64,
    ) -> Transition {
        self.transitions += 1;
        Transition {
            id: TransitionId::of(tenant, &self.id, zone, kind, at),
            seq: self.transitions,
            tenant,
            device: self.id.clone(),
            zone,
            zone_external_id: stay.name.clone(),
            kind,
            at,
            fix: self.last.clone(),
            initial: false,
            dwell_s: Some((at.0 - stay.entered.0).div_euclid(1000)),
            zone_version,
            incarnation: self.incarnation,
            received_at: None,
        }
    }
}

/// What is said of the zones between `before` and the last fix: of which, what, when, and when it came in.
fn crossings<'a>(
    phone: &Phone,
    before: &Fix,
    zones: &'a BTreeMap<ZoneId, (Zone, Prepared)>,
) -> Vec<(&'a Zone, TransitionKind, UnixMillis, UnixMillis)> {
    let (from, to) = (before.position, phone.last.position);
    let taken_ms = phone.last.time.0 - before.time.0;
    if taken_ms > 120_000 || geodesic_distance_m(from, to) > 70.0 * taken_ms as f64 / 1000.0 {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (id, (zone, shape)) in zones {
        let is_judged = zone.active
            && !zone.deleted
            && !phone.stays.contains_key(id)
            && phone.last.accuracy_m.is_none_or(|accuracy_m| accuracy_m <= zone.effective_max_accuracy_m());
        if is_judged
            && !shape.contains(from)
            && !shape.contains(to)
            && let Some((first, last)) = shape.passes(from, to)
        {
            let time = |part: f64| UnixMillis(before.time.0 + (part * taken_ms as f64).floor() as i64);
            all.push((zone, TransitionKind::Enter, time(first), time(first)));
            all.push((zone, TransitionKind::Exit(ExitReason::Left), time(last), time(first)));
        }
    }
    // Stable: an enter stays before its exit.
    all.sort_by_key(|(zone, _, at, _)| (*at, zone.id));
    all
}

fn is_outside_by_more_than(shape: &Prepared, fix: &Fix, buffer_m: f64) -> bool {
    !shape.contains(fix.position) && shape.distance_m(fix.position) > buffer_m
}
