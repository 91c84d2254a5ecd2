//! How many pushes a device may get: a table of bounded size that remembers only the devices that were pushed to just
//! now. A device's entry says when its allowance will be full again; once it is, nothing is worth remembering.

use std::hash::BuildHasher as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashbrown::DefaultHashBuilder;
use tokio::time::Instant;

/// The most limits that a provider sets a device.
const MOST_LIMITS: usize = 3;
/// Locks, so that lanes seldom meet at one.
const SHARDS: usize = 16;
/// Places that a device may have: the newcomer takes that of the device whose allowance is fullest.
const WAYS: usize = 4;
/// Devices remembered by a process. At 40 bytes each, touched only when used.
const DEVICES: usize = 1 << 17;

/// A device's allowance: at most `burst` at once, refilled one every `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLimit {
    /// At once.
    pub burst: u32,
    /// One more after this; at least a millisecond.
    pub interval: Duration,
}

/// What a process remembers of devices.
pub struct DeviceLimits {
    shards: Vec<Mutex<Shard>>,
    hasher: DefaultHashBuilder,
    began: Instant,
}

type Shard = Vec<[Entry; WAYS]>;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    device: u64,
    /// By limit: when its allowance will be full again, in ms since the start.
    full_at: [u64; MOST_LIMITS],
    /// Up to when those that were sent away will be back, in ms since the start.
    promised_until: u64,
}

impl DeviceLimits {
    /// Nothing is remembered yet.
    pub fn new(now: Instant) -> Self {
        Self::of_size(DEVICES, now)
    }

    fn of_size(devices: usize, now: Instant) -> Self {
        let sets = (devices / SHARDS / WAYS).max(1);
        let shards = (0..SHARDS).map(|_| Mutex::new(vec![[Entry::default(); WAYS]; sets])).collect();
        Self { shards, hasher: DefaultHashBuilder::default(), began: now }
    }

    /// One more push to `token`, counted in `lane`; or how long it has to wait. Each that is sent away is given a time of
    /// its own, so that they come back one by one.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(
        &self,
        lane: u64,
        token: &str,
        limits: &[DeviceLimit],
        now: Instant,
    ) -> Result<(), Duration> {
        if limits.is_empty() {
            return Ok(());
        }
        // 0 is nobody.
        let device = self.hasher.hash_one((lane, token)).max(1);
        let now_ms = now.saturating_duration_since(self.began).as_millis() as u64;
        let shard = &self.shards[device as usize % SHARDS];
        let mut sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let set = (device as usize / SHARDS) % sets.len();
        let entry = find(&mut sets[set], device);
        entry.check(limits, now_ms).map_err(Duration::from_millis)
    }
}

fn find(set: &mut [Entry; WAYS], device: u64) -> &mut Entry {
    let known = set.iter().position(|entry| entry.device == device);
    let at = known.unwrap_or_else(|| {
        let fullest = set.iter().enumerate().min_by_key(|(_, entry)| entry.matters_until());
        let at = fullest.map_or(0, |(at, _)| at);
        set[at] = Entry { device, ..Entry::default() };
        at
    });
    &mut set[at]
}

impl Entry {
    fn matters_until(&self) -> u64 {
        self.full_at.into_iter().max().unwrap_or(0).max(self.promised_until)
    }

