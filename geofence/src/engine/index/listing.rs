//! Zones as a box lists them.

use std::sync::Arc;

use geopush_geometry::{Bounds, Position};

use super::area::Area;
use super::lying::{Lying, Sorted};
use crate::engine::PreparedZone;

/// A zone listed for a box, with the part of the box that it may be in: most positions are told apart from it by four
/// bytes, without looking at the zone, which lies elsewhere in memory.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub zone: Arc<PreparedZone>,
    /// Columns and rows of 256, both ends included.
    columns: [u8; 2],
    rows: [u8; 2],
    /// Whether it contains every position of the box.
    covers: bool,
}

impl Listing {
    fn covering(zone: &Arc<PreparedZone>) -> Self {
        let all = [0, u8::MAX];
        Self { zone: Arc::clone(zone), columns: all, rows: all, covers: true }
    }

    fn touching(lying: &Lying<'_>, area: &Area) -> Self {
        let none = [u8::MAX, 0];
        let (columns, rows) = match lying.shape.filter(|shape| shape.overlaps(area)) {
            Some(Area { west, south, east, north }) => {
                ([west, east].map(|lon| column(lon, area)), [south, north].map(|lat| row(lat, area)))
            }
            None => (none, none),
        };
        Self { zone: Arc::clone(lying.zone), columns, rows, covers: false }
    }

    /// Whether the zone may contain the positions of a cell of the box.
    #[inline]
    pub fn may_contain(&self, Cell { column, row }: Cell) -> bool {
        self.columns[0] <= column && column <= self.columns[1] && self.rows[0] <= row && row <= self.rows[1]
    }

    /// Where in the box it may be; `None` if only its exit buffer comes there.
    pub fn box_in(&self, area: &Area) -> Option<Bounds> {
        let [column, row] = [(area.east - area.west) / 256.0, (area.north - area.south) / 256.0];
        let ([first, last], [lowest, highest]) = (self.columns.map(f64::from), self.rows.map(f64::from));
        (first <= last).then_some(Bounds {
            west: area.west + column * first,
            south: area.south + row * lowest,
            east: area.west + column * (last + 1.0),
            north: area.south + row * (highest + 1.0),
        })
    }
}

/// The zones listed for a box: first those that cover it, then those that touch it.
#[derive(Debug, Default)]
pub(super) struct Listings(Box<[Listing]>);

impl Listings {
    pub fn all(&self) -> &[Listing] {
        &self.0
    }

    pub fn covering(&self) -> &[Listing] {
        &self.0[..self.coverings()]
    }

    pub fn touching(&self) -> &[Listing] {
        &self.0[self.coverings()..]
    }

    /// The same without `gone` and with `come`.
    pub fn with(&self, area: &Area, gone: &Sorted<'_>, come: &Sorted<'_>) -> Self {
        let touching = gone.touching.iter().map(|lying| lying.zone);
        let gone: Vec<_> = gone.covering.iter().copied().chain(touching).collect();
        let stays = |listing: &&Listing| !gone.iter().any(|zone| Arc::ptr_eq(zone, &listing.zone));
        let mut listings = Vec::with_capacity(self.0.len() + come.covering.len() + come.touching.len());
        listings.extend(self.covering().iter().filter(stays).cloned());
        listings.extend(come.covering.iter().map(|zone| Listing::covering(zone)));
        listings.extend(self.touching().iter().filter(stays).cloned());
        listings.extend(come.touching.iter().map(|lying| Listing::touching(lying, area)));
        Self(listings.into())
    }

    fn coverings(&self) -> usize {
        self.0.iter().take_while(|listing| listing.covers).count()
    }
}

impl From<&[Listing]> for Listings {
    fn from(listings: &[Listing]) -> Self {
        Self(listings.into())
    }
}

/// Where in a box a position is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    column: u8,
    row: u8,
}

impl Cell {
    pub fn at(position: Position, area: &Area) -> Self {
        Self { column: column(position.lon, area), row: row(position.lat, area) }
    }
}

// Neither falls when its argument rises, rounding or not: so between a zone's ends there are all its positions.

fn column(lon: f64, area: &Area) -> u8 {
    ((lon - area.west) / (area.east - area.west) * 256.0) as u8
}

fn row(lat: f64, area: &Area) -> u8 {
    ((lat - area.south) / (area.north - area.south) * 256.0) as u8
}
