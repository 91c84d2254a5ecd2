//! The zones of a tile, by place.

use std::sync::Arc;

use super::area::Area;
use super::listing::Listings;
use super::lying::Sorted;
use crate::engine::PreparedZone;

/// The parts of a box, each with its zones.
pub(super) type Parts = Box<[Arc<Node>; Area::PARTS]>;

/// The zones of a box: a tree that is never changed but copied along the way to a change, so that readers keep what
/// they read.
///
/// A zone is listed in a node whose box it covers, else below that, in every leaf that it may meet.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The zones that cover the box, but for those that cover the box of a node above; in a leaf, those that touch it,
    /// too.
    pub listings: Listings,
    /// `None` for a leaf.
    pub parts: Option<Parts>,
}

impl Node {
    /// A leaf that has come to so many zones is cut, if that is worth it; if not, this is tried again at every
    /// doubling.
    const CUT_AT: usize = 32;
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
        self.changed(area, 0, &Sorted::of(area, gone), &Sorted::of(area, come))
    }

    /// These zones in one leaf, however many.
    pub fn leaf(area: &Area, zones: &[&Arc<PreparedZone>]) -> Self {
        let listings = Listings::default().with(area, &Sorted::default(), &Sorted::of(area, zones));
        Self { listings, parts: None }
    }

    fn changed(&self, area: &Area, depth: usize, gone: &Sorted<'_>, come: &Sorted<'_>) -> Option<Self> {
        let changes = !gone.is_empty() || !come.is_empty();
        changes.then(|| match &self.parts {
            None => self.changed_leaf(area, depth, gone, come),
            Some(parts) => self.changed_above(parts, area, depth, gone, come),
        })
    }

    fn changed_leaf(&self, area: &Area, depth: usize, gone: &Sorted<'_>, come: &Sorted<'_>) -> Self {
        let listings = self.listings.with(area, gone, come);
        let (was, is) = (self.listings.touching().len(), listings.touching().len());
        let doubled = is >= Self::CUT_AT && is.ilog2() > was.max(1).ilog2();
        match if doubled { cut(&listings, area, depth) } else { None } {
            Some(parts) => Self { listings: listings.covering_only(), parts: Some(parts) },
            None => Self { listings, parts: None },
        }
    }

    fn changed_above(
        &self,
        parts: &Parts,
        area: &Area,
        depth: usize,
        gone: &Sorted<'_>,
        come: &Sorted<'_>,
    ) -> Self {
        let parts = part_by_part(|number| {
            let (part, area) = (&parts[number], area.part(number));
            let changed = part.changed(&area, depth + 1, &gone.in_part(&area), &come.in_part(&area));
            changed.map_or_else(|| Arc::clone(part), Arc::new)
        });
        let listings = self.listings.with(area, gone, &come.covering_only());
        if !gone.touching.is_empty()
            && let Some(zones) = few_of(parts.as_slice())
        {
            let zones: Vec<_> = zones.iter().collect();
            let listings = listings.with(area, &Sorted::default(), &Sorted::touching(area, &zones));
            return Self { listings, parts: None };
        }
        Self { listings, parts: Some(parts) }
    }
}

/// The parts of a leaf, if they are worth having.
///
/// Finer boxes list fewer zones each, but large zones in many of them. The more zones a leaf has, the more copies are
/// worth it; but when a part has half of them after all, cutting does not help. Where all boundaries lie on one
/// another, it would not help however fine the boxes: then zones are parted from places without any, and no more.
fn cut(leaf: &Listings, area: &Area, depth: usize) -> Option<Parts> {
    if depth == Node::MAX_DEPTH {
        return None;
    }
    let zones: Vec<_> = leaf.touching().iter().collect();
    let all = Sorted::touching(area, &zones);
    let sorted: Vec<_> = (0..Area::PARTS).map(|number| all.in_part(&area.part(number))).collect();
    let copies: usize = sorted.iter().map(|part| part.touching.len()).sum();
    if copies > (zones.len() * zones.len() / 16).min(zones.len() * Area::PARTS / 2) {
        return None;
    }
    // How many others a copy is listed with, over all copies.
    let together: usize = sorted.iter().map(|part| part.touching.len() * part.touching.len()).sum();
    if copies > zones.len() * Area::PARTS / 4 && together > copies * zones.len() / 2 {
        return None;
    }
    let nothing = Arc::new(Node::default());
    Some(part_by_part(|number| {
        let part = nothing.changed(&area.part(number), depth + 1, &Sorted::default(), &sorted[number]);
        part.map_or_else(|| Arc::clone(&nothing), Arc::new)
    }))
}

/// The zones listed in parts that are better one leaf: all are leaves, with few zones together.
fn few_of(parts: &[Arc<Node>]) -> Option<Vec<Arc<PreparedZone>>> {
    let mut zones: Vec<Arc<PreparedZone>> = Vec::new();
    for part in parts {
        if part.parts.is_some() {
            return None;
        }
        for listed in part.listings.all() {
            if !zones.iter().any(|zone| Arc::ptr_eq(zone, listed)) {
                if zones.len() == Node::JOIN_AT {
                    return None;
                }
                zones.push(Arc::clone(listed));
            }
        }
    }
    Some(zones)
}

fn part_by_part(part: impl FnMut(usize) -> Arc<Node>) -> Parts {
    let parts: Box<[_]> = (0..Area::PARTS).map(part).collect();
    parts.try_into().expect("as many as there are parts")
}
