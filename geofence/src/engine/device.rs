//! What is known of a device.

use std::sync::Arc;

use geopush_model::{DeviceEntry, DeviceKey, Fix, Membership, UnixMillis, ZoneId};

use super::Rules;
use super::tags::Tags;

/// A device's stay in a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    /// Where.
    pub zone: ZoneId,
    /// The merchant's name of the zone, which the versions of the zone share with its stays.
    pub zone_external_id: Option<Arc<str>>,
    /// The time of the fix that entered.
    pub since: UnixMillis,
    /// Whether this stay has had its dwell.
    pub dwelled: bool,
    /// The version of the zone that the enter was judged by.
    pub zone_version: i64,
}

/// A device since its first fix, or its first since it was forgotten.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Which device.
    pub key: DeviceKey,
    /// When the ping with its first fix was received: tells one run of `seq` from the next.
    pub incarnation: UnixMillis,
    /// How many transitions it has had.
    pub seq: u64,
    /// Its latest fix by the fixes' own times.
    pub last_fix: Fix,
    /// When anything of it was received last.
    pub last_received: UnixMillis,
    /// Its stays, by zone id.
    pub stays: Vec<Stay>,
}

impl Device {
    /// A device in no zone, of which this was received for the first time.
    pub fn new(key: DeviceKey, first: Fix, received_at: UnixMillis) -> Self {
        Self {
            key,
            incarnation: received_at,
            seq: 0,
            last_fix: first,
            last_received: received_at,
            stays: Vec::new(),
        }
    }

    /// The device that was written down as `entry`, in these zones.
    pub fn from_entry(entry: DeviceEntry, memberships: Vec<Membership>) -> Self {
        let mut stays: Vec<_> = memberships.into_iter().map(Stay::from).collect();
        stays.sort_by_key(|stay| stay.zone);
        Self {
            key: DeviceKey { tenant: entry.tenant, device: entry.device },
            incarnation: entry.incarnation,
            seq: entry.seq,
            last_fix: entry.last_fix,
            last_received: entry.last_received,
            stays,
        }
    }

    /// Everything, to be written down whenever memberships change.
    pub fn to_entry(&self) -> DeviceEntry {
        let memberships = self.stays.iter().map(Membership::from).collect();
        DeviceEntry { memberships, ..self.to_bucket_entry() }
    }

    /// Everything but the memberships, to be written down every few minutes.
    pub fn to_bucket_entry(&self) -> DeviceEntry {
        DeviceEntry {
            tenant: self.key.tenant,
            device: self.key.device.clone(),
            incarnation: self.incarnation,
            seq: self.seq,
            last_fix: self.last_fix.clone(),
            last_received: self.last_received,
            memberships: Vec::new(),
        }
    }

    /// Takes a fix that was judged before, at a restore: no zones, no transitions. Says whether it is the device's
    /// last fix now.
    pub fn remember(&mut self, fix: &Fix, received_at: UnixMillis, rules: &Rules) -> bool {
        if self.is_forgotten_at(received_at, rules) {
            *self = Self::new(self.key.clone(), fix.clone(), received_at);
            return true;
        }
        self.last_received = self.last_received.max(received_at);
        let newer = fix.time > self.last_fix.time;
        if newer {
            self.last_fix = fix.clone();
        }
        newer
    }

    /// Whether it is in no zone and has been silent for so long that its next fix is a first one.
    pub fn is_forgotten_at(&self, now: UnixMillis, rules: &Rules) -> bool {
        self.stays.is_empty() && now.since_ms(self.last_received) >= rules.forget_after_ms
    }

    /// When its stays end unless something is received of it.
    pub fn expires_at(&self, rules: &Rules) -> UnixMillis {
        self.last_received.plus_ms(rules.expire_after_ms)
    }

    /// Its stay in a zone.
    pub fn stay(&self, zone: ZoneId) -> Option<&Stay> {
        self.find(zone).ok().map(|i| &self.stays[i])
    }

    /// The zones that it is in.
    pub(super) fn tags(&self) -> Tags {
        self.stays.iter().map(|stay| stay.zone).collect()
    }

    /// Where its stay in a zone is, or would be.
    pub(super) fn find(&self, zone: ZoneId) -> Result<usize, usize> {
        self.stays.binary_search_by_key(&zone, |stay| stay.zone)
    }
}

impl From<Membership> for Stay {
    fn from(written: Membership) -> Self {
        let Membership { zone, zone_external_id, since, dwelled, zone_version } = written;
        Self { zone, zone_external_id: zone_external_id.map(Arc::from), since, dwelled, zone_version }
    }
}

impl From<&Stay> for Membership {
    fn from(stay: &Stay) -> Self {
        let Stay { zone, zone_external_id, since, dwelled, zone_version } = stay;
        Self {
            zone: *zone,
            zone_external_id: zone_external_id.as_deref().map(str::to_owned),
            since: *since,
            dwelled: *dwelled,
            zone_version: *zone_version,
        }
    }
}
