//! The zone changes that a slice's members must still be judged by.
//!
//! A zone may hold a hundred thousand devices, and other devices' pings must not wait for all of them. So a change is
//! taken in at once and applied a portion at a time; a member whose own ping comes first is judged before that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use geopush_log::Offset;
use geopush_model::{DeviceKey, ZoneId};

use super::effects::Effects;
use super::state::SliceState;
use crate::engine::ZoneChange;

/// Changes, each with the members that it has not been applied to yet.
#[derive(Debug)]
pub(super) struct ZoneChanges {
    /// By offset, and by zone: of zones that nobody knows any more several share one.
    waiting: BTreeMap<(Offset, ZoneId), Waiting>,
    /// The offsets of each zone's waiting changes.
    by_zone: HashMap<ZoneId, Vec<Offset>>,
    /// Every change before this has been taken in.
    next: Offset,
}

#[derive(Debug)]
struct Waiting {
    change: Arc<ZoneChange>,
    /// Never empty.
    members: BTreeSet<DeviceKey>,
}

impl ZoneChanges {
    /// So many members are judged at a time: with all slices at it, one commit of theirs stays short.
    const PORTION: usize = 100;

    /// Every change before `next` has been applied.
    pub(super) fn from(next: Offset) -> Self {
        Self { waiting: BTreeMap::new(), by_zone: HashMap::new(), next }
    }

    /// Takes in changes with their offsets; they reach up to `next`.
    pub(super) fn take(
        &mut self,
        changes: impl IntoIterator<Item = (Offset, Arc<ZoneChange>)>,
        next: Offset,
        state: &SliceState,
    ) {
        for (offset, change) in changes {
            let members = state.members_of(change.zone);
            if !members.is_empty() {
                self.by_zone.entry(change.zone).or_default().push(offset);
                self.waiting.insert((offset, change.zone), Waiting { change, members });
            }
        }
        self.next = self.next.max(next);
    }

    /// Every change before this has been taken in.
    pub(super) fn taken(&self) -> Offset {
        self.next
    }

    /// Every change before this has had its whole effect: where to go on after a restore.
    pub(super) fn applied(&self) -> Offset {
        self.waiting.first_key_value().map_or(self.next, |((offset, _), _)| *offset)
    }

    /// Whether nobody waits to be judged.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Judges one device by all changes that it waits for: its next fix comes after them.
    pub(super) fn apply_to(&mut self, device: &DeviceKey, state: &mut SliceState, effects: &mut Effects) {
        let of_zone = |zone: ZoneId| {
            let offsets = self.by_zone.get(&zone).into_iter().flatten();
            offsets.map(move |offset| (*offset, zone))
        };
        let changes: BTreeSet<_> = state.zones_of(device).into_iter().flat_map(of_zone).collect();
        for change in changes {
            self.apply(change, |members| members.take(device), state, effects);
        }
    }

    /// Judges the next members, by the oldest changes.
    pub(super) fn apply_some(&mut self, state: &mut SliceState, effects: &mut Effects) {
        for _ in 0..Self::PORTION {
            let Some((&change, _)) = self.waiting.first_key_value() else { return };
            self.apply(change, BTreeSet::pop_first, state, effects);
        }
    }

    /// Judges one of the members that wait for a change.
    fn apply(
        &mut self,
        key: (Offset, ZoneId),
        choose: impl FnOnce(&mut BTreeSet<DeviceKey>) -> Option<DeviceKey>,
        state: &mut SliceState,
        effects: &mut Effects,
    ) {
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        if let Some(member) = choose(&mut waiting.members) {
            state.change_zone(&member, &waiting.change, effects);
        }
        if waiting.members.is_empty() {
            self.end(key);
        }
    }

    fn end(&mut self, (offset, zone): (Offset, ZoneId)) {
        self.waiting.remove(&(offset, zone));
        if let Some(offsets) = self.by_zone.get_mut(&zone) {
            offsets.retain(|waiting| *waiting != offset);
            if offsets.is_empty() {
                self.by_zone.remove(&zone);
            }
        }
    }
}
