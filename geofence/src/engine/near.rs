//! What the state machine asks of the zones.

use std::sync::Arc;

use geopush_geometry::Position;
use geopush_model::ZoneId;

use super::PreparedZone;
use super::index::{Around, TenantZones};

/// A tenant's zones, as they were at one moment.
pub trait ZonesNear {
    /// Calls with every zone that contains the position and any others, once each, and whether it surely contains it.
    fn for_each_near<'a>(&'a self, position: Position, take: impl FnMut(&'a Arc<PreparedZone>, bool));

    /// A live zone, wherever it is.
    fn zone(&self, zone: ZoneId) -> Option<Arc<PreparedZone>>;
}

impl ZonesNear for Around<'_> {
    fn for_each_near<'a>(&'a self, _: Position, mut take: impl FnMut(&'a Arc<PreparedZone>, bool)) {
        self.covering().for_each(|zone| take(zone, true));
        self.touching().for_each(|zone| take(zone, false));
    }

    fn zone(&self, zone: ZoneId) -> Option<Arc<PreparedZone>> {
        self.get(zone)
    }
}

impl ZonesNear for TenantZones {
    fn for_each_near<'a>(&'a self, position: Position, mut take: impl FnMut(&'a Arc<PreparedZone>, bool)) {
        self.containing(position).into_iter().for_each(|zone| take(zone, true));
    }

    fn zone(&self, zone: ZoneId) -> Option<Arc<PreparedZone>> {
        self.get(zone).cloned()
    }
}
