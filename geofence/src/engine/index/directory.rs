//! Where things are found by name: zones, tiles and tenants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use geopush_model::{TenantId, ZoneId};
use h3o::CellIndex;

use super::huge::HugeZones;
use super::region::Region;
use super::shards::{Change, Shards};
use super::tiles::{TileId, Tiles};
use crate::engine::PreparedZone;

/// All live zones by tenant and id. In many tables: a copy of one counts references of all its zones, each of which is
/// somewhere else in memory.
#[derive(Debug, Default)]
pub(super) struct ZonesById(Shards<Arc<PreparedZone>, { 1 << 15 }>);

impl ZonesById {
    pub fn get(&self, tenant: TenantId, id: ZoneId) -> Option<Arc<PreparedZone>> {
        self.0.find(self.0.hash(&(tenant, id)), |zone| zone.id == id && zone.tenant == tenant)
    }

    pub fn change(&self, changes: impl Iterator<Item = Change<Arc<PreparedZone>>>) {
        let hash_of = |zone: &Arc<PreparedZone>| self.0.hash(&(zone.tenant, zone.id));
        let hashed = |change| {
            let (Change::Put(zone) | Change::Drop(zone)) = &change;
            (hash_of(zone), change)
        };
        let are_alike = |a: &Arc<PreparedZone>, b: &Arc<PreparedZone>| a.id == b.id && a.tenant == b.tenant;
        self.0.change(changes.map(hashed).collect(), hash_of, are_alike);
    }
}

/// All tiles by tenant and cell; an entry is the tile's number alone, and the tile knows the rest.
#[derive(Debug, Default)]
pub(super) struct TilesByCell(Shards<TileId, { 1 << 12 }>);

impl TilesByCell {
    #[inline]
    pub fn get(&self, tiles: &Tiles, tenant: TenantId, cell: CellIndex) -> Option<TileId> {
        self.0.find(self.0.hash(&(tenant, Some(cell))), |id| {
            let tile = tiles.get(*id);
            tile.cell == Some(cell) && tile.tenant == tenant
        })
    }

    pub fn add(&self, tiles: &Tiles, new: &[TileId]) {
        let hash_of = |id: &TileId| {
            let tile = tiles.get(*id);
            self.0.hash(&(tile.tenant, tile.cell))
        };
        let changes = new.iter().map(|id| (hash_of(id), Change::Put(*id))).collect();
        self.0.change(changes, hash_of, |a, b| a == b);
    }
}

/// The regions of cells where devices are and zones are not: a cell's boundary takes longer than all else that is asked
/// there.
#[derive(Debug, Default)]
pub(super) struct Regions {
    by_cell: Shards<(CellIndex, Region), { 1 << 8 }>,
    len: AtomicUsize,
}

impl Regions {
    /// Cells remembered: those of a thousand towns. Others' regions are found anew each time.
    const MOST: usize = 1 << 15;

    #[inline]
    pub fn get(&self, cell: CellIndex) -> Option<Region> {
        let found = self.by_cell.find(self.by_cell.hash(&cell), |(known, _)| *known == cell);
        found.map(|(_, region)| region)
    }

    /// Remembers a region, if there is room; to be called by one thread at a time.
    pub fn add(&self, cell: CellIndex, region: Region) {
        if self.len.load(Ordering::Relaxed) < Self::MOST && self.get(cell).is_none() {
            let hash_of = |(cell, _): &(CellIndex, Region)| self.by_cell.hash(cell);
            let new = (cell, region);
            self.by_cell.change(vec![(hash_of(&new), Change::Put(new))], hash_of, |a, b| a.0 == b.0);
            self.len.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What there is of a tenant beside its tiles.
#[derive(Debug)]
pub(super) struct Tenant {
    pub id: TenantId,
    /// The tile that stands for all cells without one.
    pub void: TileId,
    pub huge: ArcSwap<HugeZones>,
}

/// All tenants that have or had zones.
#[derive(Debug, Default)]
pub(super) struct Tenants(Shards<Arc<Tenant>, { 1 << 8 }>);

impl Tenants {
    pub fn get(&self, id: TenantId) -> Option<Arc<Tenant>> {
        self.0.find(self.0.hash(&id), |tenant| tenant.id == id)
    }

    pub fn add(&self, new: Vec<Arc<Tenant>>) {
        let hash_of = |tenant: &Arc<Tenant>| self.0.hash(&tenant.id);
        let changes = new.into_iter().map(|tenant| (hash_of(&tenant), Change::Put(tenant))).collect();
        self.0.change(changes, hash_of, |a, b| a.id == b.id);
    }
}
