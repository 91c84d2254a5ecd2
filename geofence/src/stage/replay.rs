//! A slice's state from its changelog and the pings that the changelog does not cover.

use std::collections::{BTreeMap, HashMap};

use geopush_log::Offset;
use geopush_model::{DeviceKey, DeviceState, Membership, Ping, PingKind, Wire, WireError};

use super::state::{SliceState, bucket_of, part_of};
use crate::engine::{Device, Rules};

/// The changelog, as far as it was read: only a key's last record counts.
#[derive(Default)]
pub(super) struct Changelog {
    own: HashMap<DeviceKey, DeviceState>,
    /// By bucket and part.
    buckets: BTreeMap<(u32, u32), DeviceState>,
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
        if let Some(part) = key.strip_prefix(b"#") {
            let part = std::str::from_utf8(part).ok().and_then(part_of).ok_or(UnreadableState::Key)?;
            match state {
                Some(state) => self.buckets.insert(part, state),
                None => self.buckets.remove(&part),
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
            Replay { rules, devices: HashMap::new(), parts: BTreeMap::new(), unwritten: BTreeMap::new() };
        let mut memberships: HashMap<DeviceKey, Vec<Membership>> = HashMap::new();
        for (key, state) in self.own {
            for mut entry in state.devices {
                let stays = std::mem::take(&mut entry.memberships);
                memberships.insert(key.clone(), stays.clone());
                let device = Device::from_entry(entry, stays);
                replay.devices.insert(key.clone(), Known { device, as_of: state.as_of, has_record: true });
            }
        }
        for ((number, part), state) in self.buckets {
            // In order, so that the last one counts.
            replay.parts.insert(number, part + 1);
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
    /// How many records the buckets have.
    parts: BTreeMap<u32, u32>,
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
            let parts = self.parts.get(&number).copied().unwrap_or_default();
            state.put_bucket(number, parts, unwritten);
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use geopush_geometry::Position;
    use geopush_model::{DeviceEntry, Fix, UnixMillis, ZoneId};

    use super::super::effects::Effects;
    use super::*;

    fn key() -> DeviceKey {
        DeviceKey::parse(b"00000000-0000-0000-0000-000000000007/d").unwrap()
    }

    fn fix(time: i64) -> Fix {
        Fix::at(Position::new(0.0, 0.0).unwrap(), UnixMillis(time))
    }

    fn entry(seq: u64, last_fix: i64) -> DeviceEntry {
        Device { seq, ..Device::new(key(), fix(last_fix), UnixMillis(0)) }.to_bucket_entry()
    }

    fn in_a_zone(entry: DeviceEntry) -> DeviceEntry {
        let stay = Membership {
            zone: ZoneId::of_external(entry.tenant, "shop"),
            zone_external_id: None,
            since: UnixMillis(0),
            dwelled: true,
            zone_version: 1,
        };
        DeviceEntry { memberships: vec![stay], ..entry }
    }

    fn ping(received_at: i64, kind: PingKind) -> Ping {
        let DeviceKey { tenant, device } = key();
        Ping { tenant, device, received_at: UnixMillis(received_at), kind }
    }

    fn changelog(own: Option<(DeviceEntry, Offset)>, bucket: Option<(DeviceEntry, Offset)>) -> Changelog {
        let mut changelog = Changelog::default();
        let mut take = |key: &[u8], state: Option<(DeviceEntry, Offset)>| {
            if let Some((entry, as_of)) = state {
                let state = DeviceState { devices: vec![entry], as_of };
                changelog.take(key, Some(&state.encode())).unwrap();
            }
        };
        take(&key().to_bytes(), own);
        take(format!("#{}", bucket_of(&key())).as_bytes(), bucket);
        changelog
    }

    fn restored(changelog: Changelog, pings: &[(Offset, Ping)]) -> Option<Device> {
        let mut replay = changelog.end(Rules::default());
        for (offset, ping) in pings {
            replay.take(*offset, ping);
        }
        replay.devices.remove(&key()).map(|known| known.device)
    }

    #[test]
    fn a_newer_bucket_tells_the_last_fix_and_the_own_record_the_stays() {
        let device =
            restored(changelog(Some((in_a_zone(entry(3, 10)), 5)), Some((entry(3, 20), 9))), &[]).unwrap();
        assert_eq!((device.seq, device.last_fix.time, device.stays.len()), (3, UnixMillis(20), 1));
    }

    #[test]
    fn an_older_bucket_tells_nothing_that_the_own_record_does_not() {
        let device =
            restored(changelog(Some((in_a_zone(entry(3, 20)), 9)), Some((entry(1, 10), 5))), &[]).unwrap();
        assert_eq!((device.seq, device.last_fix.time, device.stays.len()), (3, UnixMillis(20), 1));
    }

    /// A timer's exit moves no position, so it may be as of the same one as a bucket's record before it.
    #[test]
    fn as_of_the_same_position_the_own_record_is_the_later_one() {
        let device = restored(changelog(Some((entry(4, 10), 5)), Some((entry(3, 10), 5))), &[]).unwrap();
        assert_eq!(device.seq, 4);
    }

    #[test]
    fn a_device_in_a_bucket_alone_is_known() {
        let device = restored(changelog(None, Some((entry(0, 10), 5))), &[]).unwrap();
        assert_eq!(
            (device.seq, device.last_fix.time, device.incarnation),
            (0, UnixMillis(10), UnixMillis(0))
        );
    }

    #[test]
    fn pings_are_replayed_from_where_the_records_end() {
        let fixes = |time| ping(1, PingKind::Fixes(vec![fix(time)]));
        let known = changelog(None, Some((entry(0, 10), 5)));
        let device = restored(known, &[(4, fixes(99)), (5, fixes(20)), (6, fixes(15))]).unwrap();
        assert_eq!(device.last_fix.time, UnixMillis(20));
        assert_eq!(device.last_received, UnixMillis(1));
        let device = restored(Changelog::default(), &[(5, ping(7, PingKind::Fixes(vec![fix(20)])))]).unwrap();
        assert_eq!((device.incarnation, device.seq), (UnixMillis(7), 0));
    }

    #[test]
    fn a_forgotten_device_is_not_remembered_from_a_bucket() {
        let bucket = || changelog(None, Some((entry(3, 10), 5)));
        assert_eq!(restored(bucket(), &[(6, ping(1, PingKind::Forget))]), None);
        let again = ping(9, PingKind::Fixes(vec![fix(2)]));
        let device = restored(bucket(), &[(6, ping(1, PingKind::Forget)), (7, again)]).unwrap();
        assert_eq!((device.incarnation, device.seq, device.last_fix.time), (UnixMillis(9), 0, UnixMillis(2)));
    }

    #[test]
    fn a_bucket_stays_unwritten_from_the_first_ping_that_it_lacks() {
        let mut replay = changelog(None, Some((entry(0, 10), 5))).end(Rules::default());
        for offset in [3, 7, 8] {
            replay.take(offset, &ping(1, PingKind::Fixes(vec![fix(20)])));
        }
        let state = replay.end(0);
        assert_eq!(state.replay_from(9), 7);
    }

    #[test]
    fn a_bucket_of_more_devices_than_a_record_holds_comes_back_whole() {
        let number = bucket_of(&key());
        let long = "x".repeat(110);
        let names = (0..).map(|n| format!("{long}{n}")).filter(|name| {
            let device = geopush_model::DeviceId::new(name).unwrap();
            bucket_of(&DeviceKey { device, ..key() }) == number
        });
        let names: Vec<String> = names.take(4_000).collect();
        let fixed = |name: &String, time| Ping {
            device: geopush_model::DeviceId::new(name).unwrap(),
            ..ping(1, PingKind::Fixes(vec![fix(time)]))
        };
        let flush = |state: &mut SliceState| state.flush(number as u32, 9_000, None, &mut Effects::default());
        let mut records: BTreeMap<_, _> = BTreeMap::new();
        let mut restored_of = |written: Vec<geopush_log::Record>| {
            records.extend(written.into_iter().map(|record| (record.key, record.value)));
            let mut changelog = Changelog::default();
            for (key, value) in &records {
                assert!(value.as_ref().is_none_or(|value| value.len() < geopush_log::Record::MAX_BYTES / 2));
                changelog.take(key, value.as_deref()).unwrap();
            }
            changelog.end(Rules::default())
        };

        let mut replay = Changelog::default().end(Rules::default());
        names.iter().for_each(|name| replay.take(7, &fixed(name, 10)));
        let written = flush(&mut replay.end(0));
        assert!(written.len() > 1);
        let mut replay = restored_of(written);
        assert_eq!(replay.devices.len(), names.len());

        let forget = |name: &String| Ping { kind: PingKind::Forget, ..fixed(name, 0) };
        names[1..].iter().for_each(|name| replay.take(10_000, &forget(name)));
        let replay = restored_of(flush(&mut replay.end(0)));
        assert_eq!(replay.devices.len(), 1, "the records of the others are removed");
        assert_eq!(replay.parts, BTreeMap::from([(number as u32, 1)]));
    }

    #[test]
    fn a_key_of_no_bucket_and_no_device_is_refused() {
        for key in ["#256", "#-1", "#", "#1.", "#1.0", "#1.x", "#256.1", "device"] {
            assert!(Changelog::default().take(key.as_bytes(), None).is_err(), "{key}");
        }
        assert!(Changelog::default().take(b"#1", Some(b"no state")).is_err());
    }
}
