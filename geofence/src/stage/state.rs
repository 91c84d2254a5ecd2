//! What a slice knows of its devices.

use std::collections::{BTreeSet, HashMap, HashSet};

use geopush_log::{Offset, Record, Topic, TraceId};
use geopush_model::{
    DeviceEntry, DeviceKey, DeviceState, Ping, PingKind, Transition, TransitionKind, UnixMillis, Wire, ZoneId,
};

use super::effects::Effects;
use crate::engine::{Device, FixOutcome, Rules, TenantZones, ZoneChange};

/// The devices of one slice, in buckets that are written down whole.
pub(super) struct SliceState {
    slice: u32,
    rules: Rules,
    buckets: Vec<Bucket>,
    members: HashMap<ZoneId, HashSet<DeviceKey>>,
    /// A time for each member before which it does not expire; looked at again then, since pings do not move it.
    deadlines: BTreeSet<(UnixMillis, DeviceKey)>,
    devices: usize,
    stays: usize,
}

#[derive(Default)]
struct Bucket {
    devices: HashMap<DeviceKey, Tracked>,
    /// The first ping that the bucket's record does not have the effect of.
    unwritten_from: Option<Offset>,
    /// How many records the changelog has of it.
    parts: u32,
}

struct Tracked {
    device: Device,
    deadline: Option<UnixMillis>,
    /// Whether the changelog has a record of the device's own.
    has_record: bool,
}

impl SliceState {
    /// Fixed: a bucket's records must hold every device that hashes to it, whichever version wrote them. Large enough
    /// for a bucket of a slice of a million devices to be one record (some 0.3 MB).
    pub(super) const BUCKETS: u32 = 256;
    /// What a bucket's record may hold, so that no number of devices makes one that the log refuses.
    const PART_BYTES: usize = 500_000;

    pub(super) fn new(slice: u32, rules: Rules) -> Self {
        Self {
            slice,
            rules,
            buckets: (0..Self::BUCKETS).map(|_| Bucket::default()).collect(),
            members: HashMap::new(),
            deadlines: BTreeSet::new(),
            devices: 0,
            stays: 0,
        }
    }

    /// Puts back what was written down of a device.
    pub(super) fn put(&mut self, device: Device, has_record: bool) {
        for stay in &device.memberships {
            self.members.entry(stay.zone).or_default().insert(device.key.clone());
        }
        self.devices += 1;
        self.stays += device.memberships.len();
        let mut tracked = Tracked { device, deadline: None, has_record };
        tracked.schedule(&mut self.deadlines, &self.rules);
        self.bucket(&tracked.device.key.clone()).devices.insert(tracked.device.key.clone(), tracked);
    }

    /// Puts back what is known of a bucket's records.
    pub(super) fn put_bucket(&mut self, number: u32, parts: u32, unwritten_from: Option<Offset>) {
        let bucket = &mut self.buckets[number as usize];
        bucket.parts = parts;
        bucket.unwritten_from = unwritten_from;
    }

    /// Takes a ping.
    pub(super) fn take(
        &mut self,
        ping: &Ping,
        offset: Offset,
        zones: &TenantZones,
        trace: Option<TraceId>,
        effects: &mut Effects,
    ) {
        let key = ping.key();
        self.bucket(&key).unwritten_from.get_or_insert(offset);
        match &ping.kind {
            PingKind::Forget => self.forget(&key, ping.received_at, trace, effects),
            PingKind::Fixes(fixes) => {
                let rules = self.rules;
                let mut transitions = Vec::new();
                let mut fixes = fixes.iter();
                if !self.bucket(&key).devices.contains_key(&key) {
                    let Some(first) = fixes.next() else { return };
                    let device =
                        Device::appear(key.clone(), first, ping.received_at, zones, &mut transitions);
                    effects.count_fix(FixOutcome::Applied);
                    self.devices += 1;
                    let tracked = Tracked { device, deadline: None, has_record: false };
                    self.bucket(&key).devices.insert(key.clone(), tracked);
                }
                self.change(&key, transitions, trace, effects, |device, out| {
                    fixes
                        .map(|fix| device.on_fix(fix, ping.received_at, zones, &rules, out))
                        .collect::<Vec<_>>()
                })
                .into_iter()
                .flatten()
                .for_each(|outcome| effects.count_fix(outcome));
            }
        }
    }

