//! How zones lie to a box.

use std::sync::Arc;

use geopush_geometry::Reach;

use super::area::Area;
use crate::engine::PreparedZone;

/// A zone that may come to a box, with boxes of its own, in the turn of the globe of the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lying<'a> {
    pub zone: &'a Arc<PreparedZone>,
    /// Round the shape; `None` if only the exit buffer comes to the box.
    pub shape: Option<Area>,
    /// Round the shape and its exit buffer.
    reach: Area,
}

/// Zones by how they lie to a box; those that miss it are in neither list.
#[derive(Debug, Default)]
pub(super) struct Sorted<'a> {
    pub covering: Vec<&'a Arc<PreparedZone>>,
    pub touching: Vec<Lying<'a>>,
}

impl<'a> Lying<'a> {
    fn to(area: &Area, zone: &'a Arc<PreparedZone>) -> Option<Self> {
        let reach = area.box_round(&zone.shape.bounds(zone.exit_buffer_m))?;
        Some(Self { zone, shape: area.box_round(&zone.shape.bounds(0.0)), reach })
    }
}

impl<'a> Sorted<'a> {
    pub fn of(area: &Area, zones: &[&'a Arc<PreparedZone>]) -> Self {
        Self::touching(area, zones).in_part(area)
    }

    /// Zones that are taken to touch the box if they may come to it.
    pub fn touching(area: &Area, zones: &[&'a Arc<PreparedZone>]) -> Self {
        let touching = zones.iter().filter_map(|zone| Lying::to(area, zone)).collect();
        Self { covering: Vec::new(), touching }
    }

    /// The touching ones, by how they lie to a part of the box.
    pub fn in_part(&self, part: &Area) -> Self {
        let mut sorted = Self::default();
        for lying in self.touching.iter().filter(|lying| lying.reach.overlaps(part)) {
            match part.reach_of(&lying.zone.shape, lying.zone.exit_buffer_m) {
                Reach::Covers => sorted.covering.push(lying.zone),
                Reach::Touches => sorted.touching.push(*lying),
                Reach::Misses => {}
            }
        }
        sorted
    }

    pub fn covering_only(&self) -> Self {
        Self { covering: self.covering.clone(), touching: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.covering.is_empty() && self.touching.is_empty()
    }
}
