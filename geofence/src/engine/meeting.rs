//! What a device's last fix means in the zones near it, and in those that it is in.

use std::hint::black_box;
use std::sync::Arc;

use geopush_model::{ExitReason, TransitionKind, UnixMillis, ZoneId};

use super::index::{Around, Lies, Near};
use super::step::Occasion;
use super::tags::{Tag, Tags};
use super::{Device, PreparedZone, Said};

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
struct Due<'z> {
    /// Which stay ends, by which version of its zone.
    exits: Vec<(usize, i64)>,
    enters: Vec<&'z Arc<PreparedZone>>,
    dwells: Vec<(ZoneId, i64)>,
}

/// A device among zones.
struct Meeting<'d, 'z> {
    device: &'d Device,
    at: UnixMillis,
    /// The zones that it is in.
    stays: Tags,
    /// Which of its stays were judged.
    judged: Vec<bool>,
    due: Due<'z>,
    met: Met,
}

impl Device {
    /// What the last fix means in the zones near it, and in those that it is in.
    pub(super) fn meet(&mut self, near: &Near<'_>, occasion: Occasion, out: &mut Vec<Said>) -> Met {
        let mut meeting = Meeting::of(self, occasion.at);
        for &(lies, zone) in near.zones() {
            meeting.judge(zone, lies);
        }
        meeting.judge_others(near.around());
        let Meeting { due, met, .. } = meeting;
        self.apply(due, occasion, out);
        met
    }

    /// Exits, then enters, then dwells, each by zone.
    fn apply(&mut self, mut due: Due<'_>, occasion: Occasion, out: &mut Vec<Said>) {
        due.exits.sort_unstable();
        for (gone, (i, version)) in due.exits.into_iter().enumerate() {
            let stay = self.stays.remove(i - gone);
            self.emit(&stay, TransitionKind::Exit(ExitReason::Left), version, occasion, out);
        }
        due.enters.sort_unstable_by_key(|zone| zone.id);
        for zone in due.enters {
            let Err(place) = self.find(zone.id) else { continue };
            if self.stays.len() >= Self::MOST_STAYS {
                break;
            }
            let stay = zone.stay_since(occasion.at);
            self.emit(&stay, TransitionKind::Enter, zone.version, occasion, out);
            self.stays.insert(place, stay);
        }
        due.dwells.sort_unstable();
        for (zone, version) in due.dwells {
            let Ok(i) = self.find(zone) else { continue };
            self.stays[i].dwelled = true;
            let stay = self.stays[i].clone();
            self.emit(&stay, TransitionKind::Dwell, version, occasion, out);
        }
    }
}

impl<'d, 'z> Meeting<'d, 'z> {
    fn of(device: &'d Device, at: UnixMillis) -> Self {
        let judged = vec![false; device.stays.len()];
        Self { device, at, stays: device.tags(), judged, due: Due::default(), met: Met::default() }
    }

    /// Notes what the fix makes due in a zone near.
    fn judge(&mut self, zone: &'z Arc<PreparedZone>, lies: Lies) {
        if self.stays.may_hold(Tag::of(zone.id))
            && let Some(i) = self.device.place_of(zone.id)
        {
            self.judge_stay(i, zone, lies);
        } else if lies != Lies::Beside
            && self.admits(zone, lies)
            && (lies == Lies::Round || zone.contains(self.device.last_fix.position))
        {
            // Asks the memory for what its stay will share.
            black_box(zone.external_id.as_deref().map(str::as_bytes).and_then(<[u8]>::first));
            self.due.enters.push(zone);
        }
    }

    /// Notes what the fix makes due in a zone that the device is in.
    fn judge_stay(&mut self, i: usize, zone: &PreparedZone, lies: Lies) {
        self.judged[i] = true;
        if !self.admits(zone, lies) {
            return;
        }
        if lies != Lies::Round && zone.is_left_at(self.device.last_fix.position) {
            self.due.exits.push((i, zone.version));
        } else if zone.dwell_at(&self.device.stays[i]).is_some_and(|due_at| self.at >= due_at) {
            self.due.dwells.push((zone.id, zone.version));
        }
    }

    /// Judges the stays in zones that are not at the position: it may be in their buffers, or far away.
    fn judge_others(&mut self, zones: &Around<'_>) {
        if self.judged.iter().all(|judged| *judged) {
            return;
        }
        let others = self.device.stays.iter().zip(&self.judged).filter(|(_, judged)| !**judged);
        let others: Tags = others.map(|(stay, _)| stay.zone).collect();
        for zone in zones.left_among(others) {
            if others.may_hold(Tag::of(zone.id))
                && let Some(i) = self.device.place_of(zone.id).filter(|i| !self.judged[*i])
            {
                self.judge_stay(i, zone, Lies::Beside);
            }
        }
        for (i, stay) in self.device.stays.iter().enumerate() {
            // A zone that is not there any more is left by its change, which is on its way.
            if !self.judged[i]
                && let Some(zone) = zones.get(stay.zone)
            {
                self.judge_stay(i, &zone, Lies::Beside);
            }
        }
    }

    /// Whether the fix is accurate enough for a zone, which may be asked its shape then.
    fn admits(&mut self, zone: &PreparedZone, lies: Lies) -> bool {
        let admitted = zone.admits(&self.device.last_fix);
        self.met.inaccurate |= !admitted;
        self.met.exact_tests += u64::from(admitted && lies != Lies::Round);
        admitted
    }
}
