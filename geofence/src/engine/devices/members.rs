//! What is kept of the devices that are in zones, beside their lines.

use std::collections::BTreeSet;
use std::hint::black_box;

use geopush_model::{Fix, Transition, TransitionKind, UnixMillis, ZoneId};
use hashbrown::{HashMap, HashSet};

use super::Slot;
use super::chunked::Chunked;
use crate::engine::{Device, Rules};

/// The members' parts, who is in which zone, and when to look whether a member has fallen silent.
#[derive(Debug)]
pub(super) struct Members {
    parts: Chunked<Option<Member>>,
    free: Vec<u32>,
    by_zone: HashMap<ZoneId, HashSet<Slot>>,
    /// A time for each member before which it does not expire; looked at again then, since pings do not move it.
    looks: BTreeSet<(UnixMillis, Slot)>,
    stays: usize,
}

/// A device in zones.
#[derive(Debug)]
struct Member {
    /// All of it, but that its line knows better when anything was received last.
    device: Device,
    /// No dwell is due at a fix before this.
    dwell_at: UnixMillis,
    look_at: UnixMillis,
}

impl Members {
    pub(super) fn new() -> Self {
        Self {
            parts: Chunked::new(),
            free: Vec::new(),
            by_zone: HashMap::new(),
            looks: BTreeSet::new(),
            stays: 0,
        }
    }

    /// Something of a member's part, to have asked the memory for it.
    #[inline]
    pub(super) fn touch(&self, place: u32) -> i64 {
        let member = self.part(place);
        member.dwell_at.0 ^ member.device.last_fix.time.0
    }

    pub(super) fn device(&self, place: u32) -> &Device {
        &self.part(place).device
    }

    /// Makes a fix that changes nothing its last one; `false`, and nothing is done, if a dwell may be due at it.
    pub(super) fn remember(&mut self, place: u32, fix: &Fix) -> bool {
        let member = self.part_mut(place);
        if fix.time >= member.dwell_at {
            return false;
        }
        let Fix { position, time, accuracy_m, speed_mps, heading_deg, ref id } = *fix;
        let last = &mut member.device.last_fix;
        (last.position, last.time, last.accuracy_m) = (position, time, accuracy_m);
        (last.speed_mps, last.heading_deg) = (speed_mps, heading_deg);
        last.id.clone_from(id);
        true
    }

    /// A member, to be changed; its line knows when anything was received last.
    pub(super) fn device_mut(&mut self, place: u32, last_received: UnixMillis) -> &mut Device {
        let device = &mut self.part_mut(place).device;
        device.last_received = last_received;
        device
    }

    pub(super) fn set_dwell(&mut self, place: u32, dwell_at: UnixMillis) {
        self.part_mut(place).dwell_at = dwell_at;
    }

    /// Makes a part for a device that is in zones now, and says where.
    pub(super) fn add(&mut self, slot: Slot, device: Device, dwell_at: UnixMillis, rules: &Rules) -> u32 {
        let look_at = device.expires_at(rules);
        self.looks.insert((look_at, slot));
        let part = Some(Member { device, dwell_at, look_at });
        match self.free.pop() {
            Some(place) => {
                self.parts[place] = part;
                place
            }
            None => self.parts.push(part),
        }
    }

    /// Drops the part of a device that is in no zone any more.
    pub(super) fn remove(&mut self, slot: Slot, place: u32) {
        if let Some(member) = self.parts[place].take() {
            self.looks.remove(&(member.look_at, slot));
            self.free.push(place);
        }
    }

    /// Notes that a device was written down as being in a zone.
    pub(super) fn enter(&mut self, slot: Slot, zone: ZoneId) {
        self.by_zone.entry(zone).or_default().insert(slot);
        self.stays += 1;
    }

    /// Notes who is where now.
    pub(super) fn note(&mut self, slot: Slot, transitions: &[Transition]) {
        // Asks the memory for all zones' members before the first is needed.
        let members = transitions.iter().filter_map(|transition| self.by_zone.get(&transition.zone));
        black_box(members.fold(0, |sum, slots| sum ^ usize::from(slots.contains(&slot))));
        for transition in transitions {
            match transition.kind {
                TransitionKind::Dwell => {}
                TransitionKind::Enter => self.enter(slot, transition.zone),
                TransitionKind::Exit(_) => {
                    if let Some(slots) = self.by_zone.get_mut(&transition.zone) {
                        slots.remove(&slot);
                        if slots.is_empty() {
                            self.by_zone.remove(&transition.zone);
                        }
                    }
                    self.stays -= 1;
                }
            }
        }
    }

    pub(super) fn of(&self, zone: ZoneId) -> Vec<Slot> {
        let mut slots: Vec<_> = self.by_zone.get(&zone).into_iter().flatten().copied().collect();
        slots.sort_unstable();
        slots
    }

    pub(super) fn zones(&self) -> impl Iterator<Item = (ZoneId, Slot)> {
        self.by_zone.iter().filter_map(|(zone, slots)| Some((*zone, *slots.iter().next()?)))
    }

    pub(super) fn may_expire(&self, now: UnixMillis) -> bool {
        self.looks.first().is_some_and(|(at, _)| *at <= now)
    }

    /// The next member to look at, if that is due.
    pub(super) fn pop_look(&mut self, now: UnixMillis) -> Option<Slot> {
        if self.may_expire(now) { self.looks.pop_first().map(|(_, slot)| slot) } else { None }
    }

    /// Says when to look at a member again.
    pub(super) fn look_again(&mut self, slot: Slot, place: u32, rules: &Rules) {
        let member = self.part_mut(place);
        member.look_at = member.device.expires_at(rules);
        let look = (member.look_at, slot);
        self.looks.insert(look);
    }

    pub(super) fn stays(&self) -> usize {
        self.stays
    }

    fn part_mut(&mut self, place: u32) -> &mut Member {
        self.parts[place].as_mut().expect("a part for every member")
    }

    fn part(&self, place: u32) -> &Member {
        self.parts[place].as_ref().expect("a part for every member")
    }
}
