//! Which tiles a zone is in.

use std::collections::{HashMap, HashSet};

use geopush_geometry::{Bounds, Position};
use h3o::CellIndex;

use super::region::Region;
use crate::engine::PreparedZone;

/// Where a zone is kept. Follows from its shape and exit buffer alone, so that what is to be taken away is found where
/// it was put.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// In the tiles of these cells, be there tiles or not.
    Tiles(Vec<CellIndex>),
    /// It would be in too many: among its tenant's huge zones, and in the tiles there are.
    Huge,
}

/// A cell with its region.
pub(super) type Place = (CellIndex, Region);

/// Finds the tiles that zones are in, and remembers what cells are like.
#[derive(Debug, Default)]
pub(super) struct Placer {
    cells: HashMap<CellIndex, Surroundings>,
}

#[derive(Clone, Copy, Debug)]
struct Surroundings {
    region: Region,
    /// A pentagon has five.
    neighbours: [Option<CellIndex>; 6],
}

impl Placer {
    /// A zone in more tiles than this is huge.
    const MOST_TILES: usize = 256;
    /// So is one that comes nearer to a pole: cells there have boxes that reach all round it.
    const MOST_LAT: f64 = 89.0;
    /// Cells remembered: those of some thousand towns, in a few megabytes.
    const MOST_CELLS: usize = 1 << 16;

    /// Where a zone is kept: in each tile whose region its shape with its exit buffer may meet.
    pub fn place(&mut self, zone: &PreparedZone) -> Placement {
        let boxes = zone.shape.bounds(zone.exit_buffer_m);
        if boxes.iter().any(|b| b.north > Self::MOST_LAT || b.south < -Self::MOST_LAT) {
            return Placement::Huge;
        }
        match self.meeting(&boxes, Self::MOST_TILES) {
            Some(places) => Placement::Tiles(places.into_iter().map(|(cell, _)| cell).collect()),
            None => Placement::Huge,
        }
    }

    /// The cells whose regions meet a box or two, `None` if there are more than `most`.
    ///
    /// Goes from neighbour to neighbour as long as their regions meet the boxes. So none is missed: a region is in
    /// its cell and the neighbours of that (its corners are 1.4 times as far from the middle as the cell's; the cell
    /// and its neighbours hold everything within twice that), so of a region that meets the box either the cell or a
    /// neighbour does, and the cells that meet the box hang together.
    pub fn meeting(&mut self, boxes: &[Bounds], most: usize) -> Option<Vec<Place>> {
        let mut seen: HashSet<CellIndex> =
            boxes.iter().map(|bounds| Region::cell_at(middle(bounds))).collect();
        let mut next: Vec<CellIndex> = seen.iter().copied().collect();
        let mut places = Vec::new();
        while let Some(cell) = next.pop() {
            let Surroundings { region, neighbours } = self.surroundings(cell);
            if region.area().box_round(boxes).is_none() {
                continue;
            }
            if places.len() == most {
                return None;
            }
            places.push((cell, region));
            next.extend(neighbours.into_iter().flatten().filter(|cell| seen.insert(*cell)));
        }
        Some(places)
    }

    fn surroundings(&mut self, cell: CellIndex) -> Surroundings {
        if self.cells.len() == Self::MOST_CELLS {
            self.cells.clear();
        }
        *self.cells.entry(cell).or_insert_with(|| {
            let mut neighbours = [None; 6];
            let others = cell.grid_disk_safe(1).filter(|other| *other != cell);
            neighbours.iter_mut().zip(others).for_each(|(slot, other)| *slot = Some(other));
            Surroundings { region: Region::of(cell), neighbours }
        })
    }
}

pub(super) fn middle(bounds: &Bounds) -> Position {
    let lon = f64::midpoint(bounds.west, bounds.east);
    Position { lon, lat: f64::midpoint(bounds.south, bounds.north) }
}
