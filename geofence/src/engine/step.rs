//! The state machine: what a fix, a zone's change, a silence or a deletion means for one device.
//!
//! Every method appends the transitions that follow, in order, and leaves the device as it is after them.

use std::sync::Arc;

use geopush_model::{
    DeviceKey, ExitReason, Fix, Membership, Transition, TransitionId, TransitionKind, UnixMillis, ZoneId,
};

use super::crossings::Crossing;
use super::{Around, Device, PreparedZone, Rules, ZoneChange};

/// What became of a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FixOutcome {
    /// It is the device's last fix now.
    Applied,
    /// It is older than the device's last fix, and had no effect.
    Late,
    /// It is as old as the device's last fix, and had no effect.
    Duplicate,
}

/// What a fix met, besides its transitions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    /// Whether it was not accurate enough to change anything in some zone near.
    pub(super) inaccurate: bool,
    /// How many shapes were asked.
    pub(super) exact_tests: u64,
}

/// What is due at a fix, in no order.
#[derive(Default)]
struct Due<'a> {
    /// Which stay ends, by which version of its zone.
    exits: Vec<(usize, i64)>,
    enters: Vec<&'a Arc<PreparedZone>>,
    dwells: Vec<(ZoneId, i64)>,
}

/// What all transitions of one occasion share.
#[derive(Clone, Copy)]
pub(super) struct Occasion {
    pub(super) at: UnixMillis,
    pub(super) initial: bool,
    pub(super) received_at: Option<UnixMillis>,
}

impl Device {
    /// A device is in at most so many zones at a time; others are not entered while it is. What it is in must fit
    /// into one record of the log, or one tenant's heap of zones would stop everyone's pings.
    pub const MOST_STAYS: usize = 3_000;

    /// It was made of its first fix.
    pub(super) fn on_first_fix(&mut self, zones: &Around<'_>, out: &mut Vec<Transition>) -> Met {
        let (at, received_at) = (self.last_fix.time, Some(self.last_received));
        self.meet(zones, Occasion { at, initial: true, received_at }, out)
    }

    /// A further fix, and the zones that the line to it passes, if that is asked for.
    pub(super) fn on_fix(
        &mut self,
        fix: &Fix,
        received_at: UnixMillis,
        crossings: &[Crossing],
        zones: &Around<'_>,
        rules: &Rules,
        out: &mut Vec<Transition>,
    ) -> (FixOutcome, Met) {
        self.on_silence(received_at, rules, out);
        if self.is_forgotten_at(received_at, rules) {
            *self = Self::new(self.key.clone(), fix.clone(), received_at);
            return (FixOutcome::Applied, self.on_first_fix(zones, out));
        }
        self.last_received = self.last_received.max(received_at);
        if fix.time == self.last_fix.time {
            return (FixOutcome::Duplicate, Met::default());
        }
        if fix.time < self.last_fix.time {
            return (FixOutcome::Late, Met::default());
        }
        if fix.time.since_ms(self.last_fix.time) > rules.expire_after_ms {
            self.expire(Some(received_at), rules, out);
        }
        self.last_fix = fix.clone();
        self.cross(crossings, received_at, out);
        let occasion = Occasion { at: fix.time, initial: false, received_at: Some(received_at) };
        (FixOutcome::Applied, self.meet(zones, occasion, out))
    }

    /// Nothing else was received up to `now`.
    pub fn on_silence(&mut self, now: UnixMillis, rules: &Rules, out: &mut Vec<Transition>) {
        if now >= self.expires_at(rules) {
            self.expire(None, rules, out);
        }
    }

    /// A zone that it may be in has a new version. An edit never makes an enter, and the last fix's accuracy does not
    /// matter.
    pub fn on_zone_change(&mut self, change: &ZoneChange, out: &mut Vec<Transition>) {
        let Ok(i) = self.find(change.zone) else { return };
        let entered_by = self.memberships[i].zone_version;
        // Entered by this version or a newer one: the change was there already.
        if change.version.is_some_and(|version| version <= entered_by) {
            return;
        }
        // Removed and live again, and only the latest version was seen: the removal ended the stay all the same.
        let removal = change.removal.filter(|removal| removal.version > entered_by);
        let by_version = (change.version.unwrap_or(entered_by), change.at);
        let (reason, (version, at)) = match (removal, &change.now) {
            (Some(removal), _) => (ExitReason::ZoneRemoved, (removal.version, removal.at)),
            (None, None) => (ExitReason::ZoneRemoved, by_version),
            (None, Some(zone)) if zone.is_left_at(self.last_fix.position) => {
                (ExitReason::ZoneChanged, by_version)
            }
            (None, Some(_)) => return,
        };
        let stay = self.memberships.remove(i);
        let occasion = Occasion { at: at.max(self.last_fix.time), initial: false, received_at: None };
        self.emit(&stay, TransitionKind::Exit(reason), version, occasion, out);
    }

    /// It was deleted by a request accepted at `received_at`; what is left of it must be dropped.
    pub fn on_forget(&mut self, received_at: UnixMillis, rules: &Rules, out: &mut Vec<Transition>) {
        self.on_silence(received_at, rules, out);
        let occasion = Occasion {
            at: received_at.max(self.last_fix.time),
            initial: false,
            received_at: Some(received_at),
        };
        self.exit_all(ExitReason::DeviceRemoved, occasion, out);
    }

    fn expire(&mut self, received_at: Option<UnixMillis>, rules: &Rules, out: &mut Vec<Transition>) {
        let at = self.last_fix.time.plus_ms(rules.expire_after_ms);
        self.exit_all(ExitReason::Expired, Occasion { at, initial: false, received_at }, out);
    }

