//! A zone that a box must ask about each position.

use std::sync::Arc;

use geopush_geometry::Position;

use super::area::Area;
use crate::engine::PreparedZone;

/// A zone listed for a box, with the part of the box that it may be in: most positions are told apart from it by four
/// bytes, without looking at the zone, which lies elsewhere in memory.
#[derive(Clone, Debug)]
pub(super) struct Touching {
    pub zone: Arc<PreparedZone>,
    /// Columns and rows of 256, both ends included.
    columns: [u8; 2],
    rows: [u8; 2],
}

impl Touching {
    pub fn new(zone: &Arc<PreparedZone>, area: &Area) -> Self {
        let (mut columns, mut rows) = ([u8::MAX, 0], [u8::MAX, 0]);
        for bounds in zone.shape.bounds(0.0) {
            for turn in [0.0, 360.0] {
                let (west, east) = (bounds.west + turn, bounds.east + turn);
                if west <= area.east && area.west <= east {
                    let (first, last) = (column(west, area), column(east, area));
                    columns = [columns[0].min(first), columns[1].max(last)];
                }
            }
            let (first, last) = (row(bounds.south, area), row(bounds.north, area));
            rows = [rows[0].min(first), rows[1].max(last)];
        }
        Self { zone: Arc::clone(zone), columns, rows }
    }

    /// Whether the zone may contain the positions of a cell of the box.
    #[inline]
    pub fn may_contain(&self, Cell { column, row }: Cell) -> bool {
        self.columns[0] <= column && column <= self.columns[1] && self.rows[0] <= row && row <= self.rows[1]
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
