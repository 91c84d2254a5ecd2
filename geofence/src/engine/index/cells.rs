//! A box seen as 256 columns and 256 rows, so that parts of it are told apart by bytes.

use geopush_geometry::{Bounds, Position};

use super::area::Area;

/// Where in a box a position is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    column: u8,
    row: u8,
}

/// Some columns and rows of a box, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cells {
    columns: [u8; 2],
    rows: [u8; 2],
}

/// Where in a box a device is, and where it will be if it goes on as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub cell: Cell,
    /// Columns to the east, and rows to the north, from one ping to the next.
    step: [f32; 2],
}

impl Way {
    /// Who goes on for so many pings is as likely to have turned.
    const MOST_PINGS: f32 = 8.0;

    /// Of a device that came to a position from another one with its last ping.
    pub fn on_from(before: Position, position: Position, area: &Area) -> Self {
        let columns = (position.lon - before.lon) / (area.east - area.west) * 256.0;
        let rows = (position.lat - before.lat) / (area.north - area.south) * 256.0;
        Self { cell: Cell::at(position, area), step: [columns as f32, rows as f32] }
    }

    /// For how many pings the way is in some cells, of which its own is one.
    #[inline]
    fn pings_in(&self, cells: &Cells) -> f32 {
        let along = |step: f32, at: u8, [from, to]: [u8; 2]| {
            let room = if step > 0.0 { to - at } else { at - from };
            (f32::from(room) + 0.5) / step.abs()
        };
        let [columns, rows] = self.step;
        let across = along(columns, self.cell.column, cells.columns);
        across.min(along(rows, self.cell.row, cells.rows)).min(Self::MOST_PINGS)
    }
}

impl Cell {
    #[inline]
    pub fn at(position: Position, area: &Area) -> Self {
        Self { column: column(position.lon, area), row: row(position.lat, area) }
    }
}

impl Cells {
    pub const NONE: Self = Self { columns: [u8::MAX, 0], rows: [u8::MAX, 0] };

    /// All cells of `area` that have positions of another one, which overlaps it.
    pub fn of(other: &Area, area: &Area) -> Self {
        Self {
            columns: [other.west, other.east].map(|lon| column(lon, area)),
            rows: [other.south, other.north].map(|lat| row(lat, area)),
        }
    }

    /// All cells of `area` that have positions of a box, which overlaps it.
    pub fn of_bounds(bounds: &Bounds, area: &Area) -> Self {
        let Bounds { west, south, east, north } = *bounds;
        Self::of(&Area { west, south, east, north }, area)
    }

    #[inline]
    pub fn contain(&self, Cell { column, row }: Cell) -> bool {
        let Self { columns: [west, east], rows: [south, north] } = *self;
        (west <= column) & (column <= east) & (south <= row) & (row <= north)
    }

    #[inline]
    pub fn meet(&self, other: &Self) -> bool {
        (self.columns[0] <= other.columns[1])
            & (other.columns[0] <= self.columns[1])
            & (self.rows[0] <= other.rows[1])
            & (other.rows[0] <= self.rows[1])
    }

    /// What is left when others are cut off that do not have the way's cell: the side where the way leads on furthest,
    /// and of those that are alike in that, the largest.
    #[inline]
    pub fn beside(self, other: &Self, way: Way) -> Self {
        let Self { columns: [west, east], rows: [south, north] } = self;
        let Self { columns: [first, last], rows: [lowest, highest] } = *other;
        let Cell { column, row } = way.cell;
        let mut best = (f32::NEG_INFINITY, self);
        let mut offer = |left: Self| {
            let worth = way.pings_in(&left) + left.share();
            if worth > best.0 {
                best = (worth, left);
            }
        };
        if last < column {
            offer(Self { columns: [last + 1, east], ..self });
        }
        if first > column {
            offer(Self { columns: [west, first - 1], ..self });
        }
        if highest < row {
            offer(Self { rows: [highest + 1, north], ..self });
        }
        if lowest > row {
            offer(Self { rows: [south, lowest - 1], ..self });
        }
        best.1
    }

    /// Their share of all cells.
    fn share(&self) -> f32 {
        let length = |[from, to]: [u8; 2]| f32::from(to - from) + 1.0;
        length(self.columns) * length(self.rows) / (256.0 * 256.0)
    }

    /// Where in `area` they are.
    pub fn bounds(&self, area: &Area) -> Bounds {
        let [column, row] = [(area.east - area.west) / 256.0, (area.north - area.south) / 256.0];
        let ([first, last], [lowest, highest]) = (self.columns.map(f64::from), self.rows.map(f64::from));
        Bounds {
            west: area.west + column * first,
            south: area.south + row * lowest,
            east: area.west + column * (last + 1.0),
            north: area.south + row * (highest + 1.0),
        }
    }
}

// Neither falls when its argument rises, rounding or not: so between the ends of something there are all its positions.

#[inline]
fn column(lon: f64, area: &Area) -> u8 {
    ((lon - area.west) / (area.east - area.west) * 256.0) as u8
}

#[inline]
fn row(lat: f64, area: &Area) -> u8 {
    ((lat - area.south) / (area.north - area.south) * 256.0) as u8
}
