//! The zones of a tile, by place.

use std::sync::Arc;

use geopush_geometry::Reach;

use super::area::Area;
use super::touching::Touching;
use crate::engine::PreparedZone;

type Zones = [Arc<PreparedZone>];

/// The zones of a box: a tree that is never changed but copied along the way to a change, so that readers keep what
/// they read.
///
/// A zone is listed in a node whose box it covers, else below it, in every leaf that it may meet.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// They contain every position of the box, which the node above could not say.
    pub covering: Box<Zones>,
    pub below: Below,
}

/// What a node says of zones that meet its box without covering it.
#[derive(Debug)]
pub(super) enum Below {
    /// There are few.
    Leaf(Box<[Touching]>),
    /// Its parts say.
    Parts(Box<[Arc<Node>; Area::PARTS]>),
}

impl Default for Below {
    fn default() -> Self {
        Self::Leaf(Box::default())
    }
}

/// Zones to be listed, or to be listed no more, by how they lie to a box; those that miss it are in neither list.
#[derive(Debug, Default)]
struct Lying<'a> {
    covering: Vec<&'a Arc<PreparedZone>>,
    touching: Vec<&'a Arc<PreparedZone>>,
}

impl<'a> Lying<'a> {
    fn in_area(zones: &[&'a Arc<PreparedZone>], area: &Area) -> Self {
        let mut lying = Self::default();
        for zone in zones {
            match area.reach_of(&zone.shape, zone.exit_buffer_m) {
                Reach::Covers => lying.covering.push(zone),
                Reach::Touches => lying.touching.push(zone),
                Reach::Misses => {}
            }
        }
        lying
    }

    fn is_empty(&self) -> bool {
        self.covering.is_empty() && self.touching.is_empty()
    }
}

impl Node {
    /// A leaf that has come to so many zones is cut, if that helps; if not, this is tried again at every doubling.
    const CUT_AT: usize = 32;
    /// Cutting helps when a part touches on average at most this part of the zones: a finer cut finds fewer zones for a
    /// position, and holds each in more places.
    const CUT_HELPS: f64 = 0.4;
    /// So many zones fit into one leaf again.
    const JOIN_AT: usize = 8;
    /// A box 1/1024 as wide as a tile, some 7 m.
    pub const MAX_DEPTH: usize = 5;

    /// The same zones without `gone` and with `come`; `None` if that is the same. `area` is the tile's box.
    pub fn with(
        &self,
        area: &Area,
        gone: &[&Arc<PreparedZone>],
        come: &[&Arc<PreparedZone>],
    ) -> Option<Self> {
        self.changed(area, 0, &Lying::in_area(gone, area), &Lying::in_area(come, area))
    }

    /// These zones in one leaf, however many.
    pub fn leaf(area: &Area, zones: &[&Arc<PreparedZone>]) -> Self {
        let lying = Lying::in_area(zones, area);
        Self {
            covering: changed_list(&[], &[], &lying.covering),
            below: Below::Leaf(changed_leaf(&[], area, &[], &lying.touching)),
        }
    }

    fn changed(&self, area: &Area, depth: usize, gone: &Lying<'_>, come: &Lying<'_>) -> Option<Self> {
        if gone.is_empty() && come.is_empty() {
            return None;
        }
        let covering = changed_list(&self.covering, &gone.covering, &come.covering);
        let (gone, come) = (&gone.touching, &come.touching);
        let below = match &self.below {
            Below::Leaf(before) => {
                let leaf = changed_leaf(before, area, gone, come);
                let doubled = leaf.len() >= Self::CUT_AT && leaf.len().ilog2() > before.len().max(1).ilog2();
                let parts = if doubled { cut(&leaf, area, depth) } else { None };
                parts.map_or(Below::Leaf(leaf), Below::Parts)
            }
            Below::Parts(before) => {
                let parts = part_by_part(|number| {
                    let area = area.part(number);
                    let part = &before[number];
                    let (gone, come) = (Lying::in_area(gone, &area), Lying::in_area(come, &area));
                    part.changed(&area, depth + 1, &gone, &come).map_or_else(|| Arc::clone(part), Arc::new)
                });
                let few = if gone.is_empty() { None } else { joined(parts.as_slice()) };
                few.map_or(Below::Parts(parts), |zones| {
                    Below::Leaf(zones.iter().map(|zone| Touching::new(zone, area)).collect())
                })
            }
        };
        Some(Self { covering, below })
    }
}

fn part_by_part(part: impl FnMut(usize) -> Arc<Node>) -> Box<[Arc<Node>; Area::PARTS]> {
    let parts: Box<[_]> = (0..Area::PARTS).map(part).collect();
    parts.try_into().expect("as many as there are parts")
}

/// The parts of a leaf, if they are worth having.
fn cut(leaf: &[Touching], area: &Area, depth: usize) -> Option<Box<[Arc<Node>; Area::PARTS]>> {
    if depth == Node::MAX_DEPTH {
        return None;
    }
    let zones: Vec<_> = leaf.iter().map(|touching| &touching.zone).collect();
    let lying: Vec<_> = (0..Area::PARTS).map(|number| Lying::in_area(&zones, &area.part(number))).collect();
    let touching: usize = lying.iter().map(|part| part.touching.len()).sum();
    if touching as f64 > Node::CUT_HELPS * (zones.len() * Area::PARTS) as f64 {
        return None;
    }
    let nothing = Arc::new(Node::default());
    Some(part_by_part(|number| {
        let changed = nothing.changed(&area.part(number), depth + 1, &Lying::default(), &lying[number]);
        changed.map_or_else(|| Arc::clone(&nothing), Arc::new)
    }))
}

/// The zones of parts that are better one leaf.
fn joined(parts: &[Arc<Node>]) -> Option<Vec<Arc<PreparedZone>>> {
    let mut zones: Vec<Arc<PreparedZone>> = Vec::new();
    for part in parts {
        let Below::Leaf(leaf) = &part.below else { return None };
        for zone in part.covering.iter().chain(leaf.iter().map(|touching| &touching.zone)) {
            if !zones.iter().any(|listed| Arc::ptr_eq(listed, zone)) {
                if zones.len() == Node::JOIN_AT {
                    return None;
                }
                zones.push(Arc::clone(zone));
            }
        }
    }
    Some(zones)
}

fn changed_list(before: &Zones, gone: &[&Arc<PreparedZone>], come: &[&Arc<PreparedZone>]) -> Box<Zones> {
    let stay = before.iter().filter(|zone| !is_among(gone, zone));
    stay.chain(come.iter().copied()).cloned().collect()
}

fn changed_leaf(
    before: &[Touching],
    area: &Area,
    gone: &[&Arc<PreparedZone>],
    come: &[&Arc<PreparedZone>],
) -> Box<[Touching]> {
    let stay = before.iter().filter(|touching| !is_among(gone, &touching.zone)).cloned();
    stay.chain(come.iter().map(|zone| Touching::new(zone, area))).collect()
}

fn is_among(zones: &[&Arc<PreparedZone>], zone: &Arc<PreparedZone>) -> bool {
    zones.iter().any(|other| Arc::ptr_eq(other, zone))
}
