//! Which zones are round a position.

mod tenant_zones;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use geopush_geometry::{Bounds, Position};
use geopush_model::{TenantId, ZoneId};

pub use tenant_zones::TenantZones;

use super::{PreparedZone, ZoneChange};

/// A tile of the index, for as long as the index lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileId(pub(super) u32);

/// A tile as it was at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Which tile.
    pub tile: TileId,
    /// Which of its states; states follow one another by 1, wrapping.
    pub epoch: u32,
}

impl Stamp {
    /// The stamp of no tile, which is never current.
    pub const NONE: Self = Self { tile: TileId(u32::MAX), epoch: 0 };
}

type Tenants = HashMap<TenantId, Arc<TenantZones>>;

/// All tenants' zones. Readers take a tenant's snapshot without waiting; there is one writer at a time.
#[derive(Debug)]
pub struct ZoneIndex {
    /// By tenant, so that a change copies a small part of the map of tenants.
    shards: Box<[Shard]>,
    nothing: Arc<TenantZones>,
}

#[derive(Debug, Default)]
struct Shard {
    epoch: AtomicU32,
    tenants: ArcSwap<Tenants>,
}

impl Default for ZoneIndex {
    fn default() -> Self {
        Self { shards: (0..Self::SHARDS).map(|_| Shard::default()).collect(), nothing: Arc::default() }
    }
}

impl ZoneIndex {
    const SHARDS: usize = 256;
    /// How far the answers of [`ZoneIndex::around`] hold, in degrees.
    const AROUND: f64 = 0.01;

    /// Whether nothing has changed in the tile since.
    pub fn is_current(&self, stamp: Stamp) -> bool {
        self.shards
            .get(stamp.tile.0 as usize)
            .is_some_and(|shard| shard.epoch.load(Ordering::Acquire) == stamp.epoch)
    }

    /// The tenant's zones round a position. `hint`: the tile that answered last, of the same tenant, to be quick where
    /// the position is still in it.
    pub fn around(&self, tenant: TenantId, position: Position, _hint: Option<TileId>) -> Around<'_> {
        let number = Self::number(tenant);
        let shard = &self.shards[number as usize];
        let epoch = shard.epoch.load(Ordering::Acquire);
        let zones = self.tenant(tenant);
        let bounds = Bounds {
            west: (position.lon - Self::AROUND).max(-180.0),
            south: (position.lat - Self::AROUND).max(-90.0),
            east: (position.lon + Self::AROUND).min(180.0),
            north: (position.lat + Self::AROUND).min(90.0),
        };
        Around {
            index: self,
            tenant,
            stamp: Stamp { tile: TileId(number), epoch },
            bounds,
            touching: zones.meeting(&bounds),
        }
    }

    /// A live zone.
    pub fn get(&self, tenant: TenantId, zone: ZoneId) -> Option<Arc<PreparedZone>> {
        self.tenant(tenant).get(zone).cloned()
    }

    /// How many zones are live.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.tenants.load().values().map(|zones| zones.len()).sum::<usize>())
            .sum()
    }

    /// Whether no zone is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A tenant's zones as they are now.
    pub fn tenant(&self, tenant: TenantId) -> Arc<TenantZones> {
        let tenants = self.shards[Self::number(tenant) as usize].tenants.load();
        Arc::clone(tenants.get(&tenant).unwrap_or(&self.nothing))
    }

    /// Applies changes in their order: of one zone's the last counts.
    pub fn apply<'a>(&self, changes: impl IntoIterator<Item = &'a ZoneChange>) {
        let mut by_tenant: HashMap<TenantId, Vec<_>> = HashMap::new();
        for change in changes {
            by_tenant.entry(change.tenant).or_default().push((change.zone, change.now.clone()));
        }
        for (tenant, changes) in by_tenant {
            let zones = Arc::new(self.tenant(tenant).with(changes));
            let shard = &self.shards[Self::number(tenant) as usize];
            let mut tenants = Tenants::clone(&shard.tenants.load());
            if zones.is_empty() {
                tenants.remove(&tenant);
            } else {
                tenants.insert(tenant, zones);
            }
            shard.tenants.store(Arc::new(tenants));
            // After what it tells of: who sees the old epoch may have seen the old zones.
            shard.epoch.fetch_add(1, Ordering::Release);
        }
    }

    fn number(tenant: TenantId) -> u32 {
        // The last byte of a UUID is random in every version.
        u32::from(tenant.0.as_bytes()[15])
    }
}

/// The zones round a position, all as they were at one moment.
#[derive(Debug)]
pub struct Around<'a> {
    index: &'a ZoneIndex,
    tenant: TenantId,
    stamp: Stamp,
    bounds: Bounds,
    touching: Vec<Arc<PreparedZone>>,
}

impl Around<'_> {
    /// The tile that answered, and its state at that moment.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// A box round the position, borders included, where [`Self::covering`] and [`Self::touching`] are all there is.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The zones that contain every position of [`Self::bounds`].
    pub fn covering(&self) -> impl Iterator<Item = &Arc<PreparedZone>> {
        std::iter::empty()
    }

    /// Every other zone whose shape, with its exit buffer, may meet [`Self::bounds`].
    pub fn touching(&self) -> impl Iterator<Item = &Arc<PreparedZone>> {
        self.touching.iter()
    }

    /// A live zone of the tenant: out of the lists, or wherever it is.
    pub fn get(&self, zone: ZoneId) -> Option<Arc<PreparedZone>> {
        let listed = self.covering().chain(self.touching()).find(|listed| listed.id == zone);
        listed.cloned().or_else(|| self.index.get(self.tenant, zone))
    }
}