    fn forget(&mut self, key: &DeviceKey, at: UnixMillis, trace: Option<TraceId>, effects: &mut Effects) {
        let rules = self.rules;
        self.change(key, Vec::new(), trace, effects, |device, out| device.on_forget(at, &rules, out));
        self.remove(key, effects);
    }

    /// The devices that are in a zone.
    pub(super) fn members_of(&self, zone: ZoneId) -> BTreeSet<DeviceKey> {
        self.members.get(&zone).into_iter().flatten().cloned().collect()
    }

    /// The zones that a device is in.
    pub(super) fn zones_of(&self, key: &DeviceKey) -> Vec<ZoneId> {
        let tracked = self.buckets[bucket_of(key)].devices.get(key);
        tracked.into_iter().flat_map(|tracked| &tracked.device.memberships).map(|stay| stay.zone).collect()
    }

    /// The zones that any device is in, each with one of them.
    pub(super) fn zones_with_members(&self) -> Vec<(ZoneId, DeviceKey)> {
        let one = |(zone, keys): (&ZoneId, &HashSet<DeviceKey>)| Some((*zone, keys.iter().next()?.clone()));
        let mut zones: Vec<_> = self.members.iter().filter_map(one).collect();
        zones.sort_unstable();
        zones
    }

    /// Judges a member by a zone's new version.
    pub(super) fn change_zone(&mut self, key: &DeviceKey, change: &ZoneChange, effects: &mut Effects) {
        self.change(key, Vec::new(), None, effects, |device, out| device.on_zone_change(change, out));
    }

    /// Whether any device may have been silent for too long.
    pub(super) fn may_expire(&self, now: UnixMillis) -> bool {
        self.deadlines.first().is_some_and(|(at, _)| *at <= now)
    }

    /// Ends the stays of devices that have been silent for too long, until none is left or the effects are enough.
    pub(super) fn expire(&mut self, now: UnixMillis, effects: &mut Effects) {
        let rules = self.rules;
        while self.may_expire(now)
            && !effects.are_enough()
            && let Some((_, key)) = self.deadlines.pop_first()
        {
            self.change(&key, Vec::new(), None, effects, |device, out| device.on_silence(now, &rules, out));
        }
    }

    /// Changes a device, and what is kept beside it, and notes the effects; `transitions` came before.
    fn change<T>(
        &mut self,
        key: &DeviceKey,
        mut transitions: Vec<Transition>,
        trace: Option<TraceId>,
        effects: &mut Effects,
        change: impl FnOnce(&mut Device, &mut Vec<Transition>) -> T,
    ) -> Option<T> {
        let tracked = self.buckets[bucket_of(key)].devices.get_mut(key)?;
        let result = change(&mut tracked.device, &mut transitions);
        tracked.schedule(&mut self.deadlines, &self.rules);
        for transition in &transitions {
            let zone = transition.zone;
            match transition.kind {
                TransitionKind::Dwell => {}
                TransitionKind::Enter => {
                    self.members.entry(zone).or_default().insert(key.clone());
                    self.stays += 1;
                }
                TransitionKind::Exit(_) => {
                    if let Some(keys) = self.members.get_mut(&zone) {
                        keys.remove(key);
                        if keys.is_empty() {
                            self.members.remove(&zone);
                        }
                    }
                    self.stays -= 1;
                }
            }
        }
        effects.add(key, transitions, trace);
        Some(result)
    }

