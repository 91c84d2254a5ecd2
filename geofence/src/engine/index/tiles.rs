//! All tiles, each under a number that it keeps.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use geopush_model::TenantId;
use h3o::CellIndex;

use super::node::Node;
use super::region::Region;
use crate::engine::memory::ask;

/// A tile of the index, for as long as the index lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileId(u32);

impl TileId {
    pub(super) fn number(self) -> u32 {
        self.0
    }

    pub(super) fn of_number(number: u32) -> Self {
        Self(number)
    }
}

/// A tile as it was at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Which tile.
    pub tile: TileId,
    /// Which of its states: each change counts one on, and begins at 0 again after 2^32.
    pub epoch: u32,
}

impl Stamp {
    /// Of no tile, and never current.
    pub const NONE: Self = Self { tile: TileId(u32::MAX), epoch: 0 };
}

/// A tenant's zones in one region.
#[derive(Debug)]
pub(super) struct Tile {
    pub tenant: TenantId,
    /// `None`: it stands for all cells of the tenant that have no tile.
    pub cell: Option<CellIndex>,
    pub region: Region,
    pub zones: ArcSwap<Node>,
}

/// Tiles are only ever added, so that a number is all that a device needs to keep, and finding a tile by it needs no
/// lock. A tile whose zones are gone is there for the next ones.
///
/// Epochs lie together, apart from the tiles: to see that a tile has not changed is most of what is ever asked, and the
/// epochs of a million tiles fit into a processor's cache.
#[derive(Debug)]
pub(super) struct Tiles {
    chunks: Box<[OnceLock<Box<Chunk>>; Self::CHUNKS]>,
    /// Numbers given; only the index's writer counts on.
    len: AtomicU32,
}

#[derive(Debug)]
struct Chunk {
    epochs: [AtomicU32; Tiles::CHUNK],
    tiles: [OnceLock<Tile>; Tiles::CHUNK],
}

impl Default for Chunk {
    fn default() -> Self {
        let epochs = [const { AtomicU32::new(0) }; Tiles::CHUNK];
        Self { epochs, tiles: [const { OnceLock::new() }; Tiles::CHUNK] }
    }
}

impl Default for Tiles {
    fn default() -> Self {
        let chunks = Box::new([const { OnceLock::new() }; Self::CHUNKS]);
        Self { chunks, len: AtomicU32::new(0) }
    }
}

impl Tiles {
    /// Tiles that are made room for at once.
    const CHUNK: usize = 1 << 12;
    /// Room for 2^26 tiles, which with a zone each would take some 30 GB.
    const CHUNKS: usize = 1 << 14;

    /// Adds a tile; to be called by one thread at a time.
    pub fn push(&self, tile: Tile) -> TileId {
        let number = self.len.load(Ordering::Relaxed);
        let (chunk, place) = Self::place(TileId(number));
        let chunk = self.chunks[chunk].get_or_init(Box::default);
        chunk.tiles[place].set(tile).expect("a new number's place is empty");
        self.len.store(number + 1, Ordering::Relaxed);
        TileId(number)
    }

    /// A tile by a number that [`Self::push`] gave.
    #[inline]
    pub fn get(&self, id: TileId) -> &Tile {
        let (chunk, place) = Self::place(id);
        let chunk = self.chunks[chunk].get().expect("a number that was given");
        chunk.tiles[place].get().expect("a number that was given")
    }

    /// The state of a tile, to be read before its zones: then they are no older than it says.
    #[inline]
    pub fn stamp(&self, id: TileId) -> Stamp {
        let (chunk, place) = Self::place(id);
        let chunk = self.chunks[chunk].get().expect("a number that was given");
        Stamp { tile: id, epoch: chunk.epochs[place].load(Ordering::Acquire) }
    }

    /// Asks the memory for what [`Self::is_current`] reads.
    #[inline]
    pub fn ask_epoch(&self, id: TileId) {
        let (chunk, place) = Self::place(id);
        if let Some(chunk) = self.chunks.get(chunk).and_then(OnceLock::get) {
            ask(&chunk.epochs[place]);
        }
    }

    /// Whether a tile is still in this state.
    #[inline]
    pub fn is_current(&self, stamp: Stamp) -> bool {
        let (chunk, place) = Self::place(stamp.tile);
        let chunk = self.chunks.get(chunk).and_then(OnceLock::get);
        chunk.is_some_and(|chunk| chunk.epochs[place].load(Ordering::Acquire) == stamp.epoch)
    }

    /// Says that a tile has changed, after it has.
    pub fn count_on(&self, id: TileId) {
        let (chunk, place) = Self::place(id);
        let chunk = self.chunks[chunk].get().expect("a number that was given");
        chunk.epochs[place].fetch_add(1, Ordering::Release);
    }

    #[inline]
    fn place(TileId(number): TileId) -> (usize, usize) {
        (number as usize / Self::CHUNK, number as usize % Self::CHUNK)
    }
}
