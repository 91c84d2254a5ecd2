//! Pings made before they are measured.

use geopush_model::{DeviceId, Fix, TenantId, UnixMillis};

/// Some pings, one after the other, each of one fix.
#[derive(Clone, Debug, Default)]
pub struct Block {
    devices: Vec<u32>,
    tenants: Vec<TenantId>,
    ids: Vec<DeviceId>,
    fixes: Vec<Fix>,
    received: Vec<UnixMillis>,
}

impl Block {
    /// Forgets all pings.
    pub fn clear(&mut self) {
        self.devices.clear();
        self.tenants.clear();
        self.ids.clear();
        self.fixes.clear();
        self.received.clear();
    }

    /// Adds a ping of the device at a place of the floor, with a number of its own.
    pub fn push(&mut self, device: u32, number: u32, tenant: TenantId, fix: Fix, received_at: UnixMillis) {
        self.devices.push(device);
        self.tenants.push(tenant);
        self.ids.push(name(number));
        self.fixes.push(fix);
        self.received.push(received_at);
    }

    /// Whose pings.
    pub fn devices(&self) -> &[u32] {
        &self.devices
    }

    /// The pings in order: whose, what, and when it was received.
    pub fn pings(&self) -> impl Iterator<Item = (u32, &Fix, UnixMillis)> {
        let fixes = self.fixes.iter().zip(&self.received);
        self.devices.iter().zip(fixes).map(|(device, (fix, received))| (*device, fix, *received))
    }
}

/// What the device with a number is called.
pub fn name(number: u32) -> DeviceId {
    DeviceId::new(&format!("phone-{number:08}")).expect("letters and digits are a device id")
}
