//! What a device's last fix means in the zones near it, and in those that it is in.

use std::hint::black_box;
use std::sync::Arc;

use geopush_model::{ExitReason, TransitionKind, UnixMillis, ZoneId};

use super::index::{Around, Lies, Near};
use super::said::Occasion;
use super::tags::{Places, Tags};
use super::{Device, PreparedZone, Said};

/// What a fix met, besides its transitions.
#[derive(Debug)]
pub(super) struct Met<'z> {
    /// Whether it was not accurate enough to change anything in some zone near.
    pub(super) inaccurate: bool,
    /// How many shapes were asked.
    pub(super) exact_tests: u64,
    /// The zones near that the next fix may change something in, each as it is for the device after this one: what a safe
    /// box is made of, so that no zone is asked twice which of them it is.
    pub(super) judged: Vec<Judged<'z>>,
    /// A dwell may be due at a fix from then on, in a zone near that the device is in.
    pub(super) dwell_at: UnixMillis,
}

/// A zone near, after a fix was judged by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'z> {
    pub(super) zone: &'z PreparedZone,
    pub(super) lies: Lies,
    /// Whether the device is in it.
    pub(super) is_in: bool,
    /// Whether the fix was accurate enough to change that.
    pub(super) admitted: bool,
}

impl Met<'_> {
    /// A fix that was judged by no zone.
    pub(super) const NOTHING: Self =
        Self { inaccurate: false, exact_tests: 0, judged: Vec::new(), dwell_at: UnixMillis(i64::MAX) };
}

/// What is due at a fix, in no order.
#[derive(Default)]
struct Due<'z> {
    /// Which stay ends, by which version of its zone.
    exits: Vec<(usize, i64)>,
    enters: Vec<&'z Arc<PreparedZone>>,
    dwells: Vec<(ZoneId, i64)>,
}

impl Due<'_> {
    fn is_anything(&self) -> bool {
        !self.exits.is_empty() || !self.enters.is_empty() || !self.dwells.is_empty()
    }
}

/// A device among zones.
struct Meeting<'d, 'z> {
    device: &'d Device,
    at: UnixMillis,
    /// Where its stays are.
    places: Places,
    /// Which of them were judged.
    are_judged: Vec<bool>,
    due: Due<'z>,
    met: Met<'z>,
}

impl Device {
    /// What the last fix means in the zones near it, and in those that it is in.
    pub(super) fn meet<'z>(
        &mut self,
        near: &'z Near<'_>,
        (initial, received_at): (bool, UnixMillis),
        out: &mut Vec<Said>,
    ) -> Met<'z> {
        let mut meeting = Meeting::of(self, near.zones().len());
        for &(lies, zone) in near.zones() {
            meeting.judge(zone, lies);
        }
        meeting.judge_others(near.around());
        let Meeting { due, met, .. } = meeting;
        if due.is_anything() {
            let (at, fix) = (self.last_fix.time, self.last_fix.clone());
            let received_at = Some(received_at);
            let occasion = Occasion { at, fix, initial, incarnation: self.incarnation, received_at };
            self.apply(due, &Arc::new(occasion), out);
        }
        met
    }

    /// Exits, then enters, then dwells, each by zone.
    fn apply(&mut self, mut due: Due<'_>, occasion: &Arc<Occasion>, out: &mut Vec<Said>) {
        due.exits.sort_unstable();
        for (gone, (i, version)) in due.exits.into_iter().enumerate() {
            let stay = self.stays.remove(i - gone);
            self.emit(stay, TransitionKind::Exit(ExitReason::Left), version, occasion, out);
        }
        due.enters.sort_unstable_by_key(|zone| zone.id);
        for zone in due.enters {
            let Err(place) = self.find(zone.id) else { continue };
            if self.stays.len() >= Self::MOST_STAYS {
                break;
            }
            let stay = zone.stay_since(occasion.at);
            self.emit(stay.clone(), TransitionKind::Enter, zone.version, occasion, out);
            self.stays.insert(place, stay);
        }
        due.dwells.sort_unstable();
        for (zone, version) in due.dwells {
            let Ok(i) = self.find(zone) else { continue };
            self.stays[i].dwelled = true;
            self.emit(self.stays[i].clone(), TransitionKind::Dwell, version, occasion, out);
        }
    }
}

impl<'d, 'z> Meeting<'d, 'z> {
    fn of(device: &'d Device, zones: usize) -> Self {
        let at = device.last_fix.time;
        let are_judged = vec![false; device.stays.len()];
        let met = Met { judged: Vec::with_capacity(zones), ..Met::NOTHING };
        Self { device, at, places: Places::of(&device.stays), are_judged, due: Due::default(), met }
    }

    /// Notes what the fix makes due in a zone near.
    fn judge(&mut self, zone: &'z Arc<PreparedZone>, lies: Lies) {
        let stay = self.places.find(zone.id, &self.device.stays);
        if stay.is_none() && lies == Lies::Beside {
            return;
        }
        let admitted = self.admits(zone, lies);
        let is_in = match stay {
            Some(i) => self.judge_stay(i, zone, (lies, admitted)),
            None => admitted && self.judge_enter(zone, lies),
        };
        self.met.judged.push(Judged { zone, lies, is_in, admitted });
    }

    /// Notes what the fix makes due in a zone that the device is in; says whether it still is afterwards.
    fn judge_stay(&mut self, i: usize, zone: &PreparedZone, (lies, admitted): (Lies, bool)) -> bool {
        self.are_judged[i] = true;
        if admitted && lies != Lies::Round && zone.is_left_at(self.device.last_fix.position) {
            self.due.exits.push((i, zone.version));
            return false;
        }
        match zone.dwell_at(&self.device.stays[i]) {
            Some(due_at) if admitted && self.at >= due_at => self.due.dwells.push((zone.id, zone.version)),
            Some(due_at) => self.met.dwell_at = self.met.dwell_at.min(due_at),
            None => {}
        }
        true
    }

    /// Notes whether an accurate fix enters a zone, and says so.
    fn judge_enter(&mut self, zone: &'z Arc<PreparedZone>, lies: Lies) -> bool {
        let enters = lies == Lies::Round || zone.contains(self.device.last_fix.position);
        if enters {
            // Asks the memory for what its stay will share.
            black_box(zone.external_id.as_deref().map(str::as_bytes).and_then(<[u8]>::first));
            let dwell_at = zone.dwell_after(self.at).unwrap_or(self.met.dwell_at);
            self.met.dwell_at = self.met.dwell_at.min(dwell_at);
            self.due.enters.push(zone);
        }
        enters
    }

    /// Judges the stays in zones that are not at the position: it may be in their buffers, or far away.
    fn judge_others(&mut self, zones: &Around<'_>) {
        if self.are_judged.iter().all(|judged| *judged) {
            return;
        }
        let others = self.device.stays.iter().zip(&self.are_judged).filter(|(_, judged)| !**judged);
        let others: Tags = others.map(|(stay, _)| stay.zone).collect();
        for zone in zones.left_among(others) {
            if let Some(i) = self.places.find(zone.id, &self.device.stays)
                && !self.are_judged[i]
            {
                let admitted = self.admits(zone, Lies::Beside);
                self.judge_stay(i, zone, (Lies::Beside, admitted));
            }
        }
        for (i, stay) in self.device.stays.iter().enumerate() {
            // A zone that is not there any more is left by its change, which is on its way.
            if !self.are_judged[i]
                && let Some(zone) = zones.get(stay.zone)
            {
                let admitted = self.admits(&zone, Lies::Beside);
                self.judge_stay(i, &zone, (Lies::Beside, admitted));
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
