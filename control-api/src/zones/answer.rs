//! A zone as merchants see it.

use geopush_model::Zone;
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::ZoneRow;
use geopush_store::{StoreError, Table as _};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::default_exit_buffer_m;

/// A zone. What is read only may be sent back in a request and is ignored there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Zone, example = example)]
pub(crate) struct ZoneAnswer {
    /// Derived from the external id, if there is one.
    #[schema(read_only)]
    pub id: Uuid,
    /// The merchant's own name for it, unique and for ever.
    #[schema(min_length = 1, max_length = 256, required = false)]
    pub external_id: Option<String>,
    /// The merchant's place that it belongs to.
    #[schema(min_length = 1, max_length = 256, required = false)]
    pub location_id: Option<String>,
    /// For people.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    #[schema(schema_with = shape_schema)]
    pub shape: Value,
    /// How far outside a device must be to have left, in metres: 0 to 1000. Left out: 20, or a tenth of a circle's
    /// radius if that is more.
    #[schema(minimum = 0, required = false)]
    pub exit_buffer_m: f64,
    /// The stay that makes a dwell, in seconds; none: no dwells.
    #[schema(minimum = 1, maximum = 2_592_000, required = false)]
    pub dwell_s: Option<i64>,
    /// Fixes less accurate than this, in metres, change nothing here; left out: 200.
    #[schema(minimum = 0, maximum = 100_000, required = false)]
    pub max_accuracy_m: f64,
    /// Whether it gives transitions; left out: it does.
    #[schema(required = false)]
    pub active: bool,
    /// What campaigns may choose it by.
    #[schema(max_items = 50, required = false)]
    pub tags: Vec<String>,
    /// The merchant's own JSON object.
    #[schema(required = false)]
    pub metadata: Map<String, Value>,
    /// Counts its changes; its ETag.
    #[schema(read_only)]
    pub version: i64,
    /// When it was made (RFC 3339).
    #[schema(read_only, format = DateTime)]
    pub created_at: String,
    /// When it was changed last (RFC 3339).
    #[schema(read_only, format = DateTime)]
    pub updated_at: String,
}

impl ZoneAnswer {
    /// The zone of a row.
    pub fn of_row(row: ZoneRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: ZoneRow::SCHEMA.name, column };
        let shape: Value = serde_json::from_str(&row.shape).map_err(|_| corrupt("shape"))?;
        let radius_m = shape.get("radius_m").and_then(Value::as_f64);
        Ok(Self {
            id: row.zone,
            external_id: row.external_id,
            location_id: row.location_id,
            name: row.name,
            exit_buffer_m: row.exit_buffer_m.unwrap_or_else(|| default_exit_buffer_m(radius_m)),
            dwell_s: row.dwell_s,
            max_accuracy_m: row.max_accuracy_m.unwrap_or(Zone::DEFAULT_MAX_ACCURACY_M),
            active: row.active,
            tags: serde_json::from_str(&row.tags).map_err(|_| corrupt("tags"))?,
            metadata: serde_json::from_str(&row.metadata).map_err(|_| corrupt("metadata"))?,
            version: row.version,
            created_at: format_rfc3339_ms(row.created_at.0),
            updated_at: format_rfc3339_ms(row.updated_at.0),
            shape,
        })
    }
}

fn shape_schema() -> utoipa::openapi::schema::Schema {
    let number = json!({"type": "number"});
    let position = json!({"type": "array", "items": number, "minItems": 2});
    let ring = json!({"type": "array", "items": position, "minItems": 4});
    let polygon = json!({"type": "array", "items": ring, "minItems": 1});
    let schema = json!({
        "description": "A circle, or a GeoJSON (RFC 7946) Polygon or MultiPolygon of 4 to 10,000 positions.",
        "oneOf": [
            {
                "type": "object",
                "required": ["type", "center", "radius_m"],
                "properties": {
                    "type": {"type": "string", "enum": ["circle"]},
                    "center": position,
                    "radius_m": {"type": "number", "minimum": 10, "maximum": 100_000}
                }
            },
            {
                "type": "object",
                "required": ["type", "coordinates"],
                "properties": {"type": {"type": "string", "enum": ["Polygon"]}, "coordinates": polygon}
            },
            {
                "type": "object",
                "required": ["type", "coordinates"],
                "properties": {
                    "type": {"type": "string", "enum": ["MultiPolygon"]},
                    "coordinates": {"type": "array", "items": polygon, "minItems": 1}
                }
            }
        ]
    });
    serde_json::from_value(schema).expect("this is a schema")
}

fn example() -> Value {
    json!({
        "external_id": "shop-1",
        "name": "Shop in Carrer de Balmes",
        "shape": {"type": "circle", "center": [2.1586, 41.3897], "radius_m": 80},
        "dwell_s": 300,
        "tags": ["shops"]
    })
}

#[cfg(test)]
mod tests {
    use geopush_geometry::Shape;
    use geopush_model::{TenantId, UnixMillis};
    use geopush_registry::zone_row;

    use super::super::input::ZoneInput;
    use super::*;

    #[test]
    fn the_values_shown_are_those_that_the_zone_is_judged_by() {
        let square = json!([[[0, 0], [1, 0], [1, 1], [0, 0]]]);
        for shape in [
            json!({"type": "circle", "center": [2.1, 41.3], "radius_m": 50}),
            json!({"type": "circle", "center": [2.1, 41.3], "radius_m": 5_000}),
            json!({"type": "Polygon", "coordinates": square}),
        ] {
            assert!(Shape::from_json(&shape).is_ok());
            for said in [json!({}), json!({"exit_buffer_m": 0, "max_accuracy_m": 7})] {
                let mut body = json!({"name": "n", "shape": shape});
                body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
                let input = ZoneInput::read(body).unwrap();
                let zone =
                    input.into_zone(TenantId(Uuid::nil()), geopush_model::ZoneId(Uuid::nil()), UnixMillis(0));
                let answer = ZoneAnswer::of_row(zone_row(&zone)).unwrap();
                assert_eq!(answer.exit_buffer_m, zone.effective_exit_buffer_m());
                assert_eq!(answer.max_accuracy_m, zone.effective_max_accuracy_m());
            }
        }
    }
}
