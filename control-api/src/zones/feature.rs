//! Zones as features of a GeoJSON (RFC 7946) FeatureCollection.

use std::fmt;

use geopush_service::http::Invalid;
use geopush_store::tables::ZoneRow;
use geopush_store::{StoreError, Table as _};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeserializeDerived, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{MOST_NAME, ZoneInput, ZoneOptions, read_shape};
use crate::json::{Members, fits, invalid};

/// A feature that can be a zone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Feature {
    /// Its place in the file, from 0 on.
    pub index: usize,
    /// The zone without external id that it was exported from.
    pub zone: Option<Uuid>,
    /// What it says.
    pub input: ZoneInput,
}

/// A feature that was not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeserializeDerived, ToSchema)]
#[schema(as = FailedFeature)]
pub(crate) struct Failed {
    /// Its place in the file, from 0 on.
    pub index: usize,
    /// Its external id, if it has one.
    #[schema(required)]
    pub external_id: Option<String>,
    /// What is wrong, as a word.
    pub code: String,
    /// What is wrong and what to do.
    pub detail: String,
    /// JSON pointer of what is wrong in the file.
    pub pointer: String,
}

/// The features of a file.
#[derive(Debug, Default)]
pub(super) struct Collection {
    /// What the file calls itself.
    pub kind: Value,
    pub features: Vec<Feature>,
    pub failed: Vec<Failed>,
}

impl Collection {
    /// How many features the file has.
    pub fn len(&self) -> usize {
        self.features.len() + self.failed.len()
    }
}

/// Each feature is read as it comes, so that the file is never in memory as JSON values.
impl<'de> Deserialize<'de> for Collection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CollectionVisitor)
    }
}

struct CollectionVisitor;

impl<'de> Visitor<'de> for CollectionVisitor {
    type Value = Collection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a GeoJSON FeatureCollection")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Collection, A::Error> {
        let (mut kind, mut features) = (Value::Null, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "type" => kind = map.next_value()?,
                "features" => features = Some(map.next_value::<Features>()?.0),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let collection = features.ok_or_else(|| A::Error::missing_field("features"))?;
        Ok(Collection { kind, ..collection })
    }
}

struct Features(Collection);

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FeaturesVisitor).map(Self)
    }
}

struct FeaturesVisitor;

impl<'de> Visitor<'de> for FeaturesVisitor {
    type Value = Collection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Collection, A::Error> {
        let mut read = Collection::default();
        while let Some(feature) = seq.next_element::<Value>()? {
            match feature_of(read.len(), feature) {
                Ok(feature) => read.features.push(feature),
                Err(failed) => read.failed.push(failed),
            }
        }
        Ok(read)
    }
}

/// Reads a feature; of several things that are wrong the first is told.
pub(super) fn feature_of(index: usize, feature: Value) -> Result<Feature, Failed> {
    let at = format!("/features/{index}");
    let mut external_id = None;
    read_feature(index, &at, feature, &mut external_id).map_err(|errors| {
        let first = errors.into_iter().next();
        let Invalid { pointer, code, detail } =
            first.unwrap_or_else(|| invalid(&at, "invalid_value", "give a valid feature"));
        Failed { index, external_id, code: code.to_owned(), detail, pointer }
    })
}

fn read_feature(
    index: usize,
    at: &str,
    feature: Value,
    external_id: &mut Option<String>,
) -> Result<Feature, Vec<Invalid>> {
    let Value::Object(mut feature) = feature else {
        return Err(vec![invalid(at, "wrong_type", "give a GeoJSON Feature")]);
    };
    if feature.get("type").and_then(Value::as_str) != Some("Feature") {
        return Err(vec![invalid(&format!("{at}/type"), "invalid_value", "give \"Feature\"")]);
    }
    let within = format!("{at}/properties");
    let mut properties = match feature.remove("properties") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(properties)) => properties,
        Some(_) => return Err(vec![invalid(&within, "wrong_type", "give an object, or null")]),
    };
    let named = properties.remove("external_id").filter(|id| !id.is_null());
    let named = match feature.remove("id").filter(|id| !id.is_null()) {
        Some(id) => Some((id, format!("{at}/id"))),
        None => named.map(|id| (id, format!("{within}/external_id"))),
    };
    *external_id = named.map(|(id, at)| text_of(id, &at)).transpose()?;
    let zone = properties.get("zone_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    let radius_m = properties.remove("radius_m");

    let mut members = Members::of(Value::Object(properties), &within)?;
    let name = members.text("name", MOST_NAME);
    let options = ZoneOptions::read(&mut members);
    let shape = shape_of(feature.get("geometry").unwrap_or(&Value::Null), radius_m, at);
    let shape = shape.map_err(|errors| members.fail_all(errors)).ok();
    members.finish_open()?;
    let Some(shape) = shape else { return Err(Vec::new()) };
    let name = name.or_else(|| external_id.clone()).unwrap_or_else(|| "Zone".to_owned());
    let options = ZoneOptions { external_id: external_id.clone(), ..options };
    Ok(Feature { index, zone, input: ZoneInput { name, shape, options } })
}

