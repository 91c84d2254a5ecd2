//! The body of `POST /v1/pings`: what of it is accepted, and why the rest is not.
//!
//! A body of the wrong shape is refused whole. A fix that can't be used is rejected by itself, so that one bad fix in
//! a phone's queue does not hold up the others for ever.

use std::collections::BTreeMap;

use geopush_geometry::Position;
use geopush_model::{DeviceId, Fix, UnixMillis};
use geopush_service::time::parse_rfc3339_ms;
use serde_json::{Map, Value};

/// A fix may be this much ahead of the server's clock.
const MOST_AHEAD_MS: i64 = 5 * 60 * 1_000;
/// The years that RFC 3339 can write.
const WRITABLE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
/// The longest `id` of a fix, in bytes.
const MOST_ID_BYTES: usize = 128;

/// Why a fix was rejected: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionCode {
    /// It is no JSON object.
    InvalidPing,
    /// `lat` or `lon` is missing, no number, or out of range.
    InvalidCoordinate,
    /// `time` is missing.
    MissingTime,
    /// `time` is neither RFC 3339 nor ms since the epoch, or beyond the years 1 to 9999.
    InvalidTime,
    /// `time` is more than five minutes ahead of the server's clock.
    TimeInFuture,
    /// `accuracy_m` is no number, or negative: the phone says that its position is invalid.
    InvalidAccuracy,
    /// `speed_mps` is no number.
    InvalidSpeed,
    /// `heading_deg` is no number, or beyond 360.
    InvalidHeading,
    /// `id` is no string of at most 128 bytes.
    InvalidId,
}

impl RejectionCode {
    /// Each with its text and what to do about it.
    const TABLE: [(Self, &'static str, &'static str); 9] = [
        (Self::InvalidPing, "invalid_ping", "give an object with lat, lon and time"),
        (
            Self::InvalidCoordinate,
            "invalid_coordinate",
            "give lat from -90 to 90 and lon from -180 to 180, in degrees",
        ),
        (Self::MissingTime, "missing_time", "give the time of the fix: RFC 3339, or ms since the Unix epoch"),
        (
            Self::InvalidTime,
            "invalid_time",
            "give RFC 3339 with an offset, or ms since the Unix epoch, in the years 1 to 9999",
        ),
        (
            Self::TimeInFuture,
            "time_in_future",
            "the time is more than 5 minutes ahead of the server's; set the phone's clock",
        ),
        (
            Self::InvalidAccuracy,
            "invalid_accuracy",
            "give accuracy_m in metres, 0 or more, or leave it out; phones say negative for an invalid position",
        ),
        (Self::InvalidSpeed, "invalid_speed", "give speed_mps in metres a second, or leave it out"),
        (Self::InvalidHeading, "invalid_heading", "give heading_deg from 0 to 360, or leave it out"),
        (Self::InvalidId, "invalid_id", "give id as a string of at most 128 bytes, or leave it out"),
    ];

    /// As the answer says it.
    pub fn as_str(self) -> &'static str {
        Self::TABLE[self as usize].1
    }

    /// What to do about it.
    pub fn detail(self) -> &'static str {
        Self::TABLE[self as usize].2
    }
}

/// A fix that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Counts fixes across the whole body.
    pub index: usize,
    /// Why.
    pub code: RejectionCode,
    /// The fix's own name, if it has a good one.
    pub id: Option<String>,
}

/// What a body says.
#[derive(Debug, Default, PartialEq)]
pub struct Accepted {
    /// Each device's fixes, sorted by time; of equal times in the body's order.
    pub devices: BTreeMap<DeviceId, Vec<Fix>>,
    /// How many fixes that is.
    pub count: usize,
    /// The others.
    pub rejected: Vec<Rejection>,
}

/// Why a body is refused whole.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It has the wrong shape.
    Shape {
        /// JSON pointer of the member.
        pointer: String,
        /// What to do.
        detail: &'static str,
    },
    /// It has more fixes than a request may have.
    TooMany,
}