    fn exit_all(&mut self, reason: ExitReason, occasion: Occasion, out: &mut Vec<Transition>) {
        for stay in std::mem::take(&mut self.memberships) {
            self.emit(&stay, TransitionKind::Exit(reason), stay.zone_version, occasion, out);
        }
    }

    /// What the last fix means in the zones near it, and in those that it is in.
    fn meet(&mut self, zones: &Around<'_>, occasion: Occasion, out: &mut Vec<Transition>) -> Met {
        let mut met = Met::default();
        let mut due = Due::default();
        let mut seen = 0;
        let position = self.last_fix.position;
        for zone in zones.covering() {
            seen += usize::from(self.judge(zone, true, occasion.at, &mut due, &mut met));
        }
        for zone in zones.touching_at(position) {
            seen += usize::from(self.judge(zone, false, occasion.at, &mut due, &mut met));
        }
        if seen < self.memberships.len() {
            self.judge_elsewhere(zones, occasion.at, &mut due, &mut met);
        }
        self.apply(due, occasion, out);
        met
    }

    /// Notes what the last fix makes due in one zone, and says whether it is a member there.
    fn judge<'a>(
        &self,
        zone: &'a Arc<PreparedZone>,
        surely_inside: bool,
        at: UnixMillis,
        due: &mut Due<'a>,
        met: &mut Met,
    ) -> bool {
        let stay = self.find(zone.id);
        if !zone.admits(&self.last_fix) {
            met.inaccurate = true;
            return stay.is_ok();
        }
        let position = self.last_fix.position;
        met.exact_tests += u64::from(!surely_inside);
        match stay {
            Err(_) if surely_inside || zone.contains(position) => due.enters.push(zone),
            Err(_) => {}
            Ok(i) if !surely_inside && zone.is_left_at(position) => due.exits.push((i, zone.version)),
            Ok(i) if zone.dwell_at(&self.memberships[i]).is_some_and(|due_at| at >= due_at) => {
                due.dwells.push((zone.id, zone.version));
            }
            Ok(_) => {}
        }
        stay.is_ok()
    }

    /// Judges the members' zones that are not at the position: it may be in their buffers, or far away.
    fn judge_elsewhere(&self, zones: &Around<'_>, at: UnixMillis, due: &mut Due<'_>, met: &mut Met) {
        let mut here = vec![false; self.memberships.len()];
        for zone in zones.covering().chain(zones.touching_at(self.last_fix.position)) {
            if let Ok(i) = self.find(zone.id) {
                here[i] = true;
            }
        }
        let elsewhere = self.memberships.iter().zip(here).filter(|(_, here)| !here);
        // A zone that is not there any more is left by its change, which is on its way.
        for zone in elsewhere.filter_map(|(stay, _)| zones.get(stay.zone)) {
            let mut due_there = Due::default();
            self.judge(&zone, false, at, &mut due_there, met);
            due.exits.append(&mut due_there.exits);
            due.dwells.append(&mut due_there.dwells);
        }
    }

    /// Exits, then enters, then dwells, each by zone.
    fn apply(&mut self, mut due: Due<'_>, occasion: Occasion, out: &mut Vec<Transition>) {
        due.exits.sort_unstable();
        for (gone, (i, version)) in due.exits.into_iter().enumerate() {
            let stay = self.memberships.remove(i - gone);
            self.emit(&stay, TransitionKind::Exit(ExitReason::Left), version, occasion, out);
        }
        due.enters.sort_unstable_by_key(|zone| zone.id);
        for zone in due.enters {
            let Err(place) = self.find(zone.id) else { continue };
            if self.memberships.len() >= Self::MOST_STAYS {
                break;
            }
            let stay = zone.stay_since(occasion.at);
            self.emit(&stay, TransitionKind::Enter, zone.version, occasion, out);
            self.memberships.insert(place, stay);
        }
        due.dwells.sort_unstable();
        for (zone, version) in due.dwells {
            let Ok(i) = self.find(zone) else { continue };
            self.memberships[i].dwelled = true;
            let stay = self.memberships[i].clone();
            self.emit(&stay, TransitionKind::Dwell, version, occasion, out);
        }
    }

    pub(super) fn emit(
        &mut self,
        stay: &Membership,
        kind: TransitionKind,
        zone_version: i64,
        occasion: Occasion,
        out: &mut Vec<Transition>,
    ) {
        self.seq += 1;
        let DeviceKey { tenant, device } = self.key.clone();
        let Occasion { at, initial, received_at } = occasion;
        out.push(Transition {
            id: TransitionId::of(tenant, &device, stay.zone, kind, at),
            seq: self.seq,
            tenant,
            device,
            zone: stay.zone,
            zone_external_id: stay.zone_external_id.clone(),
            kind,
            at,
            fix: self.last_fix.clone(),
            initial,
            dwell_s: (kind != TransitionKind::Enter).then(|| at.since_ms(stay.since).div_euclid(1000)),
            zone_version,
            incarnation: self.incarnation,
            received_at,
        });
    }
}

impl PreparedZone {
    /// The stay of a device that came in then.
    pub(super) fn stay_since(&self, since: UnixMillis) -> Membership {
        Membership {
            zone: self.id,
            zone_external_id: self.external_id.clone(),
            since,
            dwelled: false,
            zone_version: self.version,
        }
    }

    /// When a stay that began then dwells, at the first fix that is not before.
    pub(super) fn dwell_at(&self, stay: &Membership) -> Option<UnixMillis> {
        let dwell_ms = self.dwell_ms.filter(|_| !stay.dwelled)?;
        // A stay that began with a fix has not lasted at that fix, however short a dwell is.
        Some(stay.since.plus_ms(dwell_ms.max(1)))
    }
}
