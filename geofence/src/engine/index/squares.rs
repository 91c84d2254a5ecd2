//! Which regions hold a position, without computing its cell.

use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use geopush_geometry::{Bounds, Position};
use hashbrown::DefaultHashBuilder;

use super::numbers::Numbers;
use super::placement::{Place, Placer, middle};

/// The globe in squares of an eighth of a degree, of which those are remembered where devices are: each with the cells
/// whose regions meet it. To compute a position's cell takes longer than all else that is asked there; any region that
/// holds the position will do.
#[derive(Debug)]
pub(super) struct Squares {
    hasher: DefaultHashBuilder,
    /// Where a square is in the list.
    places: Numbers,
    /// In chunks, each made when its first square is added.
    list: Box<[OnceLock<Chunk>]>,
    len: AtomicU32,
}

type Chunk = Box<[OnceLock<Square>]>;

impl Default for Squares {
    fn default() -> Self {
        let list = (0..Self::MOST / Self::CHUNK).map(|_| OnceLock::new()).collect();
        let (hasher, places) = (DefaultHashBuilder::default(), Numbers::default());
        Self { hasher, places, list, len: AtomicU32::new(0) }
    }
}

#[derive(Debug)]
struct Square {
    number: u32,
    places: Box<[Place]>,
}

impl Squares {
    const A_DEGREE: f64 = 8.0;
    /// From here on to the poles cells are computed: regions there hold more and more squares.
    const MOST_LAT: f64 = 80.0;
    /// Squares remembered, in some 15 MB: as many as a thousand towns have. Others are found anew each time.
    const MOST: u32 = 1 << 16;
    const CHUNK: u32 = 1 << 8;
    /// Degrees: less than any cell is away from its region's border.
    const DEPTH: f64 = 1.0 / 512.0;
    /// No square has as many cells.
    const MOST_PLACES: usize = 256;

    /// A cell with a region in which the position is, and not at its border.
    #[inline]
    pub fn place(&self, position: Position) -> Option<Place> {
        let number = number(position)?;
        let at = |at: u32| {
            let chunk = self.list[(at / Self::CHUNK) as usize].get()?;
            chunk[(at % Self::CHUNK) as usize].get()
        };
        let is_it = |place| at(place).is_some_and(|square| square.number == number);
        let square = self.places.find(self.hasher.hash_one(number), is_it).and_then(at)?;
        square.places.iter().find(|(_, region)| region.depth(position) > Self::DEPTH).copied()
    }

    /// Remembers the square of a position, if there is room; to be called by one thread at a time.
    pub fn add(&self, position: Position, placer: &mut Placer) {
        if let Some(number) = number(position)
            && let at = self.len.load(Ordering::Relaxed)
            && at < Self::MOST
            && self.place(position).is_none()
            && let Some(mut places) = placer.meeting(&[bounds_round(position)], Self::MOST_PLACES)
        {
            // Those that are most likely to be found come first.
            let middle = middle(&bounds_round(position));
            places.sort_by(|(_, a), (_, b)| b.depth(middle).total_cmp(&a.depth(middle)));
            let chunk = self.list[(at / Self::CHUNK) as usize]
                .get_or_init(|| (0..Self::CHUNK).map(|_| OnceLock::new()).collect());
            chunk[(at % Self::CHUNK) as usize].get_or_init(|| Square { number, places: places.into() });
            self.places.add(self.hasher.hash_one(number), at);
            self.len.store(at + 1, Ordering::Relaxed);
        }
    }
}

/// The square's number, where there are squares.
#[inline]
fn number(position: Position) -> Option<u32> {
    let step = |degrees: f64| (degrees * Squares::A_DEGREE) as u32;
    (position.lat.abs() <= Squares::MOST_LAT)
        .then(|| step(position.lat + 90.0) << 16 | step(position.lon + 180.0))
}

/// The square of a position.
fn bounds_round(position: Position) -> Bounds {
    let below = |degrees: f64| (degrees * Squares::A_DEGREE).floor() / Squares::A_DEGREE;
    let (west, south) = (below(position.lon + 180.0) - 180.0, below(position.lat + 90.0) - 90.0);
    let east = (west + 1.0 / Squares::A_DEGREE).min(180.0);
    Bounds { west, south, east, north: south + 1.0 / Squares::A_DEGREE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::index::region::Region;

    #[test]
    fn a_remembered_square_has_a_region_for_each_of_its_positions() {
        let (squares, mut placer) = (Squares::default(), Placer::default());
        for (lon, lat) in [(9.0, 50.0), (179.99, 0.01), (-180.0, -41.3), (180.0, 12.0), (15.6, 78.2)] {
            squares.add(Position { lon, lat }, &mut placer);
            let Bounds { west, south, east, north } = bounds_round(Position { lon, lat });
            for (x, y) in
                (0..=40).flat_map(|x| (0..=40).map(move |y| (f64::from(x) / 40.1, f64::from(y) / 40.1)))
            {
                let position = Position { lon: west + (east - west) * x, lat: south + (north - south) * y };
                let (cell, region) = squares.place(position).expect("a square that was added");
                assert!(region.area_round(position).is_some() && region == Region::of(cell), "{position:?}");
            }
        }
        assert_eq!(squares.place(Position { lon: 9.2, lat: 50.0 }), None);
        assert_eq!(squares.place(Position { lon: 9.0, lat: 85.0 }), None);
    }
}
