//! What is kept of the devices that are in zones, beside their lines.

use std::collections::BTreeMap;

use geopush_model::{Fix, UnixMillis, ZoneId};

use super::Slot;
use super::chunked::Chunked;
use super::looks::Looks;
use crate::engine::memory::ask;
use crate::engine::{Device, Rules};

/// The members' parts, and when to look whether a member has fallen silent.
#[derive(Debug)]
pub(super) struct Members {
    parts: Chunked<Option<Member>>,
    free: Vec<u32>,
    looks: Looks,
}

/// A device in zones.
#[derive(Debug)]
struct Member {
    slot: Slot,
    /// All of it, but that its line knows better when anything was received last.
    device: Device,
    /// No dwell is due at a fix before this.
    dwell_at: UnixMillis,
}

impl Members {
    pub(super) fn new() -> Self {
        Self { parts: Chunked::new(), free: Vec::new(), looks: Looks::default() }
    }

    /// Asks the memory for what [`Self::remember`] reads and changes.
    #[inline]
    pub(super) fn ask(&self, place: u32) {
        if let Some(member) = &self.parts[place] {
            ask(&member.dwell_at);
            ask(&member.device.last_fix);
            ask(&member.device.last_fix.id);
        }
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
        let expires_at = device.expires_at(rules);
        let part = Some(Member { slot, device, dwell_at });
        let place = match self.free.pop() {
            Some(place) => {
                self.parts[place] = part;
                place
            }
            None => self.parts.push(part),
        };
        self.looks.expect(place, expires_at);
        place
    }

    /// Drops the part of a device that is in no zone any more.
    pub(super) fn remove(&mut self, place: u32) {
        if self.parts[place].take().is_some() {
            self.free.push(place);
        }
    }

    /// The zones that any device is in, each with one of them.
    pub(super) fn zones(&self) -> BTreeMap<ZoneId, Slot> {
        let stays = self
            .parts
            .iter()
            .flatten()
            .flat_map(|Member { slot, device, .. }| device.stays.iter().map(|stay| (stay.zone, *slot)));
        stays.collect()
    }

    pub(super) fn may_expire(&self, now: UnixMillis) -> bool {
        self.looks.are_due(now)
    }

    /// A member of which nothing was received for too long. `received_at` says when anything was last.
    pub(super) fn next_silent(
        &mut self,
        now: UnixMillis,
        rules: &Rules,
        received_at: impl Fn(Slot) -> UnixMillis,
    ) -> Option<Slot> {
        while let Some(places) = self.looks.pop(now) {
            let mut first: Option<(UnixMillis, Slot)> = None;
            for place in places {
                let Some(Some(member)) = self.parts.get(place) else { continue };
                let expires_at = received_at(member.slot).plus_ms(rules.expire_after_ms);
                self.looks.expect(place, expires_at);
                let next = (expires_at, member.slot);
                first = Some(first.map_or(next, |first| first.min(next)));
            }
            if let Some((_, slot)) = first.filter(|(at, _)| *at <= now) {
                return Some(slot);
            }
        }
        None
    }

    fn part_mut(&mut self, place: u32) -> &mut Member {
        self.parts[place].as_mut().expect("a part for every member")
    }

    fn part(&self, place: u32) -> &Member {
        self.parts[place].as_ref().expect("a part for every member")
    }
}
