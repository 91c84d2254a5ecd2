//! The index against H3's own fixtures: a tile answers for all of its cell.

use geopush_geofence::engine::{Stamp, ZoneChange, ZoneIndex};
use geopush_geometry::{Bounds, Position, Shape};
use h3o::{CellIndex, LatLng, Resolution};

use crate::world::{TENANTS, zone};

/// A cell of the fixtures.
struct Cell {
    id: CellIndex,
    middle: Position,
    corners: Vec<Position>,
}

fn cells() -> Vec<Cell> {
    let lines = include_str!("h3_cells.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| Cell::parse(line).expect("a cell and its corners")).collect()
}

impl Cell {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id: CellIndex = words.next()?.parse().ok()?;
        let corner = |word: &str| {
            let (lat, lon) = word.split_once(',')?;
            let lon = lon.parse::<f64>().ok()?;
            Position::new(if lon > 180.0 { lon - 360.0 } else { lon }, lat.parse().ok()?)
        };
        let corners = words.map(corner).collect::<Option<_>>()?;
        let middle = LatLng::from(id);
        Some(Self { id, middle: Position::new(middle.lng(), middle.lat())?, corners })
    }

    /// The corner, and so much of the way from the middle to it.
    fn toward(&self, corner: Position, part: f64) -> Position {
        let turn = |lon: f64| (lon + 540.0).rem_euclid(360.0) - 180.0;
        let lon = turn(self.middle.lon + part * turn(corner.lon - self.middle.lon));
        Position { lon, lat: self.middle.lat + part * (corner.lat - self.middle.lat) }
    }
}

#[test]
fn positions_are_in_the_cells_that_h3_says() {
    for cell in cells() {
        // Round a pole, the middle between two places is not between their longitudes.
        for corner in cell.corners.iter().filter(|corner| corner.lat.abs() < 89.0) {
            let Position { lon, lat } = cell.toward(*corner, 0.99);
            assert_eq!(LatLng::new(lat, lon).unwrap().to_cell(Resolution::Five), cell.id);
        }
    }
}

#[test]
fn where_there_are_no_zones_the_answer_holds_for_the_whole_cell() {
    let index = ZoneIndex::default();
    for cell in cells() {
        let around = |position| index.around(TENANTS[0], position, None).bounds();
        let Bounds { south, north, .. } = around(cell.middle);
        for corner in &cell.corners {
            assert!((south..=north).contains(&corner.lat), "{:?}", cell.id);
            // From this side of the antimeridian, if it runs through the cell.
            let near = if corner.lat.abs() < 89.0 { cell.toward(*corner, 0.99) } else { cell.middle };
            assert!(around(near).contains(*corner), "{corner:?} of {:?} is not in its box", cell.id);
        }
    }
}

#[test]
fn a_tile_knows_every_corner_of_its_cell() {
    let index = ZoneIndex::default();
    let void = index.around(TENANTS[0], cells()[0].middle, None).stamp();
    for (number, cell) in (1..).zip(cells()) {
        let shape = Shape::circle(cell.middle, 10.0).unwrap();
        index.apply([&ZoneChange::to(&zone(TENANTS[0], number, shape))]);
        let Stamp { tile, .. } = index.around(TENANTS[0], cell.middle, None).stamp();
        if cell.middle.lat.abs() < 88.9 {
            assert_ne!(tile, void.tile);
            for corner in &cell.corners {
                assert_eq!(index.around(TENANTS[0], *corner, Some(tile)).stamp().tile, tile, "{:?}", cell.id);
            }
        }
    }
}
