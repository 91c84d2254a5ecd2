//! What an operator may choose.

use std::time::Duration;

use geopush_service::config::Reader;

use crate::engine::Rules;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_hours(24);

/// The geofence role's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeofenceConfig {
    /// `geofence.expire_after`: how long a silent device stays in its zones.
    pub expire_after: Duration,
    /// `geofence.forget_after`: how long a silent device that is in no zone is remembered.
    pub forget_after: Duration,
    /// `geofence.flush_interval`: how long it takes until every device's last fix has been written down.
    pub flush_interval: Duration,
}

impl Default for GeofenceConfig {
    fn default() -> Self {
        Self { expire_after: DAY, forget_after: 30 * DAY, flush_interval: 5 * MINUTE }
    }
}

impl GeofenceConfig {
    /// Reads `geofence.*`.
    pub fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        Self {
            expire_after: reader
                .key("geofence.expire_after", "How long a silent device stays in its zones")
                .within(Duration::from_secs(1)..=365 * DAY)
                .or(default.expire_after),
            forget_after: reader
                .key("geofence.forget_after", "How long a silent device that is in no zone is remembered")
                .within(Duration::from_secs(1)..=3650 * DAY)
                .or(default.forget_after),
            flush_interval: reader
                .key("geofence.flush_interval", "How long until every device's last fix is written down")
                .within(Duration::from_secs(1)..=DAY)
                .or(default.flush_interval),
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules { expire_after_ms: ms(self.expire_after), forget_after_ms: ms(self.forget_after) }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
