//! Fixes that a glance does not decide, a few at a time: what they need of the zones is asked of the memory side by side.

use std::hint::black_box;

use geopush_model::Fix;

use super::judge::Which;
use super::take::{Arrival, Outcomes};
use super::{Devices, Slot};
use crate::engine::index::Near;
use crate::engine::tags::Tags;
use crate::engine::{Around, Device, TileId, ZoneIndex};

/// The fixes of an arrival from the first that a glance does not decide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsure<'a> {
    pub(super) number: usize,
    pub(super) arrival: &'a Arrival<'a>,
    /// Where the device is, if it was here.
    pub(super) slot: Option<Slot>,
    pub(super) fixes: &'a [Fix],
}

impl Unsure<'_> {
    /// So many are settled together: a thread can keep eight tiles' zones at a time without counting references, and
    /// to settle one takes up to two more.
    pub(super) const ENOUGH: usize = 6;
}

impl Devices {
    /// Decides all, in order.
    pub(super) fn settle(&mut self, zones: &ZoneIndex, all: &mut Vec<Unsure<'_>>, out: &mut Outcomes) {
        for few in all.chunks(Unsure::ENOUGH) {
            let arounds = self.ask_zones_early(zones, few);
            let nears = self.ask_near_early(few, &arounds);
            for (unsure, near) in few.iter().zip(&nears) {
                self.settle_one(zones, unsure, near, out);
            }
        }
        all.clear();
    }

    /// What is round the first fixes. Each loop asks the memory for what the next one needs.
    fn ask_zones_early<'z>(&self, zones: &'z ZoneIndex, few: &[Unsure<'_>]) -> Vec<Around<'z>> {
        let slots = || few.iter().filter_map(|unsure| unsure.slot);
        black_box(slots().fold(0, |sum, slot| sum ^ self.histories[slot.0].first()));
        let tile = |slot: Slot| self.lines[slot.0].tile();
        black_box(slots().filter_map(tile).fold(0, |sum, tile| sum ^ zones.touch(tile)));
        let members = slots().filter_map(|slot| self.member(slot));
        black_box(members.flat_map(|device| &device.stays).fold(0, |sum, stay| sum ^ stay.since.0));
        let hints: Vec<_> = few
            .iter()
            .map(|unsure| {
                let (before, position) = (unsure.slot.and_then(tile), unsure.fixes[0].position);
                zones.tile_at(unsure.arrival.tenant, position, before)
            })
            .collect();
        black_box(hints.iter().flatten().fold(0, |sum, tile| sum ^ zones.touch(*tile)));
        let begin = |(unsure, hint): (&Unsure<'_>, Option<TileId>)| {
            self.begin(zones, hint, unsure.slot, unsure.arrival, &unsure.fixes[0])
        };
        let mut arounds: Vec<_> = few.iter().zip(hints).map(begin).collect();
        while arounds.iter_mut().fold(false, |any, around| any | around.step()) {}
        black_box(arounds.iter().fold(0, |sum, around| sum ^ around.touch_lists()));
        arounds
    }

    /// The zones near, which are asked of the memory, too.
    fn ask_near_early<'a>(&self, few: &[Unsure<'_>], arounds: &'a [Around<'_>]) -> Vec<Near<'a>> {
        let near = |(unsure, around): (&Unsure<'_>, &'a Around<'_>)| {
            let stays = unsure.slot.map_or(Tags::NONE, |slot| self.tags(slot));
            let near = around.near(stays);
            let left = around.left_among(stays).fold(0, |sum, zone| sum ^ zone.touch());
            black_box(near.touch() ^ left);
            near
        };
        few.iter().zip(arounds).map(near).collect()
    }

    /// The zones that a device is in.
    fn tags(&self, slot: Slot) -> Tags {
        self.member(slot).map_or(Tags::NONE, Device::tags)
    }

    /// Begins to look round a fix.
    fn begin<'z>(
        &self,
        zones: &'z ZoneIndex,
        hint: Option<TileId>,
        slot: Option<Slot>,
        arrival: &Arrival<'_>,
        fix: &Fix,
    ) -> Around<'z> {
        let around = zones.begin(arrival.tenant, fix.position, hint);
        let line = slot.map(|slot| &self.lines[slot.0]);
        match line.filter(|line| line.member().is_some()) {
            Some(line) => around.coming_from(line.position),
            None => around,
        }
    }

    fn settle_one(&mut self, zones: &ZoneIndex, unsure: &Unsure<'_>, first: &Near<'_>, out: &mut Outcomes) {
        let Unsure { number, arrival, fixes, .. } = *unsure;
        // A device that was not here may be by now.
        let known = unsure.slot.or_else(|| self.find(arrival.hash));
        let which = if known.is_some() { Which::Further } else { Which::First };
        let slot = known.unwrap_or_else(|| {
            let slot = self.add(arrival.hash);
            out.born.push((number, slot));
            slot
        });
        self.judge((zones, first), slot, (number, arrival), (which, &fixes[0]), out);
        let mut rest = &fixes[1..];
        loop {
            let decided = self.glance_at(zones, slot, arrival, rest, out);
            let Some((fix, after)) = rest[decided..].split_first() else { break };
            let hint = self.lines[slot.0].tile();
            let around = self.begin(zones, hint, Some(slot), arrival, fix).stepped();
            let near = around.near(self.tags(slot));
            self.judge((zones, &near), slot, (number, arrival), (Which::Further, fix), out);
            rest = after;
        }
    }
}
