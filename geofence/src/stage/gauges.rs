//! What a slice adds to the process's gauges while it is owned.

/// A slice's part of the gauges; taken back when it is dropped.
#[derive(Default)]
pub(super) struct Gauges {
    devices: f64,
    members: f64,
    waiting: f64,
}

impl Gauges {
    /// The slice has this many devices, this many stays of them, and changes of zones that wait for some.
    pub(super) fn set(&mut self, devices: usize, members: usize, waiting: usize) {
        self.add(devices as f64 - self.devices, members as f64 - self.members, waiting as f64 - self.waiting);
    }

    fn add(&mut self, devices: f64, members: f64, waiting: f64) {
        self.devices += devices;
        self.members += members;
        self.waiting += waiting;
        metrics::gauge!("geopush_geofence_devices").increment(devices);
        metrics::gauge!("geopush_geofence_members").increment(members);
        metrics::gauge!("geopush_geofence_zone_changes_waiting").increment(waiting);
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.add(-self.devices, -self.members, -self.waiting);
    }
}
