//! What a slice knows of its devices, and how it is written down.

use std::collections::{BTreeSet, HashSet};

use geopush_log::{Offset, Record, Topic, TraceId};
use geopush_model::{
    DeviceEntry, DeviceKey, DeviceState, Ping, PingKind, TenantId, UnixMillis, Wire, ZoneId,
};

use super::effects::Effects;
use super::settings::Settings;
use crate::engine::{Arrival, Device, DeviceHash, Devices, Outcomes, Rules, Slot, ZoneChange, ZoneIndex};

/// The devices of one slice, in buckets that are written down whole.
pub(super) struct SliceState {
    slice: u32,
    devices: Devices,
    /// By slot.
    kept: Vec<Option<Kept>>,
    buckets: Vec<Bucket>,
}

/// What is written down of a device, and evaluated without.
struct Kept {
    key: DeviceKey,
    /// Of its last fix, or of another of the same time: for people alone.
    accuracy_m: Option<f64>,
    /// Whether the changelog has a record of the device's own.
    has_record: bool,
}

#[derive(Clone, Default)]
struct Bucket {
    /// The first ping that the bucket's record does not have the effect of.
    unwritten_from: Option<Offset>,
    /// How many records the changelog has of it.
    parts: u32,
}

/// A ping in hand.
pub(super) struct InHand {
    /// Where in the log.
    pub(super) offset: Offset,
    pub(super) trace: Option<TraceId>,
    pub(super) ping: Ping,
}

impl SliceState {
    /// Fixed: a bucket's records must hold every device that hashes to it, whichever version wrote them. Large enough
    /// for a bucket of a slice of a million devices to be one record (some 0.3 MB).
    pub(super) const BUCKETS: u32 = DeviceHash::BUCKETS;
    /// What a bucket's record may hold, so that no number of devices makes one that the log refuses.
    const PART_BYTES: usize = 500_000;

    pub(super) fn new(slice: u32, rules: Rules) -> Self {
        Self {
            slice,
            devices: Devices::new(rules),
            kept: Vec::new(),
            buckets: vec![Bucket::default(); Self::BUCKETS as usize],
        }
    }

    /// Puts back what was written down of a device.
    pub(super) fn put(&mut self, device: Device, has_record: bool) {
        let kept = Kept { key: device.key.clone(), accuracy_m: device.last_fix.accuracy_m, has_record };
        let slot = self.devices.put(device);
        self.keep(slot, kept);
    }

    /// Puts back what is known of a bucket's records.
    pub(super) fn put_bucket(&mut self, number: u32, parts: u32, unwritten_from: Option<Offset>) {
        self.buckets[number as usize] = Bucket { unwritten_from, parts };
    }

    /// Takes pings, in order.
    pub(super) fn take(
        &mut self,
        zones: &ZoneIndex,
        settings: &Settings,
        pings: &[InHand],
        effects: &mut Effects,
    ) {
        for run in pings.chunk_by(|a, b| a.is_of_fixes() && b.is_of_fixes()) {
            match &run[0].ping.kind {
                PingKind::Fixes(_) => self.take_fixes(zones, settings, run, effects),
                PingKind::Forget => self.forget(&run[0], effects),
            }
        }
    }

    fn take_fixes(
        &mut self,
        zones: &ZoneIndex,
        settings: &Settings,
        pings: &[InHand],
        effects: &mut Effects,
    ) {
        let crossings = settings.crossings();
        let arrivals: Vec<Arrival<'_>> =
            pings.iter().filter_map(|in_hand| in_hand.arrival(&crossings)).collect();
        let mut outcomes = Outcomes::default();
        self.devices.take(zones, &arrivals, &mut outcomes);
        for (number, slot) in outcomes.born {
            let key = pings[number].ping.key();
            self.keep(slot, Kept { key, accuracy_m: None, has_record: false });
        }
        for (InHand { offset, .. }, arrival) in pings.iter().zip(&arrivals) {
            self.buckets[usize::from(arrival.hash.bucket())].unwritten_from.get_or_insert(*offset);
            if let (Some(slot), Some(last)) = (self.devices.find(arrival.hash), arrival.fixes.last())
                && self.devices.last_fixed(slot) == last.time
                && let Some(kept) = &mut self.kept[slot.index()]
            {
                kept.accuracy_m = last.accuracy_m;
            }
        }
        effects.count(&outcomes.counts);
        let told = outcomes.transitions.into_iter().map(|(number, said)| {
            let InHand { ping, trace, .. } = &pings[number];
            (said.by(ping.key()), *trace)
        });
        effects.add(told);
    }

