//! A change of the index that is worked out and not yet seen.
//!
//! For readers the order matters: a tile's tree is replaced before its epoch counts on, new tiles are found before the
//! void that answered for them has changed, and a huge zone goes only when the tiles of what it became are there.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use geopush_model::TenantId;

use super::ZoneIndex;
use super::directory::Tenant;
use super::huge::HugeZones;
use super::node::Node;
use super::placement::Placer;
use super::shards::Change;
use super::tiles::TileId;
use crate::engine::PreparedZone;

/// What only the writer knows.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub placer: Placer,
    tiles_of: HashMap<TenantId, Vec<TileId>>,
}

/// What changes of zones come to. To publish it takes some microseconds, and some tenths more for each tile that changes;
/// dropped before, it changes nothing.
#[derive(Debug)]
#[must_use = "what is not published changes nothing"]
pub struct Update<'i> {
    pub(super) index: &'i ZoneIndex,
    pub(super) writer: MutexGuard<'i, Writer>,
    /// Of zones by id.
    pub(super) names: Vec<Change<Arc<PreparedZone>>>,
    /// How many zones there are then.
    pub(super) len: usize,
    pub(super) trees: Vec<(TileId, Arc<Node>)>,
    pub(super) tenants: Vec<TenantUpdate>,
}

/// What changes of a tenant beside the trees of its tiles.
#[derive(Debug)]
pub(super) struct TenantUpdate {
    pub tenant: Arc<Tenant>,
    pub is_new: bool,
    /// Its huge zones from then on, if they change.
    pub huge: Option<Arc<HugeZones>>,
    pub born: Vec<TileId>,
}

/// What an update has replaced. Dropping it takes longer than publishing did, and nobody has to wait for that.
#[derive(Debug)]
#[must_use = "to be dropped where nobody waits"]
pub struct Replaced {
    _trees: Vec<Arc<Node>>,
}

impl Writer {
    pub fn tiles_of(&self, tenant: TenantId) -> &[TileId] {
        self.tiles_of.get(&tenant).map_or(&[], Vec::as_slice)
    }
}

impl Update<'_> {
    /// Lets everyone see it.
    pub fn publish(mut self) -> Replaced {
        let index = self.index;
        index.zones_by_id.change(self.names.into_iter());
        index.len.store(self.len, Ordering::Relaxed);
        let mut replaced = Vec::with_capacity(self.trees.len());
        for (tile, zones) in self.trees {
            replaced.push(index.tiles.get(tile).zones.swap(zones));
            index.tiles.count_on(tile);
        }
        let born: Vec<_> = self.tenants.iter().flat_map(|update| &update.born).copied().collect();
        index.tiles_by_cell.add(&index.tiles, &born);
        let mut new_tenants = Vec::new();
        for update in self.tenants {
            let TenantUpdate { tenant, is_new, huge, mut born } = update;
            let has_changed = huge.is_some() || !born.is_empty();
            if let Some(huge) = huge {
                tenant.huge.store(huge);
            }
            if has_changed {
                index.tiles.count_on(tenant.void);
            }
            self.writer.tiles_of.entry(tenant.id).or_default().append(&mut born);
            if is_new {
                new_tenants.push(tenant);
            }
        }
        if !new_tenants.is_empty() {
            index.tenants.add(new_tenants);
            index.tiles.count_on(index.nobody);
        }
        Replaced { _trees: replaced }
    }
}