    fn check(&mut self, limits: &[DeviceLimit], now_ms: u64) -> Result<(), u64> {
        let interval = |limit: &DeviceLimit| (limit.interval.as_millis() as u64).max(1);
        let free_at = |full_at: u64, limit: &DeviceLimit| {
            full_at.saturating_sub(u64::from(limit.burst.saturating_sub(1)) * interval(limit))
        };
        let mut slowest: Option<(u64, u64)> = None;
        for (full_at, limit) in self.full_at.iter().zip(limits) {
            let free_at = free_at(*full_at, limit);
            if free_at > now_ms {
                slowest = slowest.max(Some((free_at, interval(limit))));
            }
        }
        if let Some((free_at, interval)) = slowest {
            let slot = free_at.max(self.promised_until);
            self.promised_until = slot + interval;
            return Err(slot - now_ms);
        }
        for (full_at, limit) in self.full_at.iter_mut().zip(limits) {
            *full_at = (*full_at).max(now_ms) + interval(limit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    const TWO_A_SECOND: DeviceLimit = DeviceLimit { burst: 3, interval: Duration::from_millis(500) };
    const FIVE_A_MINUTE: DeviceLimit = DeviceLimit { burst: 5, interval: Duration::from_secs(12) };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_goes_and_the_rest_are_given_times_of_their_own() {
        let now = Instant::now();
        let limits = DeviceLimits::of_size(64, now);
        let check = |at| limits.check(1, "phone", &[TWO_A_SECOND], now + ms(at));
        assert_eq!((check(0), check(0), check(0)), (Ok(()), Ok(()), Ok(())));
        assert_eq!((check(0), check(0), check(100)), (Err(ms(500)), Err(ms(1000)), Err(ms(1400))));
        assert_eq!((check(500), check(1000), check(1500)), (Ok(()), Ok(()), Ok(())));
    }

    #[test]
    fn the_slowest_of_several_limits_counts() {
        let now = Instant::now();
        let limits = DeviceLimits::of_size(64, now);
        let check = |at| limits.check(1, "phone", &[TWO_A_SECOND, FIVE_A_MINUTE], now + ms(at));
        for at in [0, 0, 0, 500, 1_000] {
            assert_eq!(check(at), Ok(()), "{at}");
        }
        assert_eq!(check(1_500), Err(ms(10_500)));
    }

    #[test]
    fn one_device_does_not_wait_for_another_nor_one_app_for_another() {
        let now = Instant::now();
        let limits = DeviceLimits::of_size(64, now);
        for _ in 0..4 {
            let _ = limits.check(1, "phone", &[TWO_A_SECOND], now);
        }
        assert!(limits.check(1, "phone", &[TWO_A_SECOND], now).is_err());
        assert!(limits.check(1, "other phone", &[TWO_A_SECOND], now).is_ok());
        assert!(limits.check(2, "phone", &[TWO_A_SECOND], now).is_ok());
        assert!(limits.check(1, "phone", &[], now).is_ok());
    }

    #[test]
    fn a_crowd_of_devices_does_not_make_the_busiest_forgotten() {
        let now = Instant::now();
        let limits = DeviceLimits::of_size(SHARDS * WAYS, now);
        for _ in 0..3 {
            assert!(limits.check(1, "busy", &[TWO_A_SECOND], now).is_ok());
        }
        for n in 0..10_000 {
            assert!(limits.check(1, &format!("crowd-{n}"), &[TWO_A_SECOND], now).is_ok());
        }
        assert!(limits.check(1, "busy", &[TWO_A_SECOND], now).is_err());
    }

    proptest! {
        /// A device with any number of pushes that come back when they are told: none is early, the allowance is used
        /// up, and each is sent away a few times at most.
        #[test]
        fn a_device_gets_all_of_its_allowance_and_no_more(
            pushes in 1usize..300, burst in 1u32..20, interval_ms in 1u64..2_000,
        ) {
            let limit = DeviceLimit { burst, interval: ms(interval_ms) };
            let mut entry = Entry::default();
            let mut due: BinaryHeap<_> = (0..pushes).map(|_| std::cmp::Reverse(0u64)).collect();
            let (mut sent, mut asked) = (Vec::new(), 0);
            while let Some(std::cmp::Reverse(now)) = due.pop() {
                asked += 1;
                match entry.check(&[limit], now) {
                    Ok(()) => sent.push(now),
                    Err(wait) => {
                        prop_assert!(wait > 0);
                        due.push(std::cmp::Reverse(now + wait));
                    }
                }
            }
            for (n, at) in sent.iter().enumerate() {
                let earliest = (n as u64).saturating_sub(u64::from(burst) - 1) * interval_ms;
                prop_assert_eq!(*at, earliest, "push {}", n);
            }
            prop_assert!(asked <= 2 * pushes);
        }
    }
}
