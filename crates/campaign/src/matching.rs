//! Whether a device is in an audience.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use geopush_model::{UnixMillis, ZoneId};
use serde_json::{Map, Number, Value};

use crate::{Audience, Test};

/// What an audience asks of a device.
#[derive(Clone, Copy, Debug)]
pub struct AudienceDevice<'a> {
    /// The merchant's own JSON.
    pub attributes: &'a Map<String, Value>,
    /// The merchant's own words.
    pub tags: &'a [String],
    /// `android`, `ios` or `web`, once registered.
    pub platform: Option<&'a str>,
}

/// When a device was in zones.
pub trait Visits {
    /// When the device was last known to be in the zone; now, if it is still there.
    fn last_visit(&self, zone: ZoneId) -> Option<UnixMillis>;
}

/// No visits: for audiences that ask for none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVisits;

impl Visits for NoVisits {
    fn last_visit(&self, _: ZoneId) -> Option<UnixMillis> {
        None
    }
}

impl Visits for BTreeMap<ZoneId, UnixMillis> {
    fn last_visit(&self, zone: ZoneId) -> Option<UnixMillis> {
        self.get(&zone).copied()
    }
}

impl Visits for HashMap<ZoneId, UnixMillis> {
    fn last_visit(&self, zone: ZoneId) -> Option<UnixMillis> {
        self.get(&zone).copied()
    }
}

impl Audience {
    /// Whether the device is in the audience at `now`.
    ///
    /// An attribute that is null is missing. Then `eq`, `gt`, `lt` and `in` do not hold, and `ne` does. Numbers are
    /// equal by value (1 is 1.0), everything else as JSON; nothing is converted, so `"1"` is not `1`. `gt` and `lt`
    /// hold only between two numbers, or between two texts, by their bytes: RFC 3339 times of one offset and
    /// precision compare as times. `in` holds if the attribute equals one of the values.
    ///
    /// `visited` holds if the last visit was at most `within_s` seconds before `now`.
    pub fn matches(&self, device: &AudienceDevice<'_>, now: UnixMillis, visits: &impl Visits) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(device, now, visits)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(device, now, visits)),
            Self::Not(part) => !part.matches(device, now, visits),
            Self::Attr { name, test } => {
                test.holds(device.attributes.get(name).filter(|value| !value.is_null()))
            }
            Self::Tag(tag) => device.tags.contains(tag),
            Self::Platform(platform) => device.platform == Some(platform),
            Self::Visited { zone, within_s } => visits
                .last_visit(*zone)
                .is_some_and(|last| now.since_ms(last) <= within_s.saturating_mul(1_000)),
        }
    }
}

impl Test {
    fn holds(&self, attribute: Option<&Value>) -> bool {
        let Some(attribute) = attribute else {
            return matches!(self, Self::NotEqual(_) | Self::Exists(false));
        };
        match self {
            Self::Equal(value) => equal(attribute, value),
            Self::NotEqual(value) => !equal(attribute, value),
            Self::GreaterNumber(number) => ordered(attribute, number) == Some(Ordering::Greater),
            Self::LessNumber(number) => ordered(attribute, number) == Some(Ordering::Less),
            Self::GreaterText(text) => attribute.as_str().is_some_and(|a| a > text.as_str()),
            Self::LessText(text) => attribute.as_str().is_some_and(|a| a < text.as_str()),
            Self::OneOf(values) => values.iter().any(|value| equal(attribute, value)),
            Self::Exists(wanted) => *wanted,
        }
    }
}

/// As JSON, but numbers by value, however they are written.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(b)) => ordered(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn ordered(a: &Value, b: &Number) -> Option<Ordering> {
    let Value::Number(a) = a else { return None };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// A number written without fraction, exactly: a double would confuse large ids.
fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}
