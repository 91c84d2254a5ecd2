//! The engine as the bench drives it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use geopush_geofence::engine::{Device, Rules, ZoneIndex};
use geopush_model::{DeviceKey, Transition};

use super::block::Block;

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
#[derive(Debug, Default)]
pub struct Engine {
    devices: HashMap<DeviceKey, Device>,
    transitions: Vec<(usize, Transition)>,
    exercised: Exercised,
}

impl Engine {
    /// Takes a block's pings; only the engine's own work is timed.
    pub fn take(&mut self, zones: &ZoneIndex, block: &Block) -> Duration {
        let rules = Rules::default();
        self.transitions.clear();
        let began = Instant::now();
        let mut out = Vec::new();
        for (i, ping) in block.pings().enumerate() {
            let around = zones.tenant(ping.tenant);
            let key = DeviceKey { tenant: ping.tenant, device: ping.id.clone() };
            match self.devices.get_mut(&key) {
                Some(device) => drop(device.on_fix(ping.fix, ping.received_at, &around, &rules, &mut out)),
                None => {
                    let device = Device::appear(key.clone(), ping.fix, ping.received_at, &around, &mut out);
                    self.devices.insert(key, device);
                }
            }
            self.transitions.extend(out.drain(..).map(|transition| (i, transition)));
        }
        let took = began.elapsed();
        self.exercised.fixes += block.len() as u64;
        self.exercised.transitions += self.transitions.len() as u64;
        took
    }

    /// The transitions of the last block, each with its ping's place there.
    pub fn transitions(&self) -> &[(usize, Transition)] {
        &self.transitions
    }

    /// How long it took to hash the names of the last block's devices.
    pub fn hashing(&self) -> Duration {
        Duration::ZERO
    }

    /// What it did since it was asked last.
    pub fn exercised(&mut self) -> Exercised {
        std::mem::take(&mut self.exercised)
    }

    /// How many devices it knows.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }
}
