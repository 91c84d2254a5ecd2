//! Pings made before they are measured.

use geopush_model::{DeviceId, Fix, TenantId, UnixMillis};

/// Some pings, one after the other, each of one fix.
#[derive(Clone, Debug, Default)]
pub struct Block {
    devices: Vec<u32>,
    pings: Vec<Owned>,
}

#[derive(Clone, Debug)]
struct Owned {
    tenant: TenantId,
    id: DeviceId,
    fix: Fix,
    received_at: UnixMillis,
}

/// A ping of a block.
#[derive(Clone, Copy, Debug)]
pub struct BlockPing<'b> {
    /// Whose device it is of.
    pub tenant: TenantId,
    /// Which device.
    pub id: &'b DeviceId,
    /// What it says.
    pub fix: &'b Fix,
    /// When it was received.
    pub received_at: UnixMillis,
}

impl Block {
    /// Forgets all pings.
    pub fn clear(&mut self) {
        self.devices.clear();
        self.pings.clear();
    }

    /// Adds a ping of the device at a place of the floor, with a number of its own.
    pub fn push(&mut self, device: u32, number: u32, tenant: TenantId, fix: Fix, received_at: UnixMillis) {
        self.devices.push(device);
        self.pings.push(Owned { tenant, id: name(number), fix, received_at });
    }

    /// How many pings.
    pub fn len(&self) -> usize {
        self.pings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pings.is_empty()
    }

    /// Whose pings, as places of the floor.
    pub fn devices(&self) -> &[u32] {
        &self.devices
    }

    /// The pings in order.
    pub fn pings(&self) -> impl Iterator<Item = BlockPing<'_>> {
        self.pings.iter().map(|ping| BlockPing {
            tenant: ping.tenant,
            id: &ping.id,
            fix: &ping.fix,
            received_at: ping.received_at,
        })
    }
}

/// What the device with a number is called.
pub fn name(number: u32) -> DeviceId {
    DeviceId::new(&format!("phone-{number:08}")).expect("letters and digits are a device id")
}
