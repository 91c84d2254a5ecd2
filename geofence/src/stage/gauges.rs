//! What a slice adds to the process's gauges while it is owned.

/// A slice's part of the gauges; taken back when it is dropped.
#[derive(Default)]
pub(super) struct Gauges {
    devices: f64,
    members: f64,
}

impl Gauges {
    /// The slice has this many devices, and this many stays of them.
    pub(super) fn set(&mut self, devices: usize, members: usize) {
        self.add(devices as f64 - self.devices, members as f64 - self.members);
    }

    fn add(&mut self, devices: f64, members: f64) {
        self.devices += devices;
        self.members += members;
        metrics::gauge!("geopush_geofence_devices").increment(devices);
        metrics::gauge!("geopush_geofence_members").increment(members);
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.add(-self.devices, -self.members);
    }
}
