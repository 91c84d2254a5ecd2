//! Changes of zones, one or a million at a time.
//!
//! Each change takes a zone's version before out of the tiles where it was, and puts the one of now where that belongs;
//! what a tile loses and gets by all of them is one change of the tile. All that takes long, the new trees, is worked
//! out first, while readers go on; what there is left to do is an [`Update`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;
use geopush_model::{TenantId, ZoneId};
use h3o::CellIndex;

use super::ZoneIndex;
use super::directory::Tenant;
use super::node::Node;
use super::placement::Placement;
use super::region::Region;
use super::shards::Change;
use super::tiles::{Tile, TileId};
use super::update::{TenantUpdate, Update};
use crate::engine::{PreparedZone, ZoneChange};

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

/// What becomes of a tenant's huge zones.
type HugeMoves<'a> = Vec<(&'a Arc<PreparedZone>, Fate)>;

impl ZoneIndex {
    /// Applies changes in their order: of one zone's the last counts. Each tile is built once, however many of its
    /// zones change.
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = &'a ZoneChange>) {
        drop(self.prepare(changes).publish());
    }

    /// Works out what [`Self::apply`] would do. Readers see nothing of it yet, and are not waited for. One update at a
    /// time: another has to wait until this one is published, or dropped.
    pub fn prepare<'a>(&self, changes: impl IntoIterator<Item = &'a ZoneChange>) -> Update<'_> {
        let changes: Vec<_> = changes.into_iter().collect();
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);

        let edits = self.edits(changes);
        let (mut tenants, mut huge) = (BTreeMap::new(), BTreeMap::<_, HugeMoves<'_>>::new());
        let mut moves = Vec::new();
        for (zone, fate) in edits.iter().flat_map(Edit::fates) {
            let tenant = zone.tenant;
            tenants.entry(tenant).or_insert_with(|| self.tenant_update(tenant));
            match writer.placer.place(zone) {
                Placement::Tiles(cells) => {
                    moves.extend(cells.into_iter().map(|cell| Move { tenant, cell, zone, fate }));
                }
                Placement::Huge => huge.entry(tenant).or_default().push((zone, fate)),
            }
        }
        for (id, zones) in &huge {
            let tenant = tenants.get_mut(id).expect("a zone is some tenant's");
            self.move_huge(zones, tenant, writer.tiles_of(*id), &mut moves);
        }

        moves.sort_unstable_by_key(|a| (a.tenant, a.cell));
        let mut trees = Vec::new();
        for of_tile in moves.chunk_by(|a, b| (a.tenant, a.cell) == (b.tenant, b.cell)) {
            let tenant = tenants.get_mut(&of_tile[0].tenant).expect("a move is some tenant's");
            trees.extend(self.change_tile(of_tile, tenant));
        }
        let come = edits.iter().filter(|edit| edit.now.is_some()).count();
        let gone = edits.iter().filter(|edit| edit.before.is_some()).count();
        let names = edits.iter().filter_map(Edit::name).collect();
        let tenants = tenants.into_values().collect();
        Update { index: self, writer, names, len: self.len() + come - gone, trees, tenants }
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

    fn tenant_update(&self, id: TenantId) -> TenantUpdate {
        let known = self.tenants.get(id);
        let is_new = known.is_none();
        let tenant = known.unwrap_or_else(|| {
            let void = self.tiles.push(Tile::void(id));
            Arc::new(Tenant { id, void, huge: ArcSwap::default() })
        });
        TenantUpdate { tenant, is_new, huge: None, born: Vec::new() }
    }

    /// Says which of a tenant's tiles its huge zones go from and come to.
    fn move_huge<'a>(
        &self,
        zones: &HugeMoves<'a>,
        update: &mut TenantUpdate,
        tiles: &[TileId],
        moves: &mut Vec<Move<'a>>,
    ) {
        let of_fate = |wanted: Fate| -> Vec<_> {
            zones.iter().filter(|(_, fate)| *fate == wanted).map(|(zone, _)| *zone).collect()
        };
        let huge = update.tenant.huge.load().with(&of_fate(Fate::Gone), &of_fate(Fate::Come));
        update.huge = Some(Arc::new(huge));
        for &(zone, fate) in zones {
            let boxes = zone.shape.bounds(zone.exit_buffer_m);
            for tile in tiles.iter().map(|id| self.tiles.get(*id)) {
                let area = tile.region.area();
                if let Some(cell) = tile.cell
                    && area.box_round(&boxes).is_some()
                {
                    moves.push(Move { tenant: zone.tenant, cell, zone, fate });
                }
            }
        }
    }

    /// The new tree of a tile that zones go from and come to, unless that is the same, or the tile is born by it.
    fn change_tile(&self, moves: &[Move<'_>], update: &mut TenantUpdate) -> Option<(TileId, Arc<Node>)> {
        let of_fate = |wanted: Fate| -> Vec<_> {
            moves.iter().filter(|of| of.fate == wanted).map(|of| of.zone).collect()
        };
        let (gone, come) = (of_fate(Fate::Gone), of_fate(Fate::Come));
        let Move { tenant, cell, .. } = moves[0];
        if let Some(id) = self.tiles_by_cell.get(&self.tiles, tenant, cell) {
            let tile = self.tiles.get(id);
            let zones = tile.zones.load().with(&tile.region.area(), &gone, &come)?;
            return Some((id, Arc::new(zones)));
        }
        let region = Region::of(cell);
        let area = region.area();
        let zones = Node::default().with(&area, &[], &come)?;
        let huge = update.tenant.huge.load();
        let huge = update.huge.as_ref().unwrap_or(&huge).meeting(&area);
        let zones = ArcSwap::from_pointee(zones.with(&area, &[], &huge).unwrap_or(zones));
        update.born.push(self.tiles.push(Tile { tenant, cell: Some(cell), region, zones }));
        None
    }
}

impl Edit<'_> {
    fn fates(&self) -> impl Iterator<Item = (&Arc<PreparedZone>, Fate)> {
        let gone = self.before.iter().map(|zone| (zone, Fate::Gone));
        gone.chain(self.now.map(|zone| (zone, Fate::Come)))
    }

    /// What it changes of how zones are found by id.
    fn name(&self) -> Option<Change<Arc<PreparedZone>>> {
        match (&self.before, self.now) {
            (_, Some(now)) => Some(Change::Put(Arc::clone(now))),
            (Some(before), None) => Some(Change::Drop(Arc::clone(before))),
            (None, None) => None,
        }
    }
}
