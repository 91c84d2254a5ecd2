//! The zone changes that a slice's members must still be judged by.
//!
//! A zone may hold a hundred thousand devices, and other devices' pings must not wait for all of them. So a change is
//! taken in at once and applied a portion at a time; a member whose own ping comes first is judged before that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZero;
use std::sync::Arc;

use geopush_log::Offset;
use geopush_model::{DeviceKey, ZoneId};

use super::effects::Effects;
use super::state::SliceState;
use crate::engine::{Slot, ZoneChange};

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
    members: BTreeSet<Slot>,
}

impl ZoneChanges {
    /// Members that a slice judges at a time: few enough that a commit with them stays as short as a few dozen milliseconds,
    /// and many enough that its fixed costs, which are most of it on Kafka, are theirs together.
    pub(super) const PORTION: NonZero<u32> = NonZero::new(500).unwrap();

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

    /// How many members are judged next; `None` if nobody waits.
    pub(super) fn portion(&self) -> Option<NonZero<u32>> {
        let mut room = Self::PORTION.get() as usize;
        for waiting in self.waiting.values() {
            room = room.saturating_sub(waiting.members.len());
            if room == 0 {
                break;
            }
        }
        NonZero::new(Self::PORTION.get() - room as u32)
    }

    /// How many changes members wait to be judged by.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Judges one device by all changes that it waits for: its next fix comes after them.
    pub(super) fn apply_to(&mut self, device: &DeviceKey, state: &mut SliceState, effects: &mut Effects) {
        let of_zone = |zone: ZoneId| {
            let offsets = self.by_zone.get(&zone).into_iter().flatten();
            offsets.map(move |offset| (*offset, zone))
        };
        let Some((slot, member)) = state.member(device) else { return };
        let changes: BTreeSet<_> = member.stays.iter().flat_map(|stay| of_zone(stay.zone)).collect();
        for change in changes {
            self.apply(change, |members| members.take(&slot), state, effects);
        }
    }

    /// Judges the next members, by the oldest changes.
    pub(super) fn apply_some(
        &mut self,
        members: NonZero<u32>,
        state: &mut SliceState,
        effects: &mut Effects,
    ) {
        for _ in 0..members.get() {
            let Some((&change, _)) = self.waiting.first_key_value() else { return };
            self.apply(change, BTreeSet::pop_first, state, effects);
        }
    }

    /// Judges one of the members that wait for a change.
    fn apply(
        &mut self,
        key: (Offset, ZoneId),
        choose: impl FnOnce(&mut BTreeSet<Slot>) -> Option<Slot>,
        state: &mut SliceState,
        effects: &mut Effects,
    ) {
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        if let Some(member) = choose(&mut waiting.members) {
            state.change_zone(member, &waiting.change, effects);
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

#[cfg(test)]
mod tests {
    use geopush_geometry::Position;
    use geopush_model::{DeviceId, Fix, TenantId, UnixMillis};
    use uuid::Uuid;

    use super::*;
    use crate::engine::{Device, Rules, Stay};

    const TENANT: TenantId = TenantId(Uuid::from_u128(7));

    fn key(number: usize) -> DeviceKey {
        DeviceKey { tenant: TENANT, device: DeviceId::new(&format!("d{number}")).unwrap() }
    }

    /// A slice with so many devices in the zone, which has gone.
    fn removed_under(members: usize) -> (ZoneChanges, SliceState) {
        let zone = ZoneId::of_external(TENANT, "stadium");
        let mut state = SliceState::new(0, Rules::default());
        for number in 0..members {
            let fix = Fix::at(Position::new(0.0, 0.0).unwrap(), UnixMillis(0));
            let stay =
                Stay { zone, zone_external_id: None, since: UnixMillis(0), dwelled: false, zone_version: 1 };
            let device = Device::new(key(number), fix, UnixMillis(0));
            state.put(Device { stays: vec![stay], ..device }, true);
        }
        let mut changes = ZoneChanges::from(5);
        changes.take([(5, Arc::new(ZoneChange::vanished(TENANT, zone)))], 6, &state);
        (changes, state)
    }

    #[test]
    fn members_are_judged_a_portion_at_a_time_and_the_change_is_applied_after_the_last() {
        let whole = ZoneChanges::PORTION.get();
        let (mut changes, mut state) = removed_under(2 * whole as usize + 1);
        for (portion, left) in [(whole, whole + 1), (whole, 1), (1, 0)] {
            let mut effects = Effects::default();
            assert_eq!((changes.is_empty(), changes.applied()), (false, 5));
            assert_eq!(changes.portion(), NonZero::new(portion));
            changes.apply_some(changes.portion().unwrap(), &mut state, &mut effects);
            assert!(!effects.is_empty());
            assert_eq!(state.size().1, left as usize);
        }
        assert_eq!((changes.is_empty(), changes.applied(), changes.portion()), (true, 6, None));
    }

    #[test]
    fn a_member_that_pings_is_judged_at_once_and_not_again() {
        let (mut changes, mut state) = removed_under(3);
        let mut effects = Effects::default();
        changes.apply_to(&key(2), &mut state, &mut effects);
        assert_eq!((effects.records().len(), state.size().1), (1, 2));
        changes.apply_to(&key(2), &mut state, &mut effects);
        changes.apply_some(ZoneChanges::PORTION, &mut state, &mut effects);
        assert_eq!((effects.records().len(), state.size().1), (3, 0));
    }
}
