//! What a device has to do with where it is: the lists of a position's leaf, looked through once.

use std::sync::Arc;

use geopush_geometry::{Bounds, Position};

use super::around::Around;
use super::cells::{Cell, Cells, Way};
use crate::engine::PreparedZone;
use crate::engine::tags::Tags;

/// How a zone lies to a position, as far as that is known without a look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Lies {
    /// It contains the position.
    Round,
    /// It may contain the position.
    Somehow,
    /// It does not contain the position, but perhaps its exit buffer does.
    Beside,
}

/// The zones near a device: those that may contain its position, and those near that it may be in.
#[derive(Debug)]
pub(in crate::engine) struct Near<'a> {
    around: &'a Around<'a>,
    position: Position,
    zones: Vec<(Lies, &'a Arc<PreparedZone>)>,
}

impl<'a> Near<'a> {
    const MANY: usize = 32;

    /// `stays`: the zones that the device is in.
    pub(super) fn of(around: &'a Around<'a>, position: Position, stays: Tags) -> Self {
        let cell = Cell::at(position, around.area());
        let listings = &around.node().listings;
        // Room for most: to grow takes longer than to look through the lists.
        let mut zones = Vec::with_capacity(listings.all().len().min(Self::MANY));
        zones.extend(around.covering().map(|zone| (Lies::Round, zone)));
        for (mark, zone) in listings.marked() {
            if mark.cells.contain(cell) {
                zones.push((Lies::Somehow, zone));
            } else if stays.may_hold(mark.tag) {
                zones.push((Lies::Beside, zone));
            }
        }
        Self { around, position, zones }
    }

    /// The zones, those that contain the position first, each with how it lies.
    pub(in crate::engine) fn zones(&self) -> &[(Lies, &'a Arc<PreparedZone>)] {
        &self.zones
    }

    /// What they were found by.
    pub(in crate::engine) fn around(&self) -> &'a Around<'a> {
        self.around
    }

    /// Something of each zone, to have asked the memory for them.
    pub(in crate::engine) fn touch(&self) -> u64 {
        self.zones.iter().fold(0, |sum, (_, zone)| sum ^ zone.touch())
    }

    /// What is left of a box round the position when all other zones of the leaf are cut off, but for those that are
    /// `kept`: to 1/256 of the leaf's width and height, and without a look at the zones. Most is left where a device
    /// goes on that comes from `before`.
    pub(in crate::engine) fn beside<'z, K: Iterator<Item = &'z PreparedZone>>(
        &self,
        bounds: Bounds,
        before: Position,
        kept: impl Fn() -> K,
    ) -> Bounds {
        let area = self.around.area();
        let way = Way::on_from(before, self.position, area);
        let mut cells = Cells::of_bounds(&bounds, area);
        for (mark, zone) in self.around.node().listings.marked() {
            let others = &mark.cells;
            if others.meet(&cells)
                && !others.contain(way.cell)
                && !kept().any(|kept| std::ptr::eq(kept, &raw const **zone))
            {
                cells = cells.beside(others, way);
            }
        }
        let Bounds { west, south, east, north } = cells.bounds(area);
        Bounds {
            west: bounds.west.max(west),
            south: bounds.south.max(south),
            east: bounds.east.min(east),
            north: bounds.north.min(north),
        }
    }
}