    fn forget(&mut self, received: &InHand, effects: &mut Effects) {
        let key = received.ping.key();
        let hash = hash_of(&key);
        self.buckets[usize::from(hash.bucket())].unwritten_from.get_or_insert(received.offset);
        let mut exits = Vec::new();
        let Some(slot) = self.devices.forget(hash, received.ping.received_at, &mut exits) else { return };
        effects.add(exits.into_iter().map(|exit| (exit.by(key.clone()), received.trace)));
        self.drop_kept(slot, effects);
    }

    /// The device of this key, if it is in zones.
    pub(super) fn member(&self, key: &DeviceKey) -> Option<(Slot, &Device)> {
        let slot = self.devices.find(hash_of(key))?;
        self.devices.member(slot).map(|device| (slot, device))
    }

    /// The devices that are in a zone.
    pub(super) fn members_of(&self, zone: ZoneId) -> BTreeSet<Slot> {
        self.devices.members_of(zone).into_iter().collect()
    }

    /// The zones that any device is in, each with one of them.
    pub(super) fn zones_with_members(&self) -> impl Iterator<Item = (ZoneId, &DeviceKey)> {
        let key_of = |(zone, slot)| self.devices.member(slot).map(|device| (zone, &device.key));
        self.devices.zones_with_members().filter_map(key_of)
    }

    /// Judges a member by a zone's new version.
    pub(super) fn change_zone(&mut self, member: Slot, change: &ZoneChange, effects: &mut Effects) {
        let mut exits = Vec::new();
        self.devices.zone_changed(member, change, &mut exits);
        effects.add(exits.into_iter().filter_map(|exit| Some((exit.by(self.key(member)?), None))));
    }

    /// Whether any device may have been silent for too long.
    pub(super) fn may_expire(&self, now: UnixMillis) -> bool {
        self.devices.may_expire(now)
    }

    /// Ends the stays of devices that have been silent for too long, until none is left or the effects are enough.
    pub(super) fn expire(&mut self, now: UnixMillis, effects: &mut Effects) {
        let mut exits = Vec::new();
        self.devices.expire(now, effects.room(), &mut exits);
        effects.add(exits.into_iter().filter_map(|(slot, exit)| Some((exit.by(self.key(slot)?), None))));
    }

    /// The own records of the devices that the effects touched, as of `position`.
    pub(super) fn own_records(&mut self, effects: &Effects, position: Offset) -> Vec<Record> {
        let mut records = Vec::new();
        for key in effects.touched() {
            let record = match self.devices.find(hash_of(key)) {
                Some(slot) => {
                    let state =
                        DeviceState { devices: vec![self.view(slot, key).to_entry()], as_of: position };
                    if let Some(kept) = &mut self.kept[slot.index()] {
                        kept.has_record = true;
                    }
                    Record::new(Topic::DeviceState, key.to_bytes(), state.encode())
                }
                None => Record::tombstone(Topic::DeviceState, key.to_bytes()),
            };
            records.push(record.at(self.slice));
        }
        records
    }

    /// Forgets a bucket's devices that have been silent for so long as of `now`, if that is known, and writes the
    /// bucket down if that is due: all of its records, in one commit.
    pub(super) fn flush(
        &mut self,
        number: u32,
        position: Offset,
        now: Option<UnixMillis>,
        effects: &mut Effects,
    ) -> Vec<Record> {
        if let Some(now) = now {
            self.forget_silent(number, position, now, effects);
        }
        if self.buckets[number as usize].unwritten_from.take().is_none() {
            return Vec::new();
        }
        let mut parts: Vec<Vec<DeviceEntry>> = Vec::new();
        let mut bytes = usize::MAX;
        for slot in self.devices.bucket(number as u8) {
            let Some(kept) = &self.kept[slot.index()] else { continue };
            let entry = self.view(slot, &kept.key).to_bucket_entry();
            bytes = bytes.saturating_add(most_bytes_of(&entry));
            if bytes > Self::PART_BYTES {
                bytes = most_bytes_of(&entry);
                parts.push(Vec::new());
            }
            parts.last_mut().expect("the first entry begins a part").push(entry);
        }
        let written = parts.len() as u32;
        let before = std::mem::replace(&mut self.buckets[number as usize].parts, written);
        let gone =
            (written..before).map(|part| Record::tombstone(Topic::DeviceState, part_key(number, part)));
        let parts = (0..).zip(parts).map(|(part, devices)| {
            let state = DeviceState { devices, as_of: position };
            Record::new(Topic::DeviceState, part_key(number, part), state.encode())
        });
        parts.chain(gone).map(|record| record.at(self.slice)).collect()
    }

