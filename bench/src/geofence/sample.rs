//! Some devices, of whom everything is kept and held against the slow reference.

use std::collections::BTreeMap;

use geopush_geofence::engine::{Reference, Rules, Said};
use geopush_geometry::Prepared;
use geopush_model::{DeviceId, DeviceKey, Fix, TenantId, Transition, UnixMillis};
use geopush_service::BoxError;

use super::block::Block;
use super::world::World;
use crate::report::Check;

/// How many devices are kept.
const DEVICES: usize = 40;
/// The reference is told the zones that a kept device came this near to: more than any exit buffer, so that no other
/// zone can matter.
const NEAR_M: f64 = 2_000.0;

/// Every so many devices one, what was heard of it and what the engine said.
#[derive(Debug)]
pub struct Sample {
    every: u32,
    kept: BTreeMap<u32, Kept>,
}

#[derive(Debug)]
struct Kept {
    tenant: TenantId,
    id: DeviceId,
    heard: Vec<(Fix, UnixMillis)>,
    said: Vec<Transition>,
}

impl Sample {
    /// Of so many devices.
    pub fn of(devices: usize) -> Self {
        let every = u32::try_from(devices / DEVICES).expect("fewer than 2^32 devices").max(1);
        Self { every, kept: BTreeMap::new() }
    }

    /// Keeps what concerns the kept devices.
    pub fn keep(&mut self, block: &Block, transitions: &[(usize, Said)]) {
        for (device, ping) in block.devices().iter().zip(block.pings()) {
            if device.is_multiple_of(self.every) {
                let new = || Kept { tenant: ping.tenant, id: ping.id.clone(), heard: vec![], said: vec![] };
                let kept = self.kept.entry(*device).or_insert_with(new);
                kept.heard.push((ping.fix.clone(), ping.received_at));
            }
        }
        for (at, said) in transitions {
            if let Some(kept) = self.kept.get_mut(&block.devices()[*at]) {
                let key = DeviceKey { tenant: kept.tenant, device: kept.id.clone() };
                kept.said.push(said.clone().by(key));
            }
        }
    }

    /// Compares what was said with what the reference says of the same fixes and the zones' first versions.
    ///
    /// # Errors
    /// A zone that can't be made.
    pub fn check(&self, world: &World, check: &mut Check) -> Result<(), BoxError> {
        for tenant in world.tenants() {
            let kept: Vec<_> = self.kept.values().filter(|kept| kept.tenant == tenant.id).collect();
            if kept.is_empty() {
                continue;
            }
            let mut reference = Reference::new(tenant.id, Rules::default());
            for number in tenant.zones.clone() {
                let zone = world.zone(number, 1)?;
                let boxes = Prepared::new(&zone.shape).bounds(NEAR_M);
                let is_near = |fix: &Fix| boxes.iter().any(|bounds| bounds.contains(fix.position));
                if kept.iter().any(|kept| kept.heard.iter().any(|(fix, _)| is_near(fix))) {
                    reference.zone_changed(zone);
                }
            }
            for kept in kept {
                let heard = kept.heard.iter();
                let all = heard.flat_map(|(fix, received_at)| reference.fix(&kept.id, fix, *received_at));
                compare(&kept.said, &all.collect::<Vec<_>>(), check);
            }
        }
        Ok(())
    }
}

/// One comparison a transition of the two, and one a device for having no others.
fn compare(said: &[Transition], right: &[Transition], check: &mut Check) {
    let (few, many) = (said.len(), right.len());
    check.compare((few != many).then_some(|| format!("{few} transitions, {many} by the reference")));
    for (said, right) in said.iter().zip(right) {
        check.compare((said != right).then_some(|| format!("{said:?}, {right:?} by the reference")));
    }
}
