//! A slice's state from its changelog and the pings that the changelog does not cover.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use geopush_log::Offset;
use geopush_model::{DeviceKey, DeviceState, Membership, Ping, PingKind, Wire, WireError};

use super::state::{SliceState, bucket_of};
use crate::engine::{Device, Rules};

/// The changelog, as far as it was read: only a key's last record counts.
#[derive(Default)]
pub(super) struct Changelog {
    own: HashMap<DeviceKey, DeviceState>,
    buckets: BTreeMap<u32, DeviceState>,
}

/// A record of the changelog that can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableState {
    /// Its key names neither a device nor a bucket.
    #[error("its key names neither a device nor a bucket")]
    Key,
    /// Its value is something else.
    #[error(transparent)]
    Value(#[from] WireError),
}

impl Changelog {
    /// Takes a record, in order; `None` removes its key.
    pub(super) fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), UnreadableState> {
        let state = value.map(DeviceState::decode).transpose()?;
        if let Some(number) = key.strip_prefix(b"#") {
            let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
            let number = number.filter(|number| *number < SliceState::BUCKETS).ok_or(UnreadableState::Key)?;
            match state {
                Some(state) => self.buckets.insert(number, state),
                None => self.buckets.remove(&number),
            };
        } else {
            let key = DeviceKey::parse(key).ok_or(UnreadableState::Key)?;
            match state {
                Some(state) => self.own.insert(key, state),
                None => self.own.remove(&key),
            };
        }
        Ok(())
    }

    /// The end of the changelog: what follows are pings.
    pub(super) fn end(self, rules: Rules) -> Replay {
        let mut replay =
            Replay { rules, devices: HashMap::new(), written: BTreeSet::new(), unwritten: BTreeMap::new() };
        let mut memberships: HashMap<DeviceKey, Vec<Membership>> = HashMap::new();
        for (key, state) in self.own {
            for mut entry in state.devices {
                let stays = std::mem::take(&mut entry.memberships);
                memberships.insert(key.clone(), stays.clone());
                let device = Device::from_entry(entry, stays);
                replay.devices.insert(key.clone(), Known { device, as_of: state.as_of, has_record: true });
            }
        }
        for (number, state) in self.buckets {
            replay.written.insert(number);
            for entry in state.devices {
                let key = DeviceKey { tenant: entry.tenant, device: entry.device.clone() };
                // As of the same position, the own record is the later one.
                let own = replay.devices.get(&key);
                if own.is_none_or(|known| known.as_of < state.as_of) {
                    let has_record = own.is_some();
                    let device = Device::from_entry(entry, memberships.remove(&key).unwrap_or_default());
                    replay.devices.insert(key, Known { device, as_of: state.as_of, has_record });
                }
            }
        }
        replay
    }
}

/// The pings that came after the last fixes were written down: they say where devices were last, and nothing else.
/// What they meant is published already.
pub(super) struct Replay {
    rules: Rules,
    devices: HashMap<DeviceKey, Known>,
    /// The buckets that have a record.
    written: BTreeSet<u32>,
    /// The first ping that a bucket's record does not cover.
    unwritten: BTreeMap<usize, Offset>,
}

struct Known {
    device: Device,
    /// Pings before this are in it.
    as_of: Offset,
    has_record: bool,
}

impl Replay {
    /// Takes a ping, in order.
    pub(super) fn take(&mut self, offset: Offset, ping: &Ping) {
        let key = ping.key();
        if self.devices.get(&key).is_some_and(|known| offset < known.as_of) {
            return;
        }
        self.unwritten.entry(bucket_of(&key)).or_insert(offset);
        let PingKind::Fixes(fixes) = &ping.kind else {
            self.devices.remove(&key);
            return;
        };
        for fix in fixes {
            match self.devices.get_mut(&key) {
                Some(known) => {
                    known.device.remember(fix, ping.received_at, &self.rules);
                }
                None => {
                    let device = Device::new(key.clone(), fix.clone(), ping.received_at);
                    self.devices.insert(key.clone(), Known { device, as_of: 0, has_record: false });
                }
            }
        }
    }

    /// The state as it was at the end of the pings.
    pub(super) fn end(self, slice: u32) -> SliceState {
        let mut state = SliceState::new(slice, self.rules);
        for known in self.devices.into_values() {
            state.put(known.device, known.has_record);
        }
        for number in 0..SliceState::BUCKETS {
            let unwritten = self.unwritten.get(&(number as usize)).copied();
            state.put_bucket(number, self.written.contains(&number), unwritten);
        }
        state
    }
}
