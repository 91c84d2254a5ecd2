//! The part of the globe that a tile answers for.

use geopush_geometry::Position;
use h3o::{CellIndex, LatLng, Resolution};

use super::area::Area;

/// The box of longitudes and latitudes round an H3 cell. Boxes of neighbours overlap: a device that moves on keeps its
/// tile as long as it is in its box.
///
/// Kept in single precision, which holds whole steps exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Region {
    /// From -180 up to but not 180.
    west: f32,
    south: f32,
    /// Beyond 180 for a cell at the antimeridian.
    east: f32,
    north: f32,
}

impl Region {
    /// The cells' resolution: some 250 km² each, so that a town is in few tiles and most zones are in one; the trees in
    /// them part what lies close. A level finer, a zone took half as much memory more and no ping less time.
    pub const RESOLUTION: Resolution = Resolution::Five;
    /// Borders lie on whole steps (1.7 m), so that moving a box by a turn of the globe and cutting it in four a few
    /// times are exact: the same cuts are found from both sides of the antimeridian.
    pub const STEPS_PER_DEGREE: f64 = 65_536.0;
    /// Nobody is here.
    pub const NOWHERE: Self = Self { west: 0.0, south: 1.0, east: -1.0, north: 0.0 };

    /// A cell that comes this near to a pole is taken for the whole cap: there, longitudes say little.
    const CAP_LAT: f64 = 89.5;
    /// The part of its width and height by which a box is wider on each side. Edges of cells are geodesics, which bulge
    /// to the pole between their ends: at [`Self::CAP_LAT`] by less than a hundredth of their length.
    const SLACK: f64 = 1.0 / 32.0;

    /// The cell of a position.
    pub fn cell_at(position: Position) -> CellIndex {
        LatLng::new(position.lat, position.lon).expect("a position is finite").to_cell(Self::RESOLUTION)
    }

    /// Of a cell; every position of the cell is in it.
    pub fn of(cell: CellIndex) -> Self {
        let corners = cell.boundary();
        let first = corners[0].lng();
        let (mut west, mut east) = (first, first);
        let (mut south, mut north) = (90.0_f64, -90.0_f64);
        for corner in corners.iter() {
            let lon = nearest_turn(corner.lng(), first);
            (west, east) = (west.min(lon), east.max(lon));
            (south, north) = (south.min(corner.lat()), north.max(corner.lat()));
        }
        let (wider, higher) = ((east - west) * Self::SLACK, (north - south) * Self::SLACK);
        (south, north) = (step_below(south - higher), step_above(north + higher));
        if north > Self::CAP_LAT || south < -Self::CAP_LAT {
            let (south, north) = if north > 0.0 { (south, 90.0) } else { (-90.0, north) };
            return Self { west: -180.0, south: south as f32, east: 180.0, north: north as f32 };
        }
        let (west, east) = (step_below(west - wider), step_above(east + wider));
        let turn = if west < -180.0 {
            360.0
        } else if west >= 180.0 {
            -360.0
        } else {
            0.0
        };
        Self {
            west: (west + turn) as f32,
            south: south as f32,
            east: (east + turn) as f32,
            north: north as f32,
        }
    }

    /// The box.
    pub fn area(&self) -> Area {
        let Self { west, south, east, north } = *self;
        Area { west: west.into(), south: south.into(), east: east.into(), north: north.into() }
    }

    /// How far a position is from the border, in degrees; less than 0 outside.
    #[inline]
    pub fn depth(&self, position: Position) -> f64 {
        let area = self.area();
        let depth = |lon: f64| {
            let across = (lon - area.west).min(area.east - lon);
            across.min(position.lat - area.south).min(area.north - position.lat)
        };
        depth(position.lon).max(depth(position.lon + 360.0))
    }

    /// The box in the turn of the globe in which the position is in it; `None` if it is in none.
    #[inline]
    pub fn area_round(&self, position: Position) -> Option<Area> {
        let area = self.area();
        if area.holds(position) {
            return Some(area);
        }
        Some(area.turned_back()).filter(|area| area.holds(position))
    }
}

/// The longitude, or a turn more or less, so that it is at most half a turn from `other`.
fn nearest_turn(lon: f64, other: f64) -> f64 {
    if lon - other > 180.0 {
        lon - 360.0
    } else if lon - other < -180.0 {
        lon + 360.0
    } else {
        lon
    }
}

fn step_below(degrees: f64) -> f64 {
    (degrees * Region::STEPS_PER_DEGREE).floor() / Region::STEPS_PER_DEGREE
}

fn step_above(degrees: f64) -> f64 {
    (degrees * Region::STEPS_PER_DEGREE).ceil() / Region::STEPS_PER_DEGREE
}