/// Reads a body with at most `most` fixes at the time `now`.
///
/// # Errors
/// [`BodyError`]; then nothing of it is accepted.
pub fn read(body: Value, most: usize, now: UnixMillis) -> Result<Accepted, BodyError> {
    let mut accepted = Accepted::default();
    let mut index = 0;
    let (entries, is_array) = match body {
        Value::Array(entries) => (entries, true),
        entry => (vec![entry], false),
    };
    for (i, entry) in entries.into_iter().enumerate() {
        let at = if is_array { format!("/{i}") } else { String::new() };
        let (device, pings) = entry_of(entry, &at)?;
        if index + pings.len() > most {
            return Err(BodyError::TooMany);
        }
        for ping in pings {
            match fix_of(ping, now) {
                Ok(fix) => {
                    accepted.count += 1;
                    accepted.devices.entry(device.clone()).or_default().push(fix);
                }
                Err((code, id)) => accepted.rejected.push(Rejection { index, code, id }),
            }
            index += 1;
        }
    }
    for fixes in accepted.devices.values_mut() {
        fixes.sort_by_key(|fix| fix.time);
    }
    Ok(accepted)
}

fn entry_of(entry: Value, at: &str) -> Result<(DeviceId, Vec<Value>), BodyError> {
    let wrong = |member: &str, detail| BodyError::Shape { pointer: format!("{at}{member}"), detail };
    let Value::Object(mut members) = entry else {
        return Err(wrong("", "give an object with device_id and pings, or an array of such objects"));
    };
    let device = members.get("device_id").and_then(Value::as_str).and_then(|id| DeviceId::new(id).ok());
    let device = device
        .ok_or_else(|| wrong("/device_id", "give a string of 1 to 128 bytes without control characters"))?;
    match members.remove("pings") {
        Some(Value::Array(pings)) => Ok((device, pings)),
        _ => Err(wrong("/pings", "give an array of fixes")),
    }
}

/// A fix, or why it is none, with its own name.
fn fix_of(ping: Value, now: UnixMillis) -> Result<Fix, (RejectionCode, Option<String>)> {
    let Value::Object(members) = ping else { return Err((RejectionCode::InvalidPing, None)) };
    let id = match members.get("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if id.len() <= MOST_ID_BYTES => Some(id.clone()),
        Some(_) => return Err((RejectionCode::InvalidId, None)),
    };
    match read_fix(&members, now) {
        Ok(fix) => Ok(Fix { id, ..fix }),
        Err(code) => Err((code, id)),
    }
}

fn read_fix(members: &Map<String, Value>, now: UnixMillis) -> Result<Fix, RejectionCode> {
    let coordinate = |name| members.get(name).and_then(Value::as_f64);
    let position = coordinate("lon").zip(coordinate("lat")).and_then(|(lon, lat)| Position::new(lon, lat));
    let position = position.ok_or(RejectionCode::InvalidCoordinate)?;
    let time = match members.get("time") {
        None | Some(Value::Null) => return Err(RejectionCode::MissingTime),
        Some(time) => time_of(time).ok_or(RejectionCode::InvalidTime)?,
    };
    if time.since_ms(now) > MOST_AHEAD_MS {
        return Err(RejectionCode::TimeInFuture);
    }
    let accuracy_m = number(members, "accuracy_m").map_err(|()| RejectionCode::InvalidAccuracy)?;
    if accuracy_m.is_some_and(|metres| metres < 0.0) {
        return Err(RejectionCode::InvalidAccuracy);
    }
    // Phones say negative for a speed or heading that they do not know.
    let known = |value: Option<f64>| value.filter(|value| *value >= 0.0);
    let speed_mps = known(number(members, "speed_mps").map_err(|()| RejectionCode::InvalidSpeed)?);
    let heading_deg = known(number(members, "heading_deg").map_err(|()| RejectionCode::InvalidHeading)?);
    if heading_deg.is_some_and(|degrees| degrees > 360.0) {
        return Err(RejectionCode::InvalidHeading);
    }
    Ok(Fix { position, time, accuracy_m, speed_mps, heading_deg, id: None })
}

fn time_of(time: &Value) -> Option<UnixMillis> {
    let ms = match time {
        Value::String(text) => parse_rfc3339_ms(text)?,
        // A float is truncated like any finer time; the cast saturates, and the range below refuses its ends.
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|ms| ms.floor() as i64))?,
        _ => return None,
    };
    WRITABLE_MS.contains(&ms).then_some(UnixMillis(ms))
}

