//! Pings: most change nothing, and their device's line says so.

use std::ops::AddAssign;

use geopush_model::{DeviceId, DeviceKey, Fix, TenantId, UnixMillis};

use super::settle::Unsure;
use super::{DeviceHash, Devices, Slot};
use crate::engine::memory::ask;
use crate::engine::safe_box::SafeBox;
use crate::engine::{FixOutcome, Said, ZoneIndex};

/// One ping's fixes of a device.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Whose device.
    pub tenant: TenantId,
    /// Which one.
    pub device: &'a DeviceId,
    /// The hash of the two.
    pub hash: DeviceHash,
    /// Where it was: sorted by time, the first of equals first.
    pub fixes: &'a [Fix],
    /// When the ping was accepted.
    pub received_at: UnixMillis,
    /// Whether zones count that were passed between two fixes.
    pub detect_crossings: bool,
}

impl Arrival<'_> {
    pub(super) fn key(&self) -> DeviceKey {
        DeviceKey { tenant: self.tenant, device: self.device.clone() }
    }
}

/// What came of arrivals.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Which arrival had which transition; a device's in order.
    pub transitions: Vec<(usize, Said)>,
    /// Which arrival was its device's first, and where the device is from now on.
    pub born: Vec<(usize, Slot)>,
    /// How many fixes met with what.
    pub counts: Counts,
}

/// How many fixes met with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Fixes that became their device's last one.
    pub applied: u64,
    /// Fixes older than their device's last one.
    pub late: u64,
    /// Fixes as old as their device's last one.
    pub duplicate: u64,
    /// Applied ones that were not accurate enough to change anything in some zone near.
    pub inaccurate: u64,
    /// Applied ones within their device's safe box, where no zone was looked at.
    pub safe_box_hits: u64,
    /// Shapes that the others were compared with.
    pub exact_tests: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.applied += more.applied;
        self.late += more.late;
        self.duplicate += more.duplicate;
        self.inaccurate += more.inaccurate;
        self.safe_box_hits += more.safe_box_hits;
        self.exact_tests += more.exact_tests;
    }
}

impl Counts {
    pub(super) fn count(&mut self, outcome: FixOutcome) {
        match outcome {
            FixOutcome::Applied => self.applied += 1,
            FixOutcome::Late => self.late += 1,
            FixOutcome::Duplicate => self.duplicate += 1,
        }
    }
}

/// So many arrivals go through the steps together: enough for the memory to be busy with all of them while the step
/// before is done for as many others, few enough to be still in the cache when their turn comes.
const GROUP: usize = 32;

/// Where a group's devices most likely are.
type Slots = [Option<Slot>; GROUP];

impl Devices {
    /// Takes pings; a device's in order.
    ///
    /// In groups, each in three steps: its entries in the lookup are asked of the memory, then its devices' lines, then
    /// what the lines name. While the memory answers one group, the group before takes its next step: nothing waits.
    /// Then a glance at each line decides most pings. The others are put off until there are [enough](super::settle) to
    /// be asked about side by side.
    pub fn take<'a>(&mut self, zones: &ZoneIndex, arrivals: &'a [Arrival<'a>], out: &mut Outcomes) {
        let group = |number: usize| arrivals.chunks(GROUP).nth(number).unwrap_or_default();
        let mut unsure = Vec::with_capacity(GROUP);
        self.ask_for_entries(group(0));
        self.ask_for_entries(group(1));
        let mut slots = self.ask_for_lines(group(0));
        for (number, arrivals) in arrivals.chunks(GROUP).enumerate() {
            self.ask_for_entries(group(number + 2));
            let next = self.ask_for_lines(group(number + 1));
            self.ask_for_the_rest(zones, &slots);
            for ((arrival, slot), number) in arrivals.iter().zip(slots).zip(number * GROUP..) {
                // A device that was not here when it was looked up may be by now, and one that was may not.
                let slot = slot.filter(|slot| self.lines[slot.0].is_of(arrival.hash));
                let decided = slot.map_or(0, |slot| self.glance_at(zones, slot, arrival, arrival.fixes, out));
                if decided < arrival.fixes.len() {
                    unsure.push(Unsure { number, arrival, slot, fixes: &arrival.fixes[decided..] });
                }
            }
            if unsure.len() >= Unsure::ENOUGH {
                self.settle(zones, &mut unsure, out);
            }
            slots = next;
        }
        self.settle(zones, &mut unsure, out);
    }

    fn ask_for_entries(&self, group: &[Arrival<'_>]) {
        group.iter().for_each(|arrival| self.lookup.ask(arrival.hash));
    }

    fn ask_for_lines(&self, group: &[Arrival<'_>]) -> Slots {
        let mut slots = [None; GROUP];
        for (slot, arrival) in slots.iter_mut().zip(group) {
            *slot = self.lookup.likely(arrival.hash).map(Slot);
        }
        slots.iter().flatten().for_each(|slot| ask(&self.lines[slot.0]));
        slots
    }

    fn ask_for_the_rest(&self, zones: &ZoneIndex, slots: &Slots) {
        for line in slots.iter().flatten().map(|slot| &self.lines[slot.0]) {
            if let Some(place) = line.member() {
                self.members.ask(place);
            }
            zones.ask_epoch(line.stamp.tile);
        }
    }

    /// Deals with the first of a device's fixes, as long as they change nothing but the last fix, and says how many
    /// they were. With the next one the device is unsure of everything, until that is settled.
    pub(super) fn glance_at(
        &mut self,
        zones: &ZoneIndex,
        slot: Slot,
        arrival: &Arrival<'_>,
        fixes: &[Fix],
        out: &mut Outcomes,
    ) -> usize {
        for (decided, fix) in fixes.iter().enumerate() {
            match self.glance(zones, slot, fix, arrival.received_at) {
                Glance::NotLater(outcome) => out.counts.count(outcome),
                Glance::Safe => {
                    out.counts.applied += 1;
                    out.counts.safe_box_hits += 1;
                }
                Glance::Unsure => {
                    self.lines[slot.0].safe_box = SafeBox::EMPTY;
                    return decided;
                }
            }
        }
        fixes.len()
    }

    /// Deals with a fix that changes nothing but the last fix.
    #[inline]
    fn glance(&mut self, zones: &ZoneIndex, slot: Slot, fix: &Fix, received_at: UnixMillis) -> Glance {
        let line = &mut self.lines[slot.0];
        let (fixed_before, received_before) = (line.fixed_at(), line.received_at());
        if line.safe_box == SafeBox::EMPTY
            || received_at.since_ms(received_before) >= self.rules.shortest_ms()
        {
            return Glance::Unsure;
        }
        let received_at = received_at.max(received_before);
        let later_ms = fix.time.since_ms(fixed_before);
        if later_ms <= 0 {
            line.set_times(fixed_before, received_at);
            return Glance::NotLater(if later_ms < 0 { FixOutcome::Late } else { FixOutcome::Duplicate });
        }
        let unmoved = later_ms <= self.rules.expire_after_ms
            && line.safe_box.contains(fix.position)
            && zones.is_current(line.stamp)
            && line.member().is_none_or(|place| self.members.remember(place, fix));
        if !unmoved {
            return Glance::Unsure;
        }
        line.position = fix.position;
        line.set_times(fix.time, received_at);
        Glance::Safe
    }
}

/// What a look at its line says of a fix.
enum Glance {
    /// It is not later than the last one.
    NotLater(FixOutcome),
    /// It is the last one now, and nothing else has changed.
    Safe,
    /// The zones must be asked. Nothing was done.
    Unsure,
}
