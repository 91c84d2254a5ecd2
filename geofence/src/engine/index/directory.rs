//! Where things are found by name: zones, tiles and tenants.

use std::hash::BuildHasher;
use std::sync::Arc;

use arc_swap::ArcSwap;
use geopush_model::{TenantId, ZoneId};
use h3o::CellIndex;
use hashbrown::DefaultHashBuilder;

use super::huge::HugeZones;
use super::numbers::Numbers;
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
pub(super) struct TilesByCell {
    hasher: DefaultHashBuilder,
    numbers: Numbers,
}

impl TilesByCell {
    #[inline]
    pub fn get(&self, tiles: &Tiles, tenant: TenantId, cell: CellIndex) -> Option<TileId> {
        let found = self.numbers.find(self.hash(tenant, Some(cell)), |number| {
            let tile = tiles.get(TileId::of_number(number));
            tile.cell == Some(cell) && tile.tenant == tenant
        });
        found.map(TileId::of_number)
    }

    /// To be called by one thread at a time.
    pub fn add(&self, tiles: &Tiles, new: &[TileId]) {
        for id in new {
            let tile = tiles.get(*id);
            self.numbers.add(self.hash(tile.tenant, tile.cell), id.number());
        }
    }

    #[inline]
    fn hash(&self, tenant: TenantId, cell: Option<CellIndex>) -> u64 {
        self.hasher.hash_one((tenant, cell))
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
