//! The answer to where a position is.

use std::sync::Arc;

use arc_swap::Guard;
use geopush_geometry::{Bounds, Position};
use geopush_model::{TenantId, ZoneId};

use super::ZoneIndex;
use super::area::Area;
use super::cells::{Cell, Cells};
use super::listing::Listings;
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
        self.nodes().flat_map(|node| node.listings.covering())
    }

    /// Every other zone whose shape, with its exit buffer, may meet [`Self::bounds`].
    pub fn touching(&self) -> impl Iterator<Item = &Arc<PreparedZone>> {
        self.leaf().touching().iter()
    }

    /// Those of [`Self::touching`] that may contain a position of [`Self::bounds`]: told by boxes, without a look at the
    /// others.
    pub fn touching_at(&self, position: Position) -> impl Iterator<Item = &Arc<PreparedZone>> {
        let cell = Cell::at(position, &self.area);
        self.leaf().lying().filter(move |(cells, _)| cells.contain(cell)).map(|(_, zone)| zone)
    }

    /// What is left of a box round a position when the other zones of [`Self::touching`] that `matter` are cut off, but
    /// for those that [may contain](Self::touching_at) the position: to 1/256 of the width and height of
    /// [`Self::bounds`], and without a look at zones that lie beside the box anyway.
    pub fn beside(
        &self,
        position: Position,
        bounds: Bounds,
        matter: impl Fn(&PreparedZone) -> bool,
    ) -> Bounds {
        let cell = Cell::at(position, &self.area);
        let whole = Cells::of_bounds(&bounds, &self.area);
        let mut cells = whole;
        for (others, zone) in self.leaf().lying() {
            if others.meet(&cells) && !others.contain(cell) && matter(zone) {
                cells = cells.beside(others, cell);
            }
        }
        let Bounds { west, south, east, north } = cells.bounds(&self.area);
        Bounds {
            west: bounds.west.max(west),
            south: bounds.south.max(south),
            east: bounds.east.min(east),
            north: bounds.north.min(north),
        }
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

    fn leaf(&self) -> &Listings {
        &self.nodes().last().expect("a way has an end").listings
    }
}
