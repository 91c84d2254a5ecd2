//! A tenant's zones that are too large to make tiles for.

use std::sync::Arc;

use geopush_geometry::Bounds;
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};

use super::area::Area;
use crate::engine::PreparedZone;

/// Zones by their boxes: a zone may have two.
type Boxed = GeomWithData<Rectangle<[f64; 2]>, Arc<PreparedZone>>;

/// The huge zones of one tenant. There are few, and they change seldom: a change builds all of it anew.
///
/// Tiles list the huge zones that meet them like any others; this is for where there is no tile, and for new ones.
#[derive(Debug, Default)]
pub(super) struct HugeZones {
    zones: Vec<Arc<PreparedZone>>,
    boxes: RTree<Boxed>,
}

impl HugeZones {
    /// The same zones without `gone` and with `come`.
    pub fn with(&self, gone: &[&Arc<PreparedZone>], come: &[&Arc<PreparedZone>]) -> Self {
        let stay = self.zones.iter().filter(|zone| !gone.iter().any(|other| Arc::ptr_eq(other, zone)));
        let zones: Vec<_> = stay.chain(come.iter().copied()).cloned().collect();
        let boxed = |zone: &Arc<PreparedZone>| {
            let boxes = zone.shape.bounds(zone.exit_buffer_m);
            boxes.into_iter().map(|bounds| Boxed::new(envelope(&bounds).into(), Arc::clone(zone))).collect()
        };
        let boxes = RTree::bulk_load(zones.iter().flat_map(|zone| -> Vec<Boxed> { boxed(zone) }).collect());
        Self { zones, boxes }
    }

    /// The zones whose boxes meet an area, each once.
    pub fn meeting(&self, area: &Area) -> Vec<&Arc<PreparedZone>> {
        if self.zones.is_empty() {
            return Vec::new();
        }
        let mut zones: Vec<_> = area
            .sides()
            .flat_map(|side| self.boxes.locate_in_envelope_intersecting(envelope(&side)))
            .map(|boxed| &boxed.data)
            .collect();
        zones.sort_unstable_by_key(|zone| zone.id);
        zones.dedup_by_key(|zone| zone.id);
        zones
    }
}

fn envelope(bounds: &Bounds) -> AABB<[f64; 2]> {
    AABB::from_corners([bounds.west, bounds.south], [bounds.east, bounds.north])
}