    fn remove(&mut self, key: &DeviceKey, effects: &mut Effects) {
        let Some(tracked) = self.bucket(key).devices.remove(key) else { return };
        self.devices -= 1;
        if let Some(at) = tracked.deadline {
            self.deadlines.remove(&(at, key.clone()));
        }
        if tracked.has_record || effects.is_touched(key) {
            effects.touch(key);
        }
    }

    /// The own records of the devices that the effects touched, as of `position`.
    pub(super) fn own_records(&mut self, effects: &Effects, position: Offset) -> Vec<Record> {
        let mut records = Vec::new();
        for key in effects.touched() {
            let record = match self.buckets[bucket_of(key)].devices.get_mut(key) {
                Some(tracked) => {
                    tracked.has_record = true;
                    let state = DeviceState { devices: vec![tracked.device.to_entry()], as_of: position };
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
        let bucket = &mut self.buckets[number as usize];
        if bucket.unwritten_from.take().is_none() {
            return Vec::new();
        }
        let mut parts: Vec<Vec<DeviceEntry>> = Vec::new();
        let mut bytes = usize::MAX;
        for tracked in bucket.devices.values() {
            let entry = tracked.device.to_bucket_entry();
            bytes = bytes.saturating_add(most_bytes_of(&entry));
            if bytes > Self::PART_BYTES {
                bytes = most_bytes_of(&entry);
                parts.push(Vec::new());
            }
            parts.last_mut().expect("the first entry begins a part").push(entry);
        }
        let written = parts.len() as u32;
        let gone =
            (written..bucket.parts).map(|part| Record::tombstone(Topic::DeviceState, part_key(number, part)));
        bucket.parts = written;
        let parts = (0..).zip(parts).map(|(part, devices)| {
            let state = DeviceState { devices, as_of: position };
            Record::new(Topic::DeviceState, part_key(number, part), state.encode())
        });
        parts.chain(gone).map(|record| record.at(self.slice)).collect()
    }

    fn forget_silent(&mut self, number: u32, position: Offset, now: UnixMillis, effects: &mut Effects) {
        let bucket = &mut self.buckets[number as usize];
        let devices = bucket.devices.values().map(|tracked| &tracked.device);
        let silent: Vec<_> =
            devices.filter(|d| d.is_forgotten_at(now, &self.rules)).map(|d| d.key.clone()).collect();
        for key in silent {
            self.remove(&key, effects);
            self.buckets[number as usize].unwritten_from.get_or_insert(position);
        }
    }

    /// The first ping that a restore must replay.
    pub(super) fn replay_from(&self, position: Offset) -> Offset {
        self.buckets.iter().filter_map(|bucket| bucket.unwritten_from).min().unwrap_or(position)
    }

    /// How many devices there are, and how many stays of them.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.devices, self.stays)
    }

    fn bucket(&mut self, key: &DeviceKey) -> &mut Bucket {
        &mut self.buckets[bucket_of(key)]
    }
}

impl Tracked {
    /// Keeps a deadline for a member, and none for anyone else.
    fn schedule(&mut self, deadlines: &mut BTreeSet<(UnixMillis, DeviceKey)>, rules: &Rules) {
        let key = &self.device.key;
        let kept = self.deadline.take().map(|at| (at, key.clone())).filter(|kept| deadlines.contains(kept));
        if self.device.memberships.is_empty() {
            if let Some(kept) = kept {
                deadlines.remove(&kept);
            }
        } else if let Some((at, _)) = kept {
            self.deadline = Some(at);
        } else {
            let at = self.device.expires_at(rules);
            deadlines.insert((at, key.clone()));
            self.deadline = Some(at);
        }
    }
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

/// The bucket of a device: FNV-1a, which must never change, and differs from what partitions are chosen by.
pub(super) fn bucket_of(key: &DeviceKey) -> usize {
    let bytes = key.tenant.0.as_bytes().iter().chain(key.device.as_str().as_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The high half is mixed best.
    ((hash >> 32) % u64::from(SliceState::BUCKETS)) as usize
}
