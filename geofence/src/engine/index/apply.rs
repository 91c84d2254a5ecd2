//! Changes of zones, one or a million at a time.
//!
//! Each change takes a zone's version before out of the tiles where it was, and puts the one of now where that belongs;
//! what a tile loses and gets by all of them is one change of the tile. For readers the order matters: a tile's tree is
//! replaced before its epoch counts on, new tiles are found before the void that answered for them has changed, and a
//! huge zone goes only when the tiles of what it became are there.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;
use geopush_model::{TenantId, ZoneId};
use h3o::CellIndex;

use super::ZoneIndex;
use super::directory::Tenant;
use super::huge::HugeZones;
use super::node::Node;
use super::placement::{Placement, Placer};
use super::region::Region;
use super::shards::Change;
use super::tiles::{Tile, TileId};
use crate::engine::{PreparedZone, ZoneChange};

/// What only the writer knows.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) placer: Placer,
    tiles_of: HashMap<TenantId, Vec<TileId>>,
}

/// A zone's version before a change, and after it.
struct Edit<'a> {
    before: Option<Arc<PreparedZone>>,
    now: Option<&'a Arc<PreparedZone>>,
}

/// What becomes of a zone somewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Gone,
    Come,
}

/// A zone goes from a tile, or comes to it.
struct Move<'a> {
    tenant: TenantId,
    cell: CellIndex,
    zone: &'a Arc<PreparedZone>,
    fate: Fate,
}

/// What changes of a tenant beside its tiles.
struct TenantChange<'a> {
    tenant: Arc<Tenant>,
    is_new: bool,
    huge: Vec<(&'a Arc<PreparedZone>, Fate)>,
    /// Its huge zones from now on, if they change.
    huge_now: Option<HugeZones>,
    born: Vec<TileId>,
}

impl ZoneIndex {
    /// Applies changes in their order: of one zone's the last counts. Each tile is built once, however many of its
    /// zones change.
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = &'a ZoneChange>) {
        let changes: Vec<_> = changes.into_iter().collect();
        let writer = &mut *self.writer.lock().unwrap_or_else(PoisonError::into_inner);

        let edits = self.edits(changes);
        self.name(&edits);
        let mut tenants = BTreeMap::new();
        let mut moves = Vec::new();
        for (zone, fate) in edits.iter().flat_map(Edit::fates) {
            let tenant = zone.tenant;
            let change = tenants.entry(tenant).or_insert_with(|| self.tenant_change(tenant));
            match writer.placer.place(zone) {
                Placement::Tiles(cells) => {
                    moves.extend(cells.into_iter().map(|cell| Move { tenant, cell, zone, fate }));
                }
                Placement::Huge => change.huge.push((zone, fate)),
            }
        }
        for change in tenants.values_mut().filter(|change| !change.huge.is_empty()) {
            let tiles = writer.tiles_of.get(&change.tenant.id).map_or(&[][..], Vec::as_slice);
            self.move_huge(change, tiles, &mut moves);
        }