/// A feature's id: RFC 7946 has strings and numbers.
fn text_of(id: Value, at: &str) -> Result<String, Vec<Invalid>> {
    let text = match id {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return Err(vec![invalid(at, "wrong_type", "give a string or a number")]),
    };
    if fits(&text, MOST_NAME) {
        return Ok(text);
    }
    let detail = format!("give 1 to {MOST_NAME} bytes without control characters");
    Err(vec![invalid(at, "invalid_value", &detail)])
}

fn shape_of(
    geometry: &Value,
    radius_m: Option<Value>,
    at: &str,
) -> Result<geopush_geometry::Shape, Vec<Invalid>> {
    let within = format!("{at}/geometry");
    match geometry.get("type").and_then(Value::as_str) {
        Some("Polygon" | "MultiPolygon") => read_shape(geometry, &within),
        Some("Point") => {
            let Some(radius_m) = radius_m.filter(|radius_m| !radius_m.is_null()) else {
                let pointer = format!("{at}/properties/radius_m");
                return Err(vec![invalid(
                    &pointer,
                    "required",
                    "a Point is a circle: give its radius in metres",
                )]);
            };
            let mut circle =
                Map::from_iter([("type".to_owned(), "circle".into()), ("radius_m".to_owned(), radius_m)]);
            if let Some(center) = geometry.get("coordinates") {
                circle.insert("center".to_owned(), center.clone());
            }
            read_shape(&Value::Object(circle), "").map_err(|errors| {
                let in_file = |pointer: &str| match pointer.strip_prefix("/center") {
                    Some(rest) => format!("{within}/coordinates{rest}"),
                    None => format!("{at}/properties{pointer}"),
                };
                errors.into_iter().map(|e| Invalid { pointer: in_file(&e.pointer), ..e }).collect()
            })
        }
        Some(_) => {
            let detail = "give a Polygon, a MultiPolygon, or a Point with properties.radius_m";
            Err(vec![invalid(&format!("{within}/type"), "unknown_shape_type", detail)])
        }
        None => Err(vec![invalid(&within, "wrong_type", "give a GeoJSON geometry")]),
    }
}

/// A zone as a feature that imports as the same zone: it says what the merchant said, no more.
pub(super) fn feature_json(row: &ZoneRow) -> Result<Value, StoreError> {
    let corrupt = |column| StoreError::Corrupt { table: ZoneRow::SCHEMA.name, column };
    let read = |text: &str, column| serde_json::from_str::<Value>(text).map_err(|_| corrupt(column));
    let mut shape = read(&row.shape, "shape")?;
    let mut properties = json!({
        "name": row.name,
        "location_id": row.location_id,
        "exit_buffer_m": row.exit_buffer_m,
        "dwell_s": row.dwell_s,
        "max_accuracy_m": row.max_accuracy_m,
        "active": row.active,
        "tags": read(&row.tags, "tags")?,
        "metadata": read(&row.metadata, "metadata")?,
    });
    if shape["type"] == "circle" {
        properties["radius_m"] = shape["radius_m"].take();
        shape = json!({"type": "Point", "coordinates": shape["center"].take()});
    }
    if row.external_id.is_none() {
        properties["zone_id"] = row.zone.to_string().into();
    }
    let mut feature = json!({"type": "Feature", "properties": properties, "geometry": shape});
    if let Some(external_id) = &row.external_id {
        feature["id"] = external_id.as_str().into();
    }
    if let Some(properties) = feature["properties"].as_object_mut() {
        properties.retain(|_, value| !value.is_null());
    }
    Ok(feature)
}
