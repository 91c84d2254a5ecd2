//! Zones as a box lists them.

use std::sync::Arc;

use super::area::Area;
use super::cells::Cells;
use super::lying::{Lying, Sorted};
use crate::engine::PreparedZone;
use crate::engine::tags::{Tag, Tags};

/// The zones listed for a box. Those that touch it come with the part of the box that they may be in: most positions
/// are told apart from them by four bytes, without looking at the zones, which lie elsewhere in memory.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// First those that cover the box, then those that touch it.
    zones: Box<[Arc<PreparedZone>]>,
    /// What tells the touching ones apart.
    marks: Box<[Mark]>,
}

/// What tells a zone apart without a look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// Where the shape may be; nowhere if only the exit buffer comes here.
    pub cells: Cells,
    pub tag: Tag,
}

impl Listings {
    pub fn all(&self) -> &[Arc<PreparedZone>] {
        &self.zones
    }

    pub fn covering(&self) -> &[Arc<PreparedZone>] {
        &self.zones[..self.coverings()]
    }

    pub fn touching(&self) -> &[Arc<PreparedZone>] {
        &self.zones[self.coverings()..]
    }

    /// [`Self::touching`], each with its mark.
    #[inline]
    pub fn marked(&self) -> impl Iterator<Item = (&Mark, &Arc<PreparedZone>)> {
        self.marks.iter().zip(self.touching())
    }

    /// Those of [`Self::touching`] that may be among some zones.
    #[inline]
    pub fn touching_among(&self, zones: Tags) -> impl Iterator<Item = &Arc<PreparedZone>> {
        self.marked().filter(move |(mark, _)| zones.may_hold(mark.tag)).map(|(_, zone)| zone)
    }

    /// Something of each of the lists' cache lines, to have asked the memory for them.
    pub fn touch(&self) -> usize {
        const LINE: usize = 64;
        let zones = self.zones.iter().step_by(LINE / size_of::<Arc<PreparedZone>>());
        let marks = self.marks.iter().step_by(LINE / size_of::<Mark>());
        zones.fold(0, |sum, zone| sum ^ Arc::as_ptr(zone).addr())
            ^ marks.fold(0, |sum, mark| sum ^ mark.tag.touch())
    }

    /// The same without `gone` and with `come`.
    pub fn with(&self, area: &Area, gone: &Sorted<'_>, come: &Sorted<'_>) -> Self {
        let touching = gone.touching.iter().map(|lying| lying.zone);
        let gone: Vec<_> = gone.covering.iter().copied().chain(touching).collect();
        let stays = |zone: &&Arc<PreparedZone>| !gone.iter().any(|other| Arc::ptr_eq(other, zone));
        let mut zones = Vec::with_capacity(self.zones.len() + come.covering.len() + come.touching.len());
        zones.extend(self.covering().iter().filter(stays).cloned());
        zones.extend(come.covering.iter().copied().cloned());
        let mut marks = Vec::with_capacity(self.marks.len() + come.touching.len());
        let stay = self.marked().filter(|(_, zone)| stays(zone)).map(|(mark, zone)| (mark.cells, zone));
        let come = come.touching.iter().map(|lying| (cells_of(lying, area), lying.zone));
        for (cells, zone) in stay.chain(come) {
            marks.push(Mark { cells, tag: Tag::of(zone.id) });
            zones.push(Arc::clone(zone));
        }
        Self { zones: zones.into(), marks: marks.into() }
    }

    /// Those that cover the box alone.
    pub fn covering_only(&self) -> Self {
        Self { zones: self.covering().into(), ..Self::default() }
    }

    fn coverings(&self) -> usize {
        self.zones.len() - self.marks.len()
    }
}

fn cells_of(lying: &Lying<'_>, area: &Area) -> Cells {
    let shape = lying.shape.filter(|shape| shape.overlaps(area));
    shape.map_or(Cells::NONE, |shape| Cells::of(&shape, area))
}
