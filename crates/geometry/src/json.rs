//! Shapes from and to JSON.

use serde_json::{Value, json};

use crate::error::{ShapeError, ShapeErrorCode as Code};
use crate::position::Position;
use crate::shape::Shape;
use crate::validity::{Faults, MaybeRing, Nesting, check_count, check_polygons};

impl Shape {
    /// Reads `{"type":"circle","center":[lon,lat],"radius_m":…}` or a GeoJSON (RFC 7946) `Polygon` or `MultiPolygon`
    /// geometry. Members that it does not know are ignored, and so is what follows longitude and latitude in a position.
    ///
    /// # Errors
    /// Every fault found, the first 20 of them.
    pub fn from_json(value: &Value) -> Result<Self, Vec<ShapeError>> {
        let Some(members) = value.as_object() else {
            return Err(vec![invalid_type("", "a JSON object", value)]);
        };
        let kind = match members.get("type") {
            None => return Err(vec![missing("type", "\"circle\", \"Polygon\" or \"MultiPolygon\"")]),
            Some(Value::String(kind)) => kind.as_str(),
            Some(other) => return Err(vec![invalid_type("/type", "a string", other)]),
        };
        match kind {
            "circle" => circle(members.get("center"), members.get("radius_m")),
            "Polygon" => {
                polygons(members.get("coordinates"), Nesting::Polygon).map(Self::from_checked_polygon)
            }
            "MultiPolygon" => {
                polygons(members.get("coordinates"), Nesting::MultiPolygon).map(Self::from_checked_polygons)
            }
            _ => Err(vec![ShapeError::new(
                "/type",
                Code::UnknownShapeType,
                "give \"circle\", \"Polygon\" or \"MultiPolygon\"; of a GeoJSON Feature give its geometry alone",
            )]),
        }
    }

    /// The shape as [`Shape::from_json`] reads it, every number as it was given.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rings_json = |rings: &[Vec<Position>]| -> Value {
            rings.iter().map(|ring| ring.iter().map(|p| json!([p.lon, p.lat])).collect::<Value>()).collect()
        };
        match self {
            Self::Circle { center, radius_m } => {
                json!({"type": "circle", "center": [center.lon, center.lat], "radius_m": radius_m})
            }
            Self::Polygon(rings) => json!({"type": "Polygon", "coordinates": rings_json(rings)}),
            Self::MultiPolygon(polygons) => {
                let coordinates: Value = polygons.iter().map(|rings| rings_json(rings)).collect();
                json!({"type": "MultiPolygon", "coordinates": coordinates})
            }
        }
    }
}

fn circle(center: Option<&Value>, radius_m: Option<&Value>) -> Result<Shape, Vec<ShapeError>> {
    let mut faults = Faults::default();
    let center = match center {
        Some(center) => position(center, "/center", &mut faults),
        None => faults.none(missing("center", "[longitude, latitude]")),
    };
    let radius_m = match radius_m {
        Some(Value::Number(radius)) => radius.as_f64(),
        Some(other) => faults.none(not_a_number("/radius_m", other)),
        None => faults.none(missing("radius_m", "the radius in metres")),
    };
    // A radius is judged even where the centre is not to be had, so that both faults are said at once.
    let anywhere = Position { lon: 0.0, lat: 0.0 };
    let circle = radius_m.and_then(|radius_m| {
        Shape::circle(center.unwrap_or(anywhere), radius_m).map_or_else(|fault| faults.none(fault), Some)
    });
    faults.into_result()?;
    Ok(circle.expect("without a fault there is a circle"))
}

/// Reads and checks all polygons.
fn polygons(
    coordinates: Option<&Value>,
    nesting: Nesting,
) -> Result<Vec<Vec<Vec<Position>>>, Vec<ShapeError>> {
    let Some(coordinates) = coordinates else {
        return Err(vec![missing("coordinates", "the coordinates of a GeoJSON geometry")]);
    };
    let listed = match (nesting, coordinates) {
        (Nesting::Polygon, _) => std::slice::from_ref(coordinates),
        (Nesting::MultiPolygon, Value::Array(listed)) => listed,
        (Nesting::MultiPolygon, other) => {
            return Err(vec![invalid_type("/coordinates", "an array of polygons", other)]);
        }
    };
    // Counted before anything is read: an oversized shape costs no more than a look.
    let rings = listed.iter().filter_map(Value::as_array).flatten();
    check_count(rings.map(|ring| ring.as_array().map_or(0, Vec::len)).sum())?;

    let mut faults = Faults::default();
    let mut polygons = Vec::with_capacity(listed.len());
    for (index, polygon) in listed.iter().enumerate() {
        let at = nesting.polygon_pointer(index);
        polygons.push(match array(polygon, &at, "an array of rings", &mut faults) {
            Some(rings) => {
                let read = |(index, value)| ring(value, &format!("{at}/{index}"), &mut faults);
                rings.iter().enumerate().map(read).collect()
            }
            None => vec![None],
        });
    }
    check_polygons(polygons, nesting, faults)
}

fn ring(value: &Value, at: &str, faults: &mut Faults) -> MaybeRing {
    let values = array(value, at, "an array of positions", faults)?;
    let mut ring = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        if faults.is_full() {
            return None;
        }
        ring.extend(position(value, &format!("{at}/{index}"), faults));
    }
    (ring.len() == values.len()).then_some(ring)
}

fn position(value: &Value, at: &str, faults: &mut Faults) -> Option<Position> {
    let coordinates = array(value, at, "an array [longitude, latitude]", faults)?;
    let [lon, lat, beyond @ ..] = coordinates.as_slice() else {
        return faults.none(ShapeError::new(
            at,
            Code::PositionTooShort,
            "give [longitude, latitude], both in degrees",
        ));
    };
    let mut numbers = [0.0; 2];
    let mut readable = true;
    for (index, coordinate) in [lon, lat].into_iter().chain(beyond).enumerate() {
        match coordinate.as_f64() {
            Some(number) => {
                if let Some(kept) = numbers.get_mut(index) {
                    *kept = number;
                }
            }
            None => {
                faults.push(not_a_number(&format!("{at}/{index}"), coordinate));
                readable = false;
            }
        }
    }
    if !readable {
        return None;
    }
    Position::new(numbers[0], numbers[1]).or_else(|| {
        faults.none(ShapeError::new(
            at,
            Code::PositionOutOfRange,
            "give [longitude, latitude] in this order, longitude within ±180 and latitude within ±90 degrees",
        ))
    })
}

fn array<'v>(value: &'v Value, at: &str, expected: &str, faults: &mut Faults) -> Option<&'v Vec<Value>> {
    value.as_array().or_else(|| faults.none(invalid_type(at, expected, value)))
}

fn invalid_type(at: &str, expected: &str, found: &Value) -> ShapeError {
    ShapeError::new(at, Code::InvalidType, format!("give {expected}, not {}", type_name(found)))
}

fn not_a_number(at: &str, found: &Value) -> ShapeError {
    ShapeError::new(at, Code::NotANumber, format!("give a number, not {}", type_name(found)))
}

fn missing(member: &str, expected: &str) -> ShapeError {
    ShapeError::new(format!("/{member}"), Code::MissingMember, format!("add \"{member}\": {expected}"))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
