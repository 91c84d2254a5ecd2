//! The engine as the bench drives it: a slice's devices, given blocks of pings.

use std::time::Duration;

use geopush_geofence::engine::{Arrival, DeviceHash, Devices, Outcomes, Rules, Said, ZoneIndex};

use super::block::Block;
use crate::usage::busy;

/// What the engine did, so that a reader sees what a scenario exercised.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exercised {
    /// Fixes taken.
    pub fixes: u64,
    /// Of those, answered by the safe box alone.
    pub safe_box: u64,
    /// Zones whose shape was asked.
    pub exact_tests: u64,
    /// Transitions said.
    pub transitions: u64,
}

/// The devices of a slice.
#[derive(Debug)]
pub struct Engine {
    devices: Devices,
    /// Of the last block.
    outcomes: Outcomes,
    hashing: Duration,
    exercised: Exercised,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            devices: Devices::new(Rules::default()),
            outcomes: Outcomes::default(),
            hashing: Duration::ZERO,
            exercised: Exercised::default(),
        }
    }
}

impl Engine {
    /// Takes a block's pings; only the engine's own work is timed.
    pub fn take(&mut self, zones: &ZoneIndex, block: &Block) -> Duration {
        self.outcomes.transitions.clear();
        self.outcomes.born.clear();
        self.outcomes.counts = Default::default();
        let hash = || block.pings().map(|ping| DeviceHash::of(ping.tenant, ping.id)).collect::<Vec<_>>();
        let (hashes, hashing) = busy(hash);
        self.hashing = hashing;
        let arrivals: Vec<_> = block
            .pings()
            .zip(hashes)
            .map(|(ping, hash)| Arrival {
                tenant: ping.tenant,
                device: ping.id,
                hash,
                fixes: std::slice::from_ref(ping.fix),
                received_at: ping.received_at,
                detect_crossings: false,
            })
            .collect();
        let ((), took) = busy(|| self.devices.take(zones, &arrivals, &mut self.outcomes));
        let counts = &self.outcomes.counts;
        self.exercised.fixes += counts.applied + counts.late + counts.duplicate;
        self.exercised.safe_box += counts.safe_box_hits;
        self.exercised.exact_tests += counts.exact_tests;
        self.exercised.transitions += self.outcomes.transitions.len() as u64;
        took
    }

    /// The transitions of the last block, each with its ping's place there.
    pub fn transitions(&self) -> &[(usize, Said)] {
        &self.outcomes.transitions
    }

    /// How long it took to hash the names of the last block's devices.
    pub fn hashing(&self) -> Duration {
        self.hashing
    }

    /// What it did since it was asked last.
    pub fn exercised(&mut self) -> Exercised {
        std::mem::take(&mut self.exercised)
    }

    /// How many stays its devices have in zones.
    pub fn stays(&self) -> usize {
        self.devices.stays()
    }

    /// How many devices it knows.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }
}
