//! The answer to where a position is.

use std::sync::Arc;

use arc_swap::Guard;
use geopush_geometry::{Bounds, Position};
use geopush_model::{TenantId, ZoneId};

use super::ZoneIndex;
use super::area::Area;
use super::listing::{Cell, Listing};
use super::node::Node;
use super::tiles::Stamp;
use crate::engine::PreparedZone;

/// The zones round a position, all as they were at one moment.
#[derive(Debug)]
pub struct Around<'a> {
    index: &'a ZoneIndex,
    tenant: TenantId,
    stamp: Stamp,
    zones: Guard<Arc<Node>>,
    way: Way,
    /// The box at the way's end.
    area: Area,
}

/// The way from a tile's root to a leaf: the parts' numbers, four bits each, the first one lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Way(u32);

const _: () = assert!(Area::PARTS <= 1 << Way::BITS && Node::MAX_DEPTH as u32 * Way::BITS <= u32::BITS);

impl Way {
    const BITS: u32 = 4;

    fn with(self, depth: u32, number: usize) -> Self {
        Self(self.0 | (number as u32) << (depth * Self::BITS))
    }

    fn number(self, depth: u32) -> usize {
        (self.0 >> (depth * Self::BITS)) as usize % (1 << Self::BITS)
    }
}

impl<'a> Around<'a> {
    /// `area`: the box of `zones`, in the turn of the globe in which the position is in it.
    pub(super) fn new(
        index: &'a ZoneIndex,
        tenant: TenantId,
        stamp: Stamp,
        zones: Guard<Arc<Node>>,
        mut area: Area,
        position: Position,
    ) -> Self {
        let (mut node, mut way, mut depth): (&Node, _, _) = (&zones, Way::default(), 0);
        while let Some(parts) = &node.parts {
            let number = area.part_at(position);
            area = area.part(number);
            way = way.with(depth, number);
            depth += 1;
            node = &parts[number];
        }
        Self { index, tenant, stamp, zones, way, area }
    }

    /// The tile that answered, and its state at that moment.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// A box round the position, borders included, where [`Self::covering`] and [`Self::touching`] are all there is.
    pub fn bounds(&self) -> Bounds {
        self.area.bounds()
    }

    /// The zones that contain every position of [`Self::bounds`].
    pub fn covering(&self) -> impl Iterator<Item = &Arc<PreparedZone>> {
        self.nodes().flat_map(|node| node.listings.covering()).map(|listing| &listing.zone)
    }

    /// Every other zone whose shape, with its exit buffer, may meet [`Self::bounds`].
    pub fn touching(&self) -> impl Iterator<Item = &Arc<PreparedZone>> {
        self.leaf().iter().map(|listing| &listing.zone)
    }

    /// Those of [`Self::touching`] that may contain a position of [`Self::bounds`]: told by boxes, without a look at the
    /// others.
    pub fn touching_at(&self, position: Position) -> impl Iterator<Item = &Arc<PreparedZone>> {
        let cell = Cell::at(position, &self.area);
        let near = self.leaf().iter().filter(move |listing| listing.may_contain(cell));
        near.map(|listing| &listing.zone)
    }

    /// [`Self::touching`], each with a box outside of which it contains no position of [`Self::bounds`]: known without
    /// a look at the zone, and good to 1/256 of the width and height of those. `None`: it contains none.
    pub fn touching_boxes(&self) -> impl Iterator<Item = (Option<Bounds>, &Arc<PreparedZone>)> {
        self.leaf().iter().map(|listing| (listing.box_in(&self.area), &listing.zone))
    }

    /// A live zone of the tenant: out of the lists, or wherever it is.
    pub fn get(&self, zone: ZoneId) -> Option<Arc<PreparedZone>> {
        let listed = self.covering().chain(self.touching()).find(|listed| listed.id == zone);
        listed.cloned().or_else(|| self.index.get(self.tenant, zone))
    }

    /// From the root to the leaf.
    fn nodes(&self) -> impl Iterator<Item = &Node> {
        let (way, mut depth) = (self.way, 0);
        std::iter::successors(Some(&**self.zones), move |node| {
            let parts = node.parts.as_ref()?;
            depth += 1;
            Some(&*parts[way.number(depth - 1)])
        })
    }

    fn leaf(&self) -> &[Listing] {
        self.nodes().last().map_or(&[], |leaf| leaf.listings.touching())
    }
}
