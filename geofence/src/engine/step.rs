//! The state machine: what a fix, a zone's change, a silence or a deletion means for one device.
//!
//! Every method appends the transitions that follow, in order, and leaves the device as it is after them.

use geopush_model::{
    DeviceKey, ExitReason, Fix, Membership, Transition, TransitionId, TransitionKind, UnixMillis,
};

use super::{Device, Rules, TenantZones, ZoneChange};

/// What became of a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FixOutcome {
    /// It is the device's last fix now.
    Applied,
    /// It is older than the device's last fix, and had no effect.
    Late,
    /// It is as old as the device's last fix, and had no effect.
    Duplicate,
}

/// What all transitions of one occasion share.
#[derive(Clone, Copy)]
struct Occasion {
    at: UnixMillis,
    initial: bool,
    received_at: Option<UnixMillis>,
}

impl Device {
    /// A device is in at most so many zones at a time; others are not entered while it is. What it is in must fit
    /// into one record of the log, or one tenant's heap of zones would stop everyone's pings.
    pub const MOST_STAYS: usize = 3_000;

    /// A device's first fix.
    pub fn appear(
        key: DeviceKey,
        fix: &Fix,
        received_at: UnixMillis,
        zones: &TenantZones,
        out: &mut Vec<Transition>,
    ) -> Self {
        let mut device = Self::new(key, fix.clone(), received_at);
        device.enter(zones, Occasion { at: fix.time, initial: true, received_at: Some(received_at) }, out);
        device
    }

    /// A further fix.
    pub fn on_fix(
        &mut self,
        fix: &Fix,
        received_at: UnixMillis,
        zones: &TenantZones,
        rules: &Rules,
        out: &mut Vec<Transition>,
    ) -> FixOutcome {
        self.on_silence(received_at, rules, out);
        if self.is_forgotten_at(received_at, rules) {
            *self = Self::appear(self.key.clone(), fix, received_at, zones, out);
            return FixOutcome::Applied;
        }
        self.last_received = self.last_received.max(received_at);
        if fix.time == self.last_fix.time {
            return FixOutcome::Duplicate;
        }
        if fix.time < self.last_fix.time {
            return FixOutcome::Late;
        }
        if fix.time.since_ms(self.last_fix.time) > rules.expire_after_ms {
            self.expire(Some(received_at), rules, out);
        }
        self.last_fix = fix.clone();
        let occasion = Occasion { at: fix.time, initial: false, received_at: Some(received_at) };
        self.leave(zones, occasion, out);
        self.enter(zones, occasion, out);
        self.dwell(zones, occasion, out);
        FixOutcome::Applied
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

    fn leave(&mut self, zones: &TenantZones, occasion: Occasion, out: &mut Vec<Transition>) {
        let mut i = 0;
        while i < self.memberships.len() {
            // A zone that is not there any more is left by its change, which is on its way.
            let zone = zones.get(self.memberships[i].zone);
            match zone.filter(|z| z.admits(&self.last_fix) && z.is_left_at(self.last_fix.position)) {
                Some(zone) => {
                    let stay = self.memberships.remove(i);
                    self.emit(&stay, TransitionKind::Exit(ExitReason::Left), zone.version, occasion, out);
                }
                None => i += 1,
            }
        }
    }

    fn enter(&mut self, zones: &TenantZones, occasion: Occasion, out: &mut Vec<Transition>) {
        for zone in zones.containing(self.last_fix.position) {
            let Err(place) = self.find(zone.id) else { continue };
            if !zone.admits(&self.last_fix) || self.memberships.len() >= Self::MOST_STAYS {
                continue;
            }
            let stay = Membership {
                zone: zone.id,
                zone_external_id: zone.external_id.clone(),
                since: occasion.at,
                dwelled: false,
                zone_version: zone.version,
            };
            self.emit(&stay, TransitionKind::Enter, zone.version, occasion, out);
            self.memberships.insert(place, stay);
        }
    }

    fn dwell(&mut self, zones: &TenantZones, occasion: Occasion, out: &mut Vec<Transition>) {
        for i in 0..self.memberships.len() {
            let stay = &self.memberships[i];
            // A stay that began with this fix has not lasted yet, however short a dwell is.
            if stay.dwelled || stay.since >= occasion.at {
                continue;
            }
            let Some(zone) = zones.get(stay.zone).filter(|zone| zone.admits(&self.last_fix)) else {
                continue;
            };
            if zone.dwell_ms.is_some_and(|dwell_ms| occasion.at.since_ms(stay.since) >= dwell_ms) {
                self.memberships[i].dwelled = true;
                let stay = self.memberships[i].clone();
                self.emit(&stay, TransitionKind::Dwell, zone.version, occasion, out);
            }
        }
    }

    fn emit(
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
