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

    /// What is left on the side of a cell that has most, when others are cut off in which that is not.
    #[inline]
    pub fn beside(self, other: &Self, Cell { column, row }: Cell) -> Self {
        let Self { columns: [west, east], rows: [south, north] } = self;
        let (width, height) = (u32::from(east - west) + 1, u32::from(north - south) + 1);
        let Self { columns: [first, last], rows: [lowest, highest] } = *other;
        let mut best = (0, self);
        let mut offer = |cells: u32, left: Self| {
            if cells > best.0 {
                best = (cells, left);
            }
        };
        if last < column {
            offer(u32::from(east - last) * height, Self { columns: [last + 1, east], ..self });
        }
        if first > column {
            offer(u32::from(first - west) * height, Self { columns: [west, first - 1], ..self });
        }
        if highest < row {
            offer(u32::from(north - highest) * width, Self { rows: [highest + 1, north], ..self });
        }
        if lowest > row {
            offer(u32::from(lowest - south) * width, Self { rows: [south, lowest - 1], ..self });
        }
        best.1
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
