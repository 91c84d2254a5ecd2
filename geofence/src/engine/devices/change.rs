//! What changes a device, other than a fix that its line deals with.

use geopush_model::{DeviceKey, UnixMillis};

use super::{DeviceHash, Devices, Slot, history_of, view_outside};
use crate::engine::safe_box::Safe;
use crate::engine::{Device, Rules, Said, ZoneChange};

impl Devices {
    /// Judges a member by a zone's new version.
    pub fn zone_changed(&mut self, slot: Slot, change: &ZoneChange, out: &mut Vec<Said>) {
        self.change_member(slot, out, |device, _, out| device.on_zone_change(change, out));
    }

    /// A device was deleted by a request accepted at `received_at`: it is not here any more. Answers the slot that is
    /// free now.
    pub fn forget(&mut self, hash: DeviceHash, received_at: UnixMillis, out: &mut Vec<Said>) -> Option<Slot> {
        let slot = self.find(hash)?;
        self.change_member(slot, out, |device, rules, out| device.on_forget(received_at, rules, out));
        self.remove(hash, slot);
        Some(slot)
    }

    /// Drops a device in no zone, such as one that [is forgotten](Self::is_forgotten_at). Its slot is free now.
    pub fn remove(&mut self, hash: DeviceHash, slot: Slot) {
        assert!(self.lines[slot.0].member().is_none(), "a member leaves its zones before it goes");
        self.lookup.remove(hash, slot.0);
        self.free.push(slot);
    }

    /// Whether any device may have been silent for too long.
    #[must_use]
    pub fn may_expire(&self, now: UnixMillis) -> bool {
        self.members.may_expire(now)
    }

    /// Ends the stays of devices of which nothing was received for too long, until none is left or there are `enough`
    /// transitions. To be called after the pings that were received until `now`.
    pub fn expire(&mut self, now: UnixMillis, enough: usize, out: &mut Vec<(Slot, Said)>) {
        let mut exits = Vec::new();
        while out.len() < enough
            && let Some(slot) =
                self.members.next_silent(now, &self.rules, |slot| self.lines[slot.0].received_at())
        {
            self.change_member(slot, &mut exits, |device, rules, out| device.on_silence(now, rules, out));
            out.extend(exits.drain(..).map(|exit| (slot, exit)));
        }
    }

    fn change_member(
        &mut self,
        slot: Slot,
        out: &mut Vec<Said>,
        change: impl FnOnce(&mut Device, &Rules, &mut Vec<Said>),
    ) {
        if self.member(slot).is_some() {
            let key = || unreachable!("a member has its key");
            self.change(slot, key, out, |device, rules, out| {
                change(device, rules, out);
                // It may enter again where it is.
                Safe::NOWHERE
            });
        }
    }

    /// Changes a device and all that is kept of it. The change says its transitions, and where its fixes change
    /// nothing after it. `key` is asked of a device in no zone.
    pub(super) fn change(
        &mut self,
        slot: Slot,
        key: impl FnOnce() -> DeviceKey,
        out: &mut Vec<Said>,
        change: impl FnOnce(&mut Device, &Rules, &mut Vec<Said>) -> Safe,
    ) {
        let said = out.len();
        let place = self.lines[slot.0].member();
        let mut outside = None;
        let device = match place {
            Some(place) => self.members.device_mut(place, self.lines[slot.0].received_at()),
            None => outside.insert(view_outside(&self.lines[slot.0], self.histories[slot.0], key())),
        };
        let safe = change(device, &self.rules, out);

        let line = &mut self.lines[slot.0];
        line.position = device.last_fix.position;
        line.set_times(device.last_fix.time, device.last_received);
        (line.safe_box, line.stamp) = (safe.safe_box, safe.stamp);
        let history = history_of(device);
        if self.histories[slot.0] != history {
            self.histories[slot.0] = history;
        }
        let in_zones = !device.stays.is_empty();
        match (place, outside) {
            (Some(place), _) if in_zones => self.members.set_dwell(place, safe.until),
            (Some(place), _) => {
                self.members.remove(place);
                line.set_member(None);
            }
            (None, Some(device)) if in_zones => {
                line.set_member(Some(self.members.add(slot, device, safe.until, &self.rules)));
            }
            (None, _) => {}
        }
        out[said..].iter().for_each(|said| self.rosters.note(slot, said.zone, said.kind));
    }
}