        moves.sort_unstable_by_key(|a| (a.tenant, a.cell));
        for of_tile in moves.chunk_by(|a, b| (a.tenant, a.cell) == (b.tenant, b.cell)) {
            let change = tenants.get_mut(&of_tile[0].tenant).expect("a move is some tenant's");
            self.change_tile(of_tile, change);
        }
        self.publish(tenants.into_values(), writer);
    }

    /// What the changes come to, zone by zone.
    fn edits<'a>(&self, changes: Vec<&'a ZoneChange>) -> Vec<Edit<'a>> {
        let latest: HashMap<(TenantId, ZoneId), &ZoneChange> =
            changes.into_iter().map(|change| ((change.tenant, change.zone), change)).collect();
        let edit = |change: &'a ZoneChange| Edit {
            before: self.get(change.tenant, change.zone),
            now: change.now.as_ref(),
        };
        latest.into_values().map(edit).collect()
    }

    /// Lets zones be found by id.
    fn name(&self, edits: &[Edit<'_>]) {
        let changes = edits.iter().filter_map(|edit| match (&edit.before, edit.now) {
            (_, Some(now)) => Some(Change::Put(Arc::clone(now))),
            (Some(before), None) => Some(Change::Drop(Arc::clone(before))),
            (None, None) => None,
        });
        self.zones_by_id.change(changes);
        let come = edits.iter().filter(|edit| edit.now.is_some()).count();
        let gone = edits.iter().filter(|edit| edit.before.is_some()).count();
        self.len.fetch_add(come, Ordering::Relaxed);
        self.len.fetch_sub(gone, Ordering::Relaxed);
    }

    fn tenant_change<'a>(&self, id: TenantId) -> TenantChange<'a> {
        let known = self.tenants.get(id);
        let is_new = known.is_none();
        let tenant = known.unwrap_or_else(|| {
            let void = self.tiles.push(Tile::void(id));
            Arc::new(Tenant { id, void, huge: ArcSwap::default() })
        });
        TenantChange { tenant, is_new, huge: Vec::new(), huge_now: None, born: Vec::new() }
    }

    /// Says which of a tenant's tiles its huge zones go from and come to.
    fn move_huge<'a>(&self, change: &mut TenantChange<'a>, tiles: &[TileId], moves: &mut Vec<Move<'a>>) {
        let of_fate = |wanted: Fate| -> Vec<_> {
            change.huge.iter().filter(|(_, fate)| *fate == wanted).map(|(zone, _)| *zone).collect()
        };
        change.huge_now = Some(change.tenant.huge.load().with(&of_fate(Fate::Gone), &of_fate(Fate::Come)));
        for (zone, fate) in &change.huge {
            let boxes = zone.shape.bounds(zone.exit_buffer_m);
            for tile in tiles.iter().map(|id| self.tiles.get(*id)) {
                let area = tile.region.area();
                if let Some(cell) = tile.cell
                    && area.box_round(&boxes).is_some()
                {
                    moves.push(Move { tenant: zone.tenant, cell, zone, fate: *fate });
                }
            }
        }
    }

    /// Lets zones go from a tile and come to it; it is born if it must be.
    fn change_tile(&self, moves: &[Move<'_>], change: &mut TenantChange<'_>) {
        let of_fate = |wanted: Fate| -> Vec<_> {
            moves.iter().filter(|of| of.fate == wanted).map(|of| of.zone).collect()
        };
        let (gone, come) = (of_fate(Fate::Gone), of_fate(Fate::Come));
        let Move { tenant, cell, .. } = moves[0];
        if let Some(id) = self.tiles_by_cell.get(&self.tiles, tenant, cell) {
            let tile = self.tiles.get(id);
            if let Some(zones) = tile.zones.load().with(&tile.region.area(), &gone, &come) {
                tile.zones.store(Arc::new(zones));
                self.tiles.count_on(id);
            }
            return;
        }
        let region = Region::of(cell);
        let area = region.area();
        let Some(zones) = Node::default().with(&area, &[], &come) else { return };
        let huge = change.tenant.huge.load();
        let huge = change.huge_now.as_ref().unwrap_or(&huge).meeting(&area);
        let zones = ArcSwap::from_pointee(zones.with(&area, &[], &huge).unwrap_or(zones));
        change.born.push(self.tiles.push(Tile { tenant, cell: Some(cell), region, zones }));
    }

    /// Lets everyone see new tiles, huge zones and tenants, and know that voids have changed.
    fn publish<'a>(&self, changes: impl Iterator<Item = TenantChange<'a>>, writer: &mut Writer) {
        let mut changes: Vec<_> = changes.collect();
        let born: Vec<_> = changes.iter().flat_map(|change| &change.born).copied().collect();
        self.tiles_by_cell.add(&self.tiles, &born);
        let mut new_tenants = Vec::new();
        for change in &mut changes {
            let TenantChange { tenant, huge_now, born, .. } = change;
            let has_changed = huge_now.is_some() || !born.is_empty();
            if let Some(huge) = huge_now.take() {
                tenant.huge.store(Arc::new(huge));
            }
            if has_changed {
                self.tiles.count_on(tenant.void);
            }
            writer.tiles_of.entry(tenant.id).or_default().append(born);
            if change.is_new {
                new_tenants.push(Arc::clone(&change.tenant));
            }
        }
        if !new_tenants.is_empty() {
            self.tenants.add(new_tenants);
            self.tiles.count_on(self.nobody);
        }
    }
}

impl Edit<'_> {
    fn fates(&self) -> impl Iterator<Item = (&Arc<PreparedZone>, Fate)> {
        let gone = self.before.iter().map(|zone| (zone, Fate::Gone));
        gone.chain(self.now.map(|zone| (zone, Fate::Come)))
    }
}
