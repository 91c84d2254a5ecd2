//! Whether a device is in an audience.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use geopush_model::{UnixMillis, ZoneId};
use serde_json::{Map, Number, Value};

use crate::{Audience, Place, Test, Version, VersionTest};

/// What an audience asks of a device.
#[derive(Clone, Copy, Debug)]
pub struct AudienceDevice<'a> {
    /// The merchant's own JSON.
    pub attributes: &'a Map<String, Value>,
    /// The merchant's own words.
    pub tags: &'a [String],
    /// `android`, `ios` or `web`, once registered.
    pub platform: Option<&'a str>,
    /// BCP 47.
    pub locale: Option<&'a str>,
    /// The app that is on it.
    pub app: Option<&'a str>,
}

/// When a device was in zones, and when its owner opened a push.
pub trait Visits {
    /// When the device was last known to be in the zone; now, if it is still there.
    fn last_visit(&self, zone: ZoneId) -> Option<UnixMillis>;

    /// When it was last known to be in any zone with this tag; now, if it is still there.
    fn last_visit_tagged(&self, tag: &str) -> Option<UnixMillis> {
        let _ = tag;
        None
    }

    /// When it was last known to be in any zone at all; now, if it is still in one.
    fn last_visit_anywhere(&self) -> Option<UnixMillis> {
        None
    }

    /// When its owner last opened a push.
    fn last_opened(&self) -> Option<UnixMillis> {
        None
    }
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
    /// `locale` holds for that language tag and for those that are more of it: `es` for `es-MX`. `app_version` compares
    /// the attribute of that name number by number; of a device that tells none, or none that begins with a number, only
    /// `ne` holds.
    ///
    /// `visited` and `opened` hold if the last time was at most `within_s` seconds before `now`.
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
            Self::Locale(tag) => device.locale.is_some_and(|locale| is_more_of(locale, tag)),
            Self::App(app) => device.app == Some(app),
            Self::AppVersion(test) => test.holds(device.attributes.get("app_version")),
            Self::Visited { place, within_s } => {
                let last = match place {
                    Place::Zone(zone) => visits.last_visit(*zone),
                    Place::Tag(tag) => visits.last_visit_tagged(tag),
                };
                is_within(last, now, *within_s)
            }
            Self::Opened { within_s } => is_within(visits.last_opened(), now, *within_s),
        }
    }
}

fn is_within(last: Option<UnixMillis>, now: UnixMillis, within_s: i64) -> bool {
    last.is_some_and(|last| now.since_ms(last) <= within_s.saturating_mul(1_000))
}

/// Whether a language tag is this one, or one of its regions. Phones write `es_MX` as well.
fn is_more_of(locale: &str, tag: &str) -> bool {
    let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b) || matches!((a, b), (b'_' | b'-', b'_' | b'-'));
    let (locale, tag) = (locale.as_bytes(), tag.as_bytes());
    locale.len() >= tag.len()
        && locale.iter().zip(tag).all(|(a, b)| same(*a, *b))
        && locale.get(tag.len()).is_none_or(|next| matches!(next, b'-' | b'_'))
}

impl VersionTest {
    fn holds(&self, attribute: Option<&Value>) -> bool {
        let version = match attribute {
            Some(Value::String(text)) => text.parse::<Version>().ok(),
            Some(Value::Number(number)) => number.to_string().parse().ok(),
            _ => None,
        };
        let Some(version) = version else { return matches!(self, Self::NotEqual(_)) };
        match self {
            Self::Equal(other) => version == *other,
            Self::NotEqual(other) => version != *other,
            Self::Greater(other) => version > *other,
            Self::Less(other) => version < *other,
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
