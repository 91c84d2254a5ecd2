//! The answer to where a position is.

use std::sync::Arc;

use arc_swap::Guard;
use geopush_geometry::{Bounds, Position};
use geopush_model::{TenantId, ZoneId};

use super::ZoneIndex;
use super::area::Area;
use super::cells::{Cell, Cells};
use super::node::Node;
use super::tiles::Stamp;
use crate::engine::PreparedZone;
use crate::engine::tags::Tags;

/// The zones round a position, all as they were at one moment.
///
/// They are found by [`Self::step`]s, each of which waits for the memory once, so that several can be found side by
/// side. Until the last one, `Around` tells of the zones of a larger box in part.
#[derive(Debug)]
pub struct Around<'a> {
    index: &'a ZoneIndex,
    tenant: TenantId,
    position: Position,
    stamp: Stamp,
    zones: Guard<Arc<Node>>,
    way: Way,
    /// The box at the way's end.
    area: Area,
}

/// A way from a tile's root towards a leaf: the parts' numbers, four bits each, the first one lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    numbers: u32,
    depth: u32,
}

const _: () = assert!(Area::PARTS <= 1 << Way::BITS && Node::MAX_DEPTH as u32 * Way::BITS <= u32::BITS);

impl Way {
    const BITS: u32 = 4;

    fn with(self, number: usize) -> Self {
        let Self { numbers, depth } = self;
        Self { numbers: numbers | (number as u32) << (depth * Self::BITS), depth: depth + 1 }
    }

    fn number(self, depth: u32) -> usize {
        (self.numbers >> (depth * Self::BITS)) as usize % (1 << Self::BITS)
    }
}

impl<'a> Around<'a> {
    /// `area`: the box of `zones`, in the turn of the globe in which the position is in it.
    pub(super) fn new(
        index: &'a ZoneIndex,
        tenant: TenantId,
        stamp: Stamp,
        zones: Guard<Arc<Node>>,
        area: Area,
        position: Position,
    ) -> Self {
        Self { index, tenant, position, stamp, zones, way: Way::default(), area }
    }

    /// Goes on to the part of the box that the position is in; `false` where there are no smaller ones.
    pub(in crate::engine) fn step(&mut self) -> bool {
        let is_cut = self.node().parts.is_some();
        if is_cut {
            let number = self.area.part_at(self.position);
            self.area = self.area.part(number);
            self.way = self.way.with(number);
        }
        is_cut
    }

    /// Goes as far as possible.
    pub(super) fn stepped(mut self) -> Self {
        while self.step() {}
        self
    }

    /// Something of each line of the lists, to have asked the memory for them.
    pub(in crate::engine) fn touch_lists(&self) -> usize {
        self.node().listings.touch()
    }

    /// Something of each zone that a device in such zones will look at, to have asked the memory for them.
    pub(in crate::engine) fn touch_zones(&self, stays: Tags) -> u64 {
        let cell = Cell::at(self.position, &self.area);
        let sum = self.covering().fold(0, |sum, zone| sum ^ zone.touch());
        self.node().listings.marked().fold(sum, |sum, (mark, zone)| {
            if mark.cells.contain(cell) || stays.may_hold(mark.tag) { sum ^ zone.touch() } else { sum }
        })
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
        self.node().listings.touching().iter()
    }

    /// Those of [`Self::touching`] that may be among some zones: told without a look at most others.
    pub(in crate::engine) fn touching_among(&self, zones: Tags) -> impl Iterator<Item = &Arc<PreparedZone>> {
        self.node().listings.touching_among(zones)
    }

    /// Those of [`Self::touching`] that may contain a position of [`Self::bounds`]: told by boxes, without a look at the
    /// others.
    pub fn touching_at(&self, position: Position) -> impl Iterator<Item = &Arc<PreparedZone>> {
        let cell = Cell::at(position, &self.area);
        self.node().listings.marked().filter(move |(mark, _)| mark.cells.contain(cell)).map(|(_, zone)| zone)
    }

    /// What is left of a box round a position when the other zones of [`Self::touching`] are cut off, but for those that
    /// [may contain](Self::touching_at) the position and those that `are_kept`, which are among `kept`: to 1/256 of the
    /// width and height of [`Self::bounds`], and without a look at most zones.
    pub(in crate::engine) fn beside(
        &self,
        position: Position,
        bounds: Bounds,
        kept: Tags,
        are_kept: impl Fn(&PreparedZone) -> bool,
    ) -> Bounds {
        let cell = Cell::at(position, &self.area);
        let whole = Cells::of_bounds(&bounds, &self.area);
        let mut cells = whole;
        for (mark, zone) in self.node().listings.marked() {
            let others = &mark.cells;
            if others.meet(&cells) && !others.contain(cell) && !(kept.may_hold(mark.tag) && are_kept(zone)) {
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
        let touching = self.touching_among(Tags::from_iter([zone]));
        let listed = self.covering().chain(touching).find(|listed| listed.id == zone);
        listed.cloned().or_else(|| self.index.get(self.tenant, zone))
    }

    /// From the root to the way's end.
    fn nodes(&self) -> impl Iterator<Item = &Node> {
        let (way, mut depth) = (self.way, 0);
        std::iter::successors(Some(&**self.zones), move |node| {
            let parts = node.parts.as_ref().filter(|_| depth < way.depth)?;
            depth += 1;
            Some(&*parts[way.number(depth - 1)])
        })
    }

    /// At the way's end.
    fn node(&self) -> &Node {
        self.nodes().last().expect("a way has an end")
    }
}
