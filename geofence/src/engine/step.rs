//! The state machine: what a fix, a zone's change, a silence or a deletion means for one device.
//!
//! Every method appends the transitions that follow, in order, and leaves the device as it is after them.

use std::sync::Arc;

use geopush_model::{ExitReason, Fix, TransitionKind, UnixMillis};

use super::crossings::Crossing;
use super::index::Near;
use super::meeting::Met;
use super::said::Occasion;
use super::{Device, PreparedZone, Rules, Said, Stay, ZoneChange};

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

impl Device {
    /// A device is in at most so many zones at a time; others are not entered while it is. What it is in must fit
    /// into one record of the log, or one tenant's heap of zones would stop everyone's pings.
    pub const MOST_STAYS: usize = 3_000;

    /// It was made of its first fix.
    pub(super) fn on_first_fix<'z>(&mut self, near: &'z Near<'_>, out: &mut Vec<Said>) -> Met<'z> {
        self.meet(near, (true, self.last_received), out)
    }

    /// A further fix, and the zones that the line to it passes, if that is asked for.
    pub(super) fn on_fix<'z>(
        &mut self,
        fix: &Fix,
        received_at: UnixMillis,
        crossings: &[Crossing],
        near: &'z Near<'_>,
        rules: &Rules,
        out: &mut Vec<Said>,
    ) -> (FixOutcome, Met<'z>) {
        self.on_silence(received_at, rules, out);
        if self.is_forgotten_at(received_at, rules) {
            *self = Self::new(self.key.clone(), fix.clone(), received_at);
            return (FixOutcome::Applied, self.on_first_fix(near, out));
        }
        self.last_received = self.last_received.max(received_at);
        if fix.time == self.last_fix.time {
            return (FixOutcome::Duplicate, Met::NOTHING);
        }
        if fix.time < self.last_fix.time {
            return (FixOutcome::Late, Met::NOTHING);
        }
        if fix.time.since_ms(self.last_fix.time) > rules.expire_after_ms {
            self.expire(Some(received_at), rules, out);
        }
        self.last_fix = fix.clone();
        self.cross(crossings, received_at, out);
        (FixOutcome::Applied, self.meet(near, (false, received_at), out))
    }

    /// Nothing else was received up to `now`.
    pub fn on_silence(&mut self, now: UnixMillis, rules: &Rules, out: &mut Vec<Said>) {
        if now >= self.expires_at(rules) {
            self.expire(None, rules, out);
        }
    }

    /// A zone that it may be in has a new version. An edit never makes an enter, and the last fix's accuracy does not
    /// matter.
    pub fn on_zone_change(&mut self, change: &ZoneChange, out: &mut Vec<Said>) {
        let Ok(i) = self.find(change.zone) else { return };
        let entered_by = self.stays[i].zone_version;
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
        let stay = self.stays.remove(i);
        let occasion = self.occasion(at.max(self.last_fix.time), None);
        self.emit(stay, TransitionKind::Exit(reason), version, &occasion, out);
    }

    /// It was deleted by a request accepted at `received_at`; what is left of it must be dropped.
    pub fn on_forget(&mut self, received_at: UnixMillis, rules: &Rules, out: &mut Vec<Said>) {
        self.on_silence(received_at, rules, out);
        let at = received_at.max(self.last_fix.time);
        self.exit_all(ExitReason::DeviceRemoved, at, Some(received_at), out);
    }

    fn expire(&mut self, received_at: Option<UnixMillis>, rules: &Rules, out: &mut Vec<Said>) {
        let at = self.last_fix.time.plus_ms(rules.expire_after_ms);
        self.exit_all(ExitReason::Expired, at, received_at, out);
    }

    fn exit_all(
        &mut self,
        reason: ExitReason,
        at: UnixMillis,
        received_at: Option<UnixMillis>,
        out: &mut Vec<Said>,
    ) {
        if self.stays.is_empty() {
            return;
        }
        let occasion = self.occasion(at, received_at);
        for stay in std::mem::take(&mut self.stays) {
            let version = stay.zone_version;
            self.emit(stay, TransitionKind::Exit(reason), version, &occasion, out);
        }
    }

    /// An occasion with its last fix, which is not its first one.
    pub(super) fn occasion(&self, at: UnixMillis, received_at: Option<UnixMillis>) -> Arc<Occasion> {
        let (fix, incarnation) = (self.last_fix.clone(), self.incarnation);
        Arc::new(Occasion { at, fix, initial: false, incarnation, received_at })
    }

    pub(super) fn emit(
        &mut self,
        stay: Stay,
        kind: TransitionKind,
        zone_version: i64,
        occasion: &Arc<Occasion>,
        out: &mut Vec<Said>,
    ) {
        self.seq += 1;
        let dwell_s = || occasion.at.since_ms(stay.since).div_euclid(1000);
        out.push(Said {
            seq: self.seq,
            zone: stay.zone,
            kind,
            dwell_s: (kind != TransitionKind::Enter).then(dwell_s),
            zone_external_id: stay.zone_external_id,
            zone_version,
            occasion: Arc::clone(occasion),
        });
    }
}

impl PreparedZone {
    /// The stay of a device that came in then.
    pub(super) fn stay_since(&self, since: UnixMillis) -> Stay {
        Stay {
            zone: self.id,
            zone_external_id: self.external_id.clone(),
            since,
            dwelled: false,
            zone_version: self.version,
        }
    }

    /// When a stay that began then dwells, at the first fix that is not before.
    pub(super) fn dwell_at(&self, stay: &Stay) -> Option<UnixMillis> {
        if stay.dwelled { None } else { self.dwell_after(stay.since) }
    }

    /// When a stay that begins at a fix dwells.
    pub(super) fn dwell_after(&self, since: UnixMillis) -> Option<UnixMillis> {
        Some(since.plus_ms(self.dwell_ms?.get()))
    }
}
