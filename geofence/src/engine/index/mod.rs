//! Which zones are round a position: all tenants' live zones, by place.
//!
//! - The globe is cut into H3 cells, and each tenant has a [`tiles::Tile`] for every cell that has zones of it near. A
//!   tile answers for its [`region::Region`], the box of longitudes and latitudes round its cell, so that a device
//!   that knows its tile finds it again by four comparisons.
//! - In a tile, zones are found by a tree of boxes ([`node::Node`]): a zone is listed in those that it covers and in the
//!   leaves that it may meet otherwise.
//! - [`placement`] says which tiles a zone is in. One that would be in hundreds is [`huge`]: it makes no tiles, but is
//!   listed in those there are. Where a tenant has no tile, its void answers: one tile for all those cells.
//!
//! Readers never wait. What they read is replaced, never changed: a tile's tree by one store, the tables of the
//! [`directory`] piece by piece. There is one writer at a time: it works out a change ([`apply`](self::apply)),
//! and then lets it be seen ([`update`]).
//!
//! H3 serves to name places. A cell is never taken for the union of finer ones, which it is not, and never for a shape:
//! its region holds it with room to spare, and all that is decided is decided by regions and the zones' own geometry.

mod along;
mod apply;
mod area;
mod around;
mod cells;
mod directory;
mod huge;
mod listing;
mod lying;
mod near;
mod node;
mod numbers;
mod placement;
mod region;
mod shards;
mod spot;
mod squares;
mod tiles;
mod update;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};
use geopush_geometry::Position;
use geopush_model::{TenantId, ZoneId};

pub use around::Around;
pub(super) use near::{Lies, Near};
pub use tiles::{Stamp, TileId};
pub use update::{Replaced, Update};

use super::PreparedZone;
use directory::{Tenants, TilesByCell, ZonesById};
use node::Node;
use placement::Place;
use region::Region;
use squares::Squares;
use tiles::{Tile, Tiles};
use update::Writer;

/// All tenants' live zones. Readers never wait, whatever a writer does meanwhile.
#[derive(Debug)]
pub struct ZoneIndex {
    tiles: Tiles,
    tiles_by_cell: TilesByCell,
    zones_by_id: ZonesById,
    squares: Squares,
    tenants: Tenants,
    /// The tile of everyone who has no zones.
    nobody: TileId,
    len: AtomicUsize,
    writer: Mutex<Writer>,
}

impl Default for ZoneIndex {
    fn default() -> Self {
        let tiles = Tiles::default();
        let nobody = tiles.push(Tile::void(TenantId(uuid::Uuid::nil())));
        Self {
            tiles,
            tiles_by_cell: TilesByCell::default(),
            zones_by_id: ZonesById::default(),
            squares: Squares::default(),
            tenants: Tenants::default(),
            nobody,
            len: AtomicUsize::new(0),
            writer: Mutex::default(),
        }
    }
}

impl ZoneIndex {
    /// Whether the tile is as it was then: whether what [`Around`] said still holds.
    #[inline]
    pub fn is_current(&self, stamp: Stamp) -> bool {
        self.tiles.is_current(stamp)
    }

    /// Asks the memory for what [`Self::is_current`] reads.
    #[inline]
    pub(super) fn ask_epoch(&self, tile: TileId) {
        self.tiles.ask_epoch(tile);
    }

    /// The tenant's zones round a position. `hint`: a tile that answered before; where the position is still in its
    /// region, no cell and no hash is computed.
    pub fn around(&self, tenant: TenantId, position: Position, hint: Option<TileId>) -> Around<'_> {
        self.begin(tenant, position, hint).stepped()
    }

    /// What [`Self::around`] starts from.
    pub(super) fn begin(&self, tenant: TenantId, position: Position, hint: Option<TileId>) -> Around<'_> {
        if let Some(around) = hint.and_then(|id| self.in_tile(id, tenant, position)) {
            return around;
        }
        let (cell, region) = self.place_of(position);
        let in_cell = || {
            let id = self.tiles_by_cell.get(&self.tiles, tenant, cell)?;
            Some(self.in_tile(id, tenant, position).expect("a region holds its cell"))
        };
        in_cell().unwrap_or_else(|| {
            let area = region.area_round(position).expect("a region holds its cell");
            // Before the look for the tenant: one that comes between the two makes it stale.
            let nobody = self.tiles.stamp(self.nobody);
            let Some(known) = self.tenants.get(tenant) else {
                return Around::new(self, tenant, nobody, self.nothing(), area, position);
            };
            let stamp = self.tiles.stamp(known.void);
            // The huge zones before another look for a tile: a zone that becomes small meanwhile is then in either.
            let huge = known.huge.load();
            in_cell().unwrap_or_else(|| {
                let meeting = huge.meeting(&region.area());
                let zones = if meeting.is_empty() {
                    self.nothing()
                } else {
                    Guard::from_inner(Arc::new(Node::leaf(&region.area(), &meeting)))
                };
                Around::new(self, tenant, stamp, zones, area, position)
            })
        })
    }

    /// The tenant's tile in whose region a position is, if there is one: a better hint. Nothing that it does keeps a
    /// thread from asking the memory for the next position's at the same time.
    pub(super) fn tile_at(
        &self,
        tenant: TenantId,
        position: Position,
        hint: Option<TileId>,
    ) -> Option<TileId> {
        let is_there = |id: &TileId| {
            let tile = self.tiles.get(*id);
            tile.tenant == tenant && tile.region.area_round(position).is_some()
        };
        hint.filter(is_there).or_else(|| {
            let (cell, _) = self.squares.place(position)?;
            self.tiles_by_cell.get(&self.tiles, tenant, cell)
        })
    }

    /// Something of a tile, to have asked the memory for it.
    #[inline]
    pub(super) fn touch(&self, tile: TileId) -> usize {
        self.tiles.get(tile).touch()
    }

    /// A live zone.
    pub fn get(&self, tenant: TenantId, zone: ZoneId) -> Option<Arc<PreparedZone>> {
        self.zones_by_id.get(tenant, zone)
    }

    /// How many zones are live.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no zone is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a tile says, if it is the tenant's and the position is in its region.
    #[inline]
    fn in_tile(&self, id: TileId, tenant: TenantId, position: Position) -> Option<Around<'_>> {
        let tile = self.tiles.get(id);
        let area = tile.region.area_round(position).filter(|_| tile.tenant == tenant)?;
        // Before the zones: a change between the two makes the stamp stale, never the zones.
        let stamp = self.tiles.stamp(id);
        Some(Around::new(self, tenant, stamp, tile.zones.load(), area, position))
    }

    /// A cell with a region in which the position is.
    fn place_of(&self, position: Position) -> Place {
        self.squares.place(position).unwrap_or_else(|| {
            // Nobody waits to have it remembered.
            if let Ok(mut writer) = self.writer.try_lock() {
                self.squares.add(position, &mut writer.placer);
            }
            let cell = Region::cell_at(position);
            (cell, Region::of(cell))
        })
    }

    fn nothing(&self) -> Guard<Arc<Node>> {
        self.tiles.get(self.nobody).zones.load()
    }
}

impl Tile {
    fn touch(&self) -> usize {
        usize::from(self.cell.is_some()) ^ usize::from(self.tenant.0.is_nil())
    }

    /// A tenant's tile for all cells without one.
    fn void(tenant: TenantId) -> Self {
        Self { tenant, cell: None, region: Region::NOWHERE, zones: ArcSwap::default() }
    }
}