fn number(members: &Map<String, Value>, name: &str) -> Result<Option<f64>, ()> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_767_225_600_000); // 2026-01-01T00:00:00Z

    fn read_all(body: Value) -> Result<Accepted, BodyError> {
        read(body, 100, NOW)
    }

    #[test]
    fn the_codes_table_is_in_the_enums_order() {
        for (i, row) in RejectionCode::TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, i);
        }
    }

    #[test]
    fn one_devices_fixes_are_merged_and_sorted_and_equals_keep_their_order() {
        let body = json!([
            {"device_id": "b", "pings": [{"lat": 1, "lon": 2, "time": 30, "id": "late"}]},
            {"device_id": "a", "pings": [{"lat": 0, "lon": 0, "time": 5}]},
            {"device_id": "b", "pings": [
                {"lat": 3, "lon": 4, "time": "1970-01-01T00:00:00.010Z", "id": "first"},
                {"lat": 5, "lon": 6, "time": 10.9, "id": "second"},
            ]},
        ]);
        let accepted = read_all(body).unwrap();
        assert_eq!((accepted.count, accepted.rejected.len()), (4, 0));
        let b: Vec<_> =
            accepted.devices[&DeviceId::new("b").unwrap()].iter().map(|f| f.id.clone().unwrap()).collect();
        assert_eq!(b, ["first", "second", "late"]);
    }

    #[test]
    fn each_bad_fix_is_rejected_by_itself() {
        let good = json!({"lat": 41.3, "lon": 2.1, "time": "2026-01-01T00:05:00Z", "accuracy_m": 0, "heading_deg": 360,
            "speed_mps": -1, "unknown": true});
        let with = |name: &str, value: Value| {
            let mut ping = good.clone();
            ping[name] = value;
            ping
        };
        let without = |name: &str| {
            let mut ping = good.clone();
            ping.as_object_mut().unwrap().remove(name);
            ping
        };
        let cases = [
            (json!(1), "invalid_ping"),
            (json!(null), "invalid_ping"),
            (without("lat"), "invalid_coordinate"),
            (with("lat", json!(90.000_001)), "invalid_coordinate"),
            (with("lon", json!(-180.1)), "invalid_coordinate"),
            (with("lon", json!("2.1")), "invalid_coordinate"),
            (with("lon", Value::Null), "invalid_coordinate"),
            (without("time"), "missing_time"),
            (with("time", Value::Null), "missing_time"),
            (with("time", json!("yesterday")), "invalid_time"),
            (with("time", json!("2026-01-01T00:00:00")), "invalid_time"),
            (with("time", json!(true)), "invalid_time"),
            (with("time", json!(1e300)), "invalid_time"),
            (with("time", json!(-1e300)), "invalid_time"),
            (with("time", json!("2026-01-01T00:05:00.001Z")), "time_in_future"),
            (with("time", json!(NOW.0 + 300_001)), "time_in_future"),
            (with("accuracy_m", json!(-1)), "invalid_accuracy"),
            (with("accuracy_m", json!("12")), "invalid_accuracy"),
            (with("speed_mps", json!("fast")), "invalid_speed"),
            (with("heading_deg", json!(360.1)), "invalid_heading"),
            (with("heading_deg", json!([])), "invalid_heading"),
            (with("id", json!(7)), "invalid_id"),
            (with("id", json!("x".repeat(129))), "invalid_id"),
        ];
        let mut pings = vec![good.clone()];
        pings.extend(cases.iter().map(|case| case.0.clone()));
        let accepted = read_all(json!({"device_id": "d", "pings": pings})).unwrap();
        assert_eq!(accepted.count, 1);
        for (rejection, (i, case)) in accepted.rejected.iter().zip(cases.iter().enumerate()) {
            assert_eq!((rejection.index, rejection.code.as_str()), (i + 1, case.1), "{}", case.0);
        }
        assert_eq!(accepted.rejected.len(), cases.len());
    }

    #[test]
    fn a_body_of_the_wrong_shape_is_refused_with_the_place() {
        let cases = [
            (json!(1), ""),
            (json!("x"), ""),
            (json!({}), "/device_id"),
            (json!({"device_id": 1, "pings": []}), "/device_id"),
            (json!({"device_id": "", "pings": []}), "/device_id"),
            (json!({"device_id": "d"}), "/pings"),
            (json!({"device_id": "d", "pings": {}}), "/pings"),
            (json!([{"device_id": "d", "pings": []}, {"device_id": "\n", "pings": []}]), "/1/device_id"),
            (json!([[]]), "/0"),
        ];
        for (body, pointer) in cases {
            match read_all(body.clone()) {
                Err(BodyError::Shape { pointer: found, .. }) => assert_eq!(found, pointer, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        let ping = json!({"lat": 0, "lon": 0, "time": 0});
        let many = json!({"device_id": "d", "pings": vec![ping; 101]});
        assert_eq!(read_all(many), Err(BodyError::TooMany));
        assert_eq!(read_all(json!([])), Ok(Accepted::default()));
    }
}
