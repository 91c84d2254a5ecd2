//! The devices of a slice: all that is kept of them, in as little memory as a ping's speed asks for.
//!
//! - A device is found by its [`DeviceHash`], through the [`lookup`], which says its [`Slot`].
//! - At its slot stands its [`hot`] line, 64 bytes: where it was last and when, and its safe box. Most pings end there.
//! - Only a device in zones has a part among the [`members`]: the [`Device`] as the state machine knows it.
//!
//! A device in no zone takes 92 bytes at most, and neither its name nor more of its last fix than place and time are
//! kept here: nothing that it will say depends on them.

mod change;
mod chunked;
mod hash;
mod hot;
mod judge;
mod looks;
mod lookup;
mod members;
mod pair48;
mod rosters;
mod settle;
mod take;

use geopush_model::{DeviceKey, Fix, UnixMillis, ZoneId};

pub use hash::DeviceHash;
pub use take::{Arrival, Counts, Outcomes};

use self::chunked::Chunked;
use self::hot::Hot;
use self::lookup::Lookup;
use self::members::Members;
use self::pair48::Pair48;
use self::rosters::Rosters;
use super::safe_box::Safe;
use super::{Device, Rules, Said};

/// A device's place: its own from when it appears until it is removed, another's after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    /// As a place in a list of things by slot.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The devices of a slice.
#[derive(Debug)]
pub struct Devices {
    rules: Rules,
    lookup: Lookup,
    lines: Chunked<Hot>,
    /// By slot: the incarnation and the number of transitions, which only transitions need.
    histories: Chunked<Pair48>,
    free: Vec<Slot>,
    members: Members,
    rosters: Rosters,
    /// Where a fix's transitions are put together; empty in between.
    scratch: Vec<Said>,
}

impl Devices {
    /// No devices.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            lookup: Lookup::new(),
            lines: Chunked::new(),
            histories: Chunked::new(),
            free: Vec::new(),
            members: Members::new(),
            rosters: Rosters::new(),
            scratch: Vec::new(),
        }
    }

    /// Puts a device back that was written down and is not here, and says its slot.
    pub fn put(&mut self, device: Device) -> Slot {
        let slot = self.add(DeviceHash::of(device.key.tenant, &device.key.device));
        device.stays.iter().for_each(|stay| self.rosters.enter(slot, stay.zone));
        let key = device.key.clone();
        self.change(
            slot,
            || key,
            &mut Vec::new(),
            |unknown, _, _| {
                *unknown = device;
                Safe::NOWHERE
            },
        );
        slot
    }

    /// A device's slot.
    #[must_use]
    pub fn find(&self, hash: DeviceHash) -> Option<Slot> {
        self.lookup.find(hash, |place| self.lines[place].is_of(hash)).map(Slot)
    }

    /// A device as [`Devices::put`] takes it. Of a device in no zone, the last fix has place and time alone.
    #[must_use]
    pub fn view(&self, slot: Slot, key: &DeviceKey) -> Device {
        let line = &self.lines[slot.0];
        match line.member() {
            Some(place) => Device { last_received: line.received_at(), ..self.members.device(place).clone() },
            None => view_outside(line, self.histories[slot.0], key.clone()),
        }
    }

    /// A device that is in zones; its line knows better when anything was received of it last.
    #[must_use]
    pub fn member(&self, slot: Slot) -> Option<&Device> {
        self.lines[slot.0].member().map(|place| self.members.device(place))
    }

    /// The time of a device's last fix.
    #[must_use]
    pub fn last_fixed(&self, slot: Slot) -> UnixMillis {
        self.lines[slot.0].fixed_at()
    }

    /// The devices that are in a zone.
    #[must_use]
    pub fn members_of(&self, zone: ZoneId) -> Vec<Slot> {
        let is_in = |slot: &Slot| self.member(*slot).is_some_and(|device| device.stay(zone).is_some());
        self.rosters.likely_in(zone).into_iter().filter(is_in).collect()
    }

    /// The zones that any device is in, each with one of them.
    pub fn zones_with_members(&self) -> impl Iterator<Item = (ZoneId, Slot)> {
        self.members.zones().into_iter()
    }

    /// The devices of a bucket.
    pub fn bucket(&self, number: u8) -> impl Iterator<Item = Slot> {
        self.lookup.bucket(number).map(Slot)
    }

    /// How many devices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lookup.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many stays they have in zones.
    #[must_use]
    pub fn stays(&self) -> usize {
        self.rosters.stays()
    }

    /// Whether a device is in no zone and has been silent for so long that its next fix is a first one.
    #[must_use]
    pub fn is_forgotten_at(&self, slot: Slot, now: UnixMillis) -> bool {
        let line = &self.lines[slot.0];
        line.member().is_none() && now.since_ms(line.received_at()) >= self.rules.forget_after_ms
    }

    /// The memory of the devices but for the members' parts, in bytes.
    #[must_use]
    pub fn bytes_outside_zones(&self) -> usize {
        let free = self.free.capacity() * size_of::<Slot>();
        self.lookup.bytes() + self.lines.bytes() + self.histories.bytes() + free
    }

    /// Makes a slot for a device that is not here.
    fn add(&mut self, hash: DeviceHash) -> Slot {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.histories.push(Pair48::default());
                Slot(self.lines.push(Hot::new(hash)))
            }
        };
        self.lines[slot.0] = Hot::new(hash);
        self.lookup.add(hash, slot.0);
        slot
    }
}

/// A device in no zone: all of it that matters is in its line and its history.
fn view_outside(line: &Hot, history: Pair48, key: DeviceKey) -> Device {
    Device {
        key,
        incarnation: UnixMillis(history.first()),
        seq: history.second() as u64,
        last_fix: Fix::at(line.position, line.fixed_at()),
        last_received: line.received_at(),
        stays: Vec::new(),
    }
}

fn history_of(device: &Device) -> Pair48 {
    Pair48::new(device.incarnation.0, i64::try_from(device.seq).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_outside_zones_takes_at_most_96_bytes() {
        let mut devices = Devices::new(Rules::default());
        for count in 1..=1_000_000_u64 {
            let bits = u128::from(count).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            devices.add(DeviceHash::of_bits(bits));
            if count.is_multiple_of(50_000) && count >= 500_000 {
                let bytes = devices.bytes_outside_zones() as f64 / count as f64;
                assert!(bytes <= 96.0, "{bytes} at {count}");
            }
        }
    }
}
