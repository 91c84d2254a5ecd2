//! The answer to where a position is.

use std::sync::Arc;

use arc_swap::Guard;
use geopush_geometry::{Bounds, Position};
use geopush_model::{TenantId, ZoneId};

use super::ZoneIndex;
use super::area::Area;
use super::cells::Cell;
use super::near::Near;
use super::node::Node;
use super::spot::Spot;
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
    stamp: Stamp,
    zones: Guard<Arc<Node>>,
    here: Spot,
    /// Where the device was before, if that is in the same tile: the zones that it was in are listed there.
    before: Option<Spot>,
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
        Self { index, tenant, stamp, zones, here: Spot::new(position, area), before: None }
    }

    /// The same for a device in zones that was there before; to be said before the first step.
    pub(in crate::engine) fn coming_from(self, before: Position) -> Self {
        let root = self.here.area;
        Self { before: root.holds(before).then(|| Spot::new(before, root)), ..self }
    }

    /// Goes on to the part of the box that the position is in; `false` where there are no smaller ones.
    pub(in crate::engine) fn step(&mut self) -> bool {
        let Self { zones, here, before, .. } = self;
        here.step(zones) | before.as_mut().is_some_and(|before| before.step(zones))
    }

    /// Goes as far as possible.
    pub(in crate::engine) fn stepped(mut self) -> Self {
        while self.step() {}
        self
    }

    /// Something of each line of the lists, to have asked the memory for them.
    pub(in crate::engine) fn touch_lists(&self) -> usize {
        self.node().listings.touch() ^ self.node_before().map_or(0, |node| node.listings.touch())
    }

    /// The zones near a device that is in such zones: the lists, looked through once.
    pub(in crate::engine) fn near(&self, stays: Tags) -> Near<'_> {
        Near::of(self, self.here.position, stays)
    }

    /// The tile that answered, and its state at that moment.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// A box round the position, borders included, where [`Self::covering`] and [`Self::touching`] are all there is.
    pub fn bounds(&self) -> Bounds {
        self.here.area.bounds()
    }

    /// [`Self::bounds`], in the turn of the globe in which the position is in it.
    pub(super) fn area(&self) -> &Area {
        &self.here.area
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

    /// Zones that the device was near [before](Self::coming_from) and that may be among some: told without a look at most
    /// others.
    pub(in crate::engine) fn left_among(&self, zones: Tags) -> impl Iterator<Item = &Arc<PreparedZone>> {
        self.node_before()
            .into_iter()
            .flat_map(move |node| node.listings.covering().iter().chain(node.listings.touching_among(zones)))
    }

    /// Those of [`Self::touching`] that may contain a position of [`Self::bounds`]: told by boxes, without a look at the
    /// others.
    pub fn touching_at(&self, position: Position) -> impl Iterator<Item = &Arc<PreparedZone>> {
        let cell = Cell::at(position, &self.here.area);
        self.node().listings.marked().filter(move |(mark, _)| mark.cells.contain(cell)).map(|(_, zone)| zone)
    }

    /// A live zone of the tenant: out of the lists, or wherever it is.
    pub fn get(&self, zone: ZoneId) -> Option<Arc<PreparedZone>> {
        let touching = self.touching_among(Tags::from_iter([zone]));
        let listed = self.covering().chain(touching).find(|listed| listed.id == zone);
        listed.cloned().or_else(|| self.index.get(self.tenant, zone))
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.here.nodes(&self.zones)
    }

    /// Whose lists hold for [`Self::bounds`].
    pub(super) fn node(&self) -> &Node {
        self.here.node(&self.zones)
    }

    /// Where the device was before, unless that is where it is.
    fn node_before(&self) -> Option<&Node> {
        let node = self.before?.node(&self.zones);
        (!std::ptr::eq(node, self.node())).then_some(node)
    }
}
