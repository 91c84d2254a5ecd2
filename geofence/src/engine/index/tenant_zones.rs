//! One tenant's zones as a snapshot: what the stage asks until it asks tiles.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use geopush_geometry::Position;
use geopush_model::{TenantId, ZoneId};
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};

use crate::engine::{PreparedZone, ZoneChange};

/// A box of longitudes and latitudes, and the zone that it is of. A zone at the antimeridian has two.
type Boxed = GeomWithData<Rectangle<[f64; 2]>, Arc<PreparedZone>>;

/// The live zones of one tenant, as they were at one time.
///
/// A tree of all zones as of some time before, and what has changed since in a small one of its own, so that a change
/// copies little.
#[derive(Debug, Default)]
pub struct TenantZones {
    base: Arc<Base>,
    recent: Recent,
}

#[derive(Debug, Default)]
struct Base {
    by_id: HashMap<ZoneId, Arc<PreparedZone>>,
    tree: RTree<Boxed>,
}

#[derive(Debug, Default)]
struct Recent {
    /// `None`: the zone was removed.
    by_id: HashMap<ZoneId, Option<Arc<PreparedZone>>>,
    tree: RTree<Boxed>,
}

impl TenantZones {
    /// How many changes stand beside the base at least, and how large a part of it they may become, before they are
    /// built into it: a balance of what one change costs and how often all is built anew.
    const RECENT_MIN: usize = 512;
    const RECENT_PART: usize = 32;

    /// These zones, all of one tenant.
    pub fn of(zones: impl IntoIterator<Item = Arc<PreparedZone>>) -> Self {
        let by_id: HashMap<_, _> = zones.into_iter().map(|zone| (zone.id, zone)).collect();
        let tree = tree_of(by_id.values());
        Self { base: Arc::new(Base { by_id, tree }), recent: Recent::default() }
    }

    /// The same zones but for these, which are new, replaced or (`None`) gone.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = (ZoneId, Option<Arc<PreparedZone>>)>) -> Self {
        let mut by_id = self.recent.by_id.clone();
        by_id.extend(changes);
        if by_id.len() > Self::RECENT_MIN.max(self.base.by_id.len() / Self::RECENT_PART) {
            let kept = self.base.by_id.iter().filter(|(id, _)| !by_id.contains_key(id)).map(|(_, zone)| zone);
            return Self::of(kept.chain(by_id.values().flatten()).cloned());
        }
        let tree = tree_of(by_id.values().flatten());
        Self { base: Arc::clone(&self.base), recent: Recent { by_id, tree } }
    }

    /// A live zone.
    pub fn get(&self, zone: ZoneId) -> Option<&Arc<PreparedZone>> {
        match self.recent.by_id.get(&zone) {
            Some(changed) => changed.as_ref(),
            None => self.base.by_id.get(&zone),
        }
    }

    /// The zones that a position is inside of, by id.
    pub fn containing(&self, position: Position) -> Vec<&Arc<PreparedZone>> {
        let point = [position.lon, position.lat];
        let base = self.base.tree.locate_all_at_point(point);
        let base = base.map(|boxed| &boxed.data).filter(|zone| !self.recent.by_id.contains_key(&zone.id));
        let recent = self.recent.tree.locate_all_at_point(point).map(|boxed| &boxed.data);
        let mut zones: Vec<_> = base.chain(recent).filter(|zone| zone.contains(position)).collect();
        zones.sort_unstable_by_key(|zone| zone.id);
        // The two boxes of one zone may share a border.
        zones.dedup_by_key(|zone| zone.id);
        zones
    }

    /// How many zones.
    pub fn len(&self) -> usize {
        let replaced = self.recent.by_id.keys().filter(|id| self.base.by_id.contains_key(id)).count();
        self.base.by_id.len() - replaced + self.recent.by_id.values().flatten().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn tree_of<'a>(zones: impl Iterator<Item = &'a Arc<PreparedZone>>) -> RTree<Boxed> {
    let boxes = zones.flat_map(|zone| {
        zone.shape.bounds(0.0).into_iter().map(|b| {
            let corners = AABB::from_corners([b.west, b.south], [b.east, b.north]);
            GeomWithData::new(Rectangle::from_aabb(corners), Arc::clone(zone))
        })
    });
    RTree::bulk_load(boxes.collect())
}

type ByTenant = HashMap<TenantId, Arc<TenantZones>>;

/// All tenants' snapshots.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// By tenant, so that a change copies a small part of the map of tenants.
    shards: Box<[ArcSwap<ByTenant>]>,
    nothing: Arc<TenantZones>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { shards: (0..Self::SHARDS).map(|_| ArcSwap::default()).collect(), nothing: Arc::default() }
    }
}

impl Snapshots {
    const SHARDS: usize = 256;

    pub fn tenant(&self, tenant: TenantId) -> Arc<TenantZones> {
        let tenants = self.shard(tenant).load();
        Arc::clone(tenants.get(&tenant).unwrap_or(&self.nothing))
    }

    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = &'a ZoneChange>) {
        let mut by_tenant: HashMap<TenantId, Vec<_>> = HashMap::new();
        for change in changes {
            by_tenant.entry(change.tenant).or_default().push((change.zone, change.now.clone()));
        }
        for (tenant, changes) in by_tenant {
            let zones = Arc::new(self.tenant(tenant).with(changes));
            let shard = self.shard(tenant);
            let mut tenants = ByTenant::clone(&shard.load());
            if zones.is_empty() {
                tenants.remove(&tenant);
            } else {
                tenants.insert(tenant, zones);
            }
            shard.store(Arc::new(tenants));
        }
    }

    fn shard(&self, tenant: TenantId) -> &ArcSwap<ByTenant> {
        // The last byte of a UUID is random in every version.
        &self.shards[usize::from(tenant.0.as_bytes()[15]) % Self::SHARDS]
    }
}
