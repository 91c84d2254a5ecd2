//! A zone as a merchant writes it.

use geopush_geometry::Shape;
use geopush_model::{TenantId, UnixMillis, Zone, ZoneId};
use geopush_registry::zone_row;
use geopush_service::http::Invalid;
use geopush_store::tables::ZoneRow;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::json::{Members, fits};

/// What a merchant may say of a zone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ZoneInput {
    pub name: String,
    pub shape: Shape,
    pub options: ZoneOptions,
}

/// What need not be said; the same in a zone's body and in a feature's properties.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ZoneOptions {
    pub external_id: Option<String>,
    pub location_id: Option<String>,
    pub exit_buffer_m: Option<f64>,
    pub dwell_s: Option<i64>,
    pub max_accuracy_m: Option<f64>,
    pub active: bool,
    pub tags: Vec<String>,
    pub metadata: Map<String, Value>,
}

/// Members of an answer that a request may send back.
const READ_ONLY: [&str; 4] = ["id", "version", "created_at", "updated_at"];
/// The longest stay that can make a dwell: 30 days.
const MOST_DWELL_S: i64 = 30 * 24 * 3_600;
/// The longest name or id, in bytes.
pub(crate) const MOST_NAME: usize = 256;

impl ZoneInput {
    /// Reads a zone.
    pub fn read(body: Value) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(body, "")?;
        let name = members.require("name", |m, name| m.text(name, MOST_NAME));
        let shape = members.require("shape", |m, name| {
            let shape = m.take(name)?;
            let at = m.pointer(name);
            read_shape(&shape, &at).map_err(|errors| m.fail_all(errors)).ok()
        });
        // Answers tell the values that hold; a default that is sent back goes on to follow the shape.
        if let Some(shape) = &shape {
            members.forget("exit_buffer_m", default_exit_buffer_m(radius_of(shape)));
            members.forget("max_accuracy_m", Zone::DEFAULT_MAX_ACCURACY_M);
        }
        let options = ZoneOptions::read(&mut members);
        members.finish(&READ_ONLY)?;
        match (name, shape) {
            (Some(name), Some(shape)) => Ok(Self { name, shape, options }),
            _ => unreachable!("a member that is required and missing was noted, and finish refuses then"),
        }
    }

    /// The first version of a zone that says this.
    pub fn into_zone(self, tenant: TenantId, id: ZoneId, now: UnixMillis) -> Zone {
        let Self { name, shape, options } = self;
        Zone {
            tenant,
            id,
            external_id: options.external_id,
            location_id: options.location_id,
            name,
            shape,
            exit_buffer_m: options.exit_buffer_m,
            dwell_s: options.dwell_s,
            max_accuracy_m: options.max_accuracy_m,
            active: options.active,
            tags: options.tags,
            metadata: options.metadata,
            version: 1,
            created_at: now,
            updated_at: now,
            deleted: false,
            removal: None,
        }
    }

    /// Whether the row says this already.
    pub fn is_said_by(&self, current: &ZoneRow) -> bool {
        let (tenant, id) = (TenantId(current.tenant), ZoneId(current.zone));
        let same = zone_row(&self.clone().into_zone(tenant, id, UnixMillis(current.created_at.0)));
        !current.deleted
            && ZoneRow {
                external_id: current.external_id.clone(),
                version: current.version,
                updated_at: current.updated_at,
                removed_version: current.removed_version,
                removed_at: current.removed_at,
                ..same
            } == *current
    }
}

impl ZoneOptions {
    /// Reads them from an object's members.
    pub fn read(members: &mut Members) -> Self {
        Self {
            external_id: members.text("external_id", MOST_NAME),
            location_id: members.text("location_id", MOST_NAME),
            exit_buffer_m: members.number("exit_buffer_m", 0.0..=1_000.0),
            dwell_s: members.whole("dwell_s", 1..=MOST_DWELL_S),
            max_accuracy_m: members.number("max_accuracy_m", 0.0..=100_000.0),
            active: members.flag("active").unwrap_or(true),
            tags: members.texts("tags", 50, 64).unwrap_or_default(),
            metadata: members.object("metadata", 16 * 1024).unwrap_or_default(),
        }
    }
}

/// As [`Zone::effective_exit_buffer_m`] has it. A shape that is only shown is not judged again, which for a page of
/// large polygons is most of the work.
pub(super) fn default_exit_buffer_m(radius_m: Option<f64>) -> f64 {
    radius_m.map_or(0.0, |radius_m| radius_m / 10.0).max(Zone::DEFAULT_EXIT_BUFFER_M)
}

fn radius_of(shape: &Shape) -> Option<f64> {
    match shape {
        Shape::Circle { radius_m, .. } => Some(*radius_m),
        Shape::Polygon(_) | Shape::MultiPolygon(_) => None,
    }
}

/// Reads a shape that stands at the JSON pointer `at`.
pub(crate) fn read_shape(shape: &Value, at: &str) -> Result<Shape, Vec<Invalid>> {
    Shape::from_json(shape).map_err(|errors| {
        let invalid = |e: geopush_geometry::ShapeError| Invalid {
            pointer: format!("{at}{}", e.pointer),
            code: e.code.as_str(),
            detail: e.detail,
        };
        errors.into_iter().map(invalid).collect()
    })
}

/// Checks an external id that a path names.
pub(super) fn check_external_id(external_id: &str) -> Result<(), ApiError> {
    if fits(external_id, MOST_NAME) {
        return Ok(());
    }
    Err(ApiError::path("external_id", format!("give 1 to {MOST_NAME} bytes without control characters")))
}