    fn forget_silent(&mut self, number: u32, position: Offset, now: UnixMillis, effects: &mut Effects) {
        let of_bucket = self.devices.bucket(number as u8);
        let silent: Vec<Slot> = of_bucket.filter(|slot| self.devices.is_forgotten_at(*slot, now)).collect();
        for slot in silent {
            let Some(kept) = &self.kept[slot.index()] else { continue };
            self.devices.remove(hash_of(&kept.key), slot);
            self.drop_kept(slot, effects);
            self.buckets[number as usize].unwritten_from.get_or_insert(position);
        }
    }

    /// The first ping that a restore must replay.
    pub(super) fn replay_from(&self, position: Offset) -> Offset {
        self.buckets.iter().filter_map(|bucket| bucket.unwritten_from).min().unwrap_or(position)
    }

    /// How many devices there are, and how many stays of them.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.devices.len(), self.devices.stays())
    }

    /// A device with all that is written down of it.
    fn view(&self, slot: Slot, key: &DeviceKey) -> Device {
        let mut device = self.devices.view(slot, key);
        // Of a device in zones it is in the view.
        if device.stays.is_empty()
            && let Some(kept) = &self.kept[slot.index()]
        {
            device.last_fix.accuracy_m = kept.accuracy_m;
        }
        device
    }

    /// Whose slot it is.
    fn key(&self, slot: Slot) -> Option<DeviceKey> {
        self.kept[slot.index()].as_ref().map(|kept| kept.key.clone())
    }

    fn keep(&mut self, slot: Slot, kept: Kept) {
        if self.kept.len() <= slot.index() {
            self.kept.resize_with(slot.index() + 1, || None);
        }
        self.kept[slot.index()] = Some(kept);
    }

    /// A device has gone, and so must its own record.
    fn drop_kept(&mut self, slot: Slot, effects: &mut Effects) {
        if let Some(kept) = self.kept[slot.index()].take()
            && kept.has_record
        {
            effects.touch(kept.key);
        }
    }
}

impl InHand {
    fn is_of_fixes(&self) -> bool {
        matches!(self.ping.kind, PingKind::Fixes(_))
    }

    /// As the engine takes it. `crossings`: the tenants that ask for them.
    fn arrival(&self, crossings: &HashSet<TenantId>) -> Option<Arrival<'_>> {
        let Ping { tenant, device, received_at, kind: PingKind::Fixes(fixes) } = &self.ping else {
            return None;
        };
        let hash = DeviceHash::of(*tenant, device);
        Some(Arrival {
            tenant: *tenant,
            device,
            hash,
            fixes,
            received_at: *received_at,
            detect_crossings: crossings.contains(tenant),
        })
    }
}

fn hash_of(key: &DeviceKey) -> DeviceHash {
    DeviceHash::of(key.tenant, &key.device)
}

/// The key of a bucket's record: `#7`, and `#7.1`, `#7.2` and so on where one is not enough.
fn part_key(bucket: u32, part: u32) -> String {
    if part == 0 { format!("#{bucket}") } else { format!("#{bucket}.{part}") }
}

/// The bucket and part of what follows the `#` of a record's key.
pub(super) fn part_of(key: &str) -> Option<(u32, u32)> {
    let (bucket, part) = match key.split_once('.') {
        Some((bucket, part)) => (bucket, part.parse().ok().filter(|part| *part > 0)?),
        None => (key, 0),
    };
    Some((bucket.parse().ok().filter(|bucket| *bucket < SliceState::BUCKETS)?, part))
}

/// At most what an entry without memberships takes on the wire: 150 bytes and its texts.
fn most_bytes_of(entry: &DeviceEntry) -> usize {
    150 + entry.device.as_str().len() + entry.last_fix.id.as_ref().map_or(0, String::len)
}

/// The bucket of a device.
pub(super) fn bucket_of(key: &DeviceKey) -> usize {
    usize::from(hash_of(key).bucket())
}
