//! Devices by a hash of their names.

use geopush_model::{DeviceId, TenantId};
use siphasher::sip128::SipHasher13;

/// A device among all tenants', as 128 bits: SipHash-1-3 of its id, keyed by its tenant's UUID.
///
/// The same for ever: records of buckets depend on it. Two of a billion devices share a hash with a probability of
/// less than 1e-20, so nothing compares names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceHash(u128);

impl DeviceHash {
    /// How many buckets there are.
    pub const BUCKETS: u32 = 256;

    /// Of a tenant's device.
    #[must_use]
    pub fn of(tenant: TenantId, device: &DeviceId) -> Self {
        let hasher = SipHasher13::new_with_key(tenant.0.as_bytes());
        Self(hasher.hash(device.as_str().as_bytes()).as_u128())
    }

    #[cfg(test)]
    pub(super) fn of_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Its bucket: a 256th of all devices, which are written down together.
    #[must_use]
    pub fn bucket(self) -> u8 {
        (self.0 >> 120) as u8
    }

    /// What the lookup tells a bucket's devices apart by: the next 32 bits.
    pub(super) fn tag(self) -> u32 {
        (self.0 >> 88) as u32
    }

    /// All but the tag, for the device's own line.
    pub(super) fn rest(self) -> [u32; 3] {
        let bucket_and_next = u32::from(self.bucket()) << 24 | ((self.0 >> 64) as u32 & 0x00ff_ffff);
        [self.0 as u32, (self.0 >> 32) as u32, bucket_and_next]
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn hash(tenant: u128, device: &str) -> DeviceHash {
        DeviceHash::of(TenantId(Uuid::from_u128(tenant)), &DeviceId::new(device).unwrap())
    }

    /// Computed by another implementation, which was checked with the vectors of SipHash's authors.
    #[test]
    fn a_hash_is_the_same_for_ever() {
        assert_eq!(hash(7, "phone-1").0, 0x2ea0_54fd_89f4_ab81_2fe2_e2af_96ad_a2b2);
    }

    #[test]
    fn a_hash_is_of_the_tenant_too() {
        assert_ne!(hash(7, "phone-1"), hash(8, "phone-1"));
    }

    #[test]
    fn bucket_tag_and_rest_hold_all_of_a_hash() {
        let DeviceHash(whole) = hash(7, "phone-1");
        for bit in 0..128 {
            let (one, other) = (DeviceHash(whole), DeviceHash(whole ^ 1 << bit));
            assert_ne!((one.tag(), one.rest()), (other.tag(), other.rest()), "bit {bit}");
        }
    }

    #[test]
    fn buckets_are_of_about_the_same_size() {
        let mut sizes = [0; DeviceHash::BUCKETS as usize];
        (0..25_600).for_each(|n| sizes[usize::from(hash(7, &format!("d{n}")).bucket())] += 1);
        assert!(sizes.iter().all(|size| (50..150).contains(size)), "{sizes:?}");
    }
}
