//! A merchant's zone.

use geopush_geometry::Shape;

use crate::wire::{self, v1, wire};
use crate::{TenantId, UnixMillis, WireError, ZoneId};

/// A zone, valid, as one version of it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub id: ZoneId,
    /// The merchant's own name for it; never changes.
    pub external_id: Option<String>,
    /// The merchant's place that it belongs to.
    pub location_id: Option<String>,
    /// For people.
    pub name: String,
    /// Where it is.
    pub shape: Shape,
    /// How far outside a member must be to have left, in metres, if the merchant said.
    pub exit_buffer_m: Option<f64>,
    /// The seconds after an enter that make a dwell; none: no dwells.
    pub dwell_s: Option<i64>,
    /// Fixes less accurate than this, in metres, change nothing here, if the merchant said.
    pub max_accuracy_m: Option<f64>,
    /// Whether it gives transitions.
    pub active: bool,
    /// What campaigns may choose it by.
    pub tags: Vec<String>,
    /// The merchant's own JSON object.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Counts its changes from 1 on, across deletion.
    pub version: i64,
    /// When it was first made.
    pub created_at: UnixMillis,
    /// When this version was made.
    pub updated_at: UnixMillis,
    /// Whether this version is its deletion.
    pub deleted: bool,
    /// When it was last deleted or deactivated, if it ever was, be it live again.
    pub removal: Option<Removal>,
}

/// A zone's deletion or deactivation: whatever stay an older version began ended then. Kept, so that who sees only
/// the latest version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The version that it made.
    pub version: i64,
    /// When it was made.
    pub at: UnixMillis,
}

impl Zone {
    /// The accuracy needed where the merchant did not say, in metres.
    pub const DEFAULT_MAX_ACCURACY_M: f64 = 200.0;
    /// The least exit buffer where the merchant did not say, in metres.
    pub const DEFAULT_EXIT_BUFFER_M: f64 = 20.0;

    /// The first version of a zone of which nothing more is said.
    pub fn new(tenant: TenantId, id: ZoneId, name: &str, shape: Shape, now: UnixMillis) -> Self {
        Self {
            tenant,
            id,
            external_id: None,
            location_id: None,
            name: name.to_owned(),
            shape,
            exit_buffer_m: None,
            dwell_s: None,
            max_accuracy_m: None,
            active: true,
            tags: Vec::new(),
            metadata: serde_json::Map::new(),
            version: 1,
            created_at: now,
            updated_at: now,
            deleted: false,
            removal: None,
        }
    }

    /// How far outside a member must be to have left, in metres.
    pub fn effective_exit_buffer_m(&self) -> f64 {
        self.exit_buffer_m.unwrap_or(match self.shape {
            Shape::Circle { radius_m, .. } => (radius_m / 10.0).max(Self::DEFAULT_EXIT_BUFFER_M),
            Shape::Polygon(_) | Shape::MultiPolygon(_) => Self::DEFAULT_EXIT_BUFFER_M,
        })
    }

    /// Fixes less accurate than this, in metres, change nothing here.
    pub fn effective_max_accuracy_m(&self) -> f64 {
        self.max_accuracy_m.unwrap_or(Self::DEFAULT_MAX_ACCURACY_M)
    }

    /// Whether it gives transitions at all.
    pub fn is_live(&self) -> bool {
        self.active && !self.deleted
    }
}

wire!(Zone => v1::Zone);

impl From<&Zone> for v1::Zone {
    fn from(zone: &Zone) -> Self {
        Self {
            tenant: wire::bytes_of(zone.tenant.0),
            id: wire::bytes_of(zone.id.0),
            external_id: zone.external_id.clone(),
            location_id: zone.location_id.clone(),
            name: zone.name.clone(),
            shape_json: zone.shape.to_json().to_string(),
            exit_buffer_m: zone.exit_buffer_m,
            dwell_s: zone.dwell_s,
            max_accuracy_m: zone.max_accuracy_m,
            active: zone.active,
            tags: zone.tags.clone(),
            metadata_json: serde_json::Value::Object(zone.metadata.clone()).to_string(),
            version: zone.version,
            created_at_ms: zone.created_at.0,
            updated_at_ms: zone.updated_at.0,
            deleted: zone.deleted,
            removed_version: zone.removal.map(|removal| removal.version),
            removed_at_ms: zone.removal.map(|removal| removal.at.0).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Zone> for Zone {
    type Error = WireError;

    fn try_from(zone: v1::Zone) -> Result<Self, WireError> {
        let shape = serde_json::from_str(&zone.shape_json).map_err(|_| WireError::Member("shape_json"))?;
        Ok(Self {
            tenant: TenantId(wire::uuid(&zone.tenant, "tenant")?),
            id: ZoneId(wire::uuid(&zone.id, "id")?),
            external_id: zone.external_id,
            location_id: zone.location_id,
            name: zone.name,
            shape: Shape::from_json(&shape).map_err(|_| WireError::Member("shape_json"))?,
            exit_buffer_m: zone.exit_buffer_m,
            dwell_s: zone.dwell_s,
            max_accuracy_m: zone.max_accuracy_m,
            active: zone.active,
            tags: zone.tags,
            metadata: serde_json::from_str(&zone.metadata_json)
                .map_err(|_| WireError::Member("metadata_json"))?,
            version: zone.version,
            created_at: UnixMillis(zone.created_at_ms),
            updated_at: UnixMillis(zone.updated_at_ms),
            deleted: zone.deleted,
            removal: zone
                .removed_version
                .map(|version| Removal { version, at: UnixMillis(zone.removed_at_ms) }),
        })
    }
}
