//! What a phone or a merchant says of a device, read from its JSON.
//!
//! A member that is left out stays as it is, so that a phone's registration and a merchant's attributes do not wipe
//! out one another; `null` clears.

use std::sync::LazyLock;

use jiff::tz::TimeZoneDatabase;
use serde_json::{Map, Value};

use crate::{Device, Platform};

/// Something that a registration can't say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationError {
    /// JSON pointer of the member.
    pub pointer: String,
    /// `wrong_type`, `invalid_value`, `too_large` or `unknown_member`.
    pub code: &'static str,
    /// What to do.
    pub detail: String,
}

/// A change to a device; the outer `None` of each member leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registration {
    platform: Option<Option<Platform>>,
    app: Option<Option<String>>,
    push_token: Option<Option<String>>,
    locale: Option<Option<String>>,
    timezone: Option<Option<String>>,
    attributes: Option<Map<String, Value>>,
    tags: Option<Vec<String>>,
    push_consent: Option<bool>,
    location_consent: Option<bool>,
}

const MOST_ATTRIBUTES: usize = 100;
const MOST_ATTRIBUTE_BYTES: usize = 16 * 1024;
const MOST_TAGS: usize = 100;
/// Members of an answer that may come back in a request; they can't be changed.
const READ_ONLY: [&str; 4] = ["device_id", "version", "created_at", "updated_at"];

impl Registration {
    /// Reads a registration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_json(json: &Value) -> Result<Self, Vec<RegistrationError>> {
        let mut errors = Errors(Vec::new());
        let mut new = Self::default();
        let Value::Object(members) = json else {
            errors.add("", "wrong_type", "give a JSON object");
            return Err(errors.0);
        };
        for (name, value) in members {
            let at = format!("/{}", escaped(name));
            match name.as_str() {
                "platform" => {
                    new.platform = errors.text(&at, value, "android, ios or web", Platform::parse);
                }
                "app" => new.app = errors.text(&at, value, "1 to 64 bytes", sized(64)),
                "push_token" => new.push_token = errors.text(&at, value, "1 to 4096 bytes", sized(4096)),
                "locale" => new.locale = errors.text(&at, value, "a BCP 47 tag such as en-GB", locale),
                "timezone" => {
                    new.timezone =
                        errors.text(&at, value, "an IANA name such as Europe/Madrid", timezone_name);
                }
                "attributes" => new.attributes = errors.attributes(&at, value),
                "tags" => new.tags = errors.tags(&at, value),
                "consents" => errors.consents(&at, value, &mut new),
                name if READ_ONLY.contains(&name) => {}
                _ => errors.add(&at, "unknown_member", "leave it out; it is no member of a device"),
            }
        }
        if errors.0.is_empty() { Ok(new) } else { Err(errors.0) }
    }

    /// Whether it says anything of what merchants alone may say.
    pub fn touches_attributes_or_tags(&self) -> bool {
        self.attributes.is_some() || self.tags.is_some()
    }

    /// Makes the change.
    pub fn apply(&self, device: &mut Device) {
        fn set<T: Clone>(to: &mut T, from: Option<&T>) {
            if let Some(value) = from {
                to.clone_from(value);
            }
        }
        set(&mut device.platform, self.platform.as_ref());
        set(&mut device.app, self.app.as_ref());
        set(&mut device.push_token, self.push_token.as_ref());
        if self.push_token.is_some() {
            // Registered just now, even if it is the same: an older word that it is dead counts no longer.
            device.token_at = None;
        }
        set(&mut device.locale, self.locale.as_ref());
        set(&mut device.timezone, self.timezone.as_ref());
        set(&mut device.attributes, self.attributes.as_ref());
        set(&mut device.tags, self.tags.as_ref());
        set(&mut device.push_consent, self.push_consent.as_ref());
        set(&mut device.location_consent, self.location_consent.as_ref());
    }
}

struct Errors(Vec<RegistrationError>);

impl Errors {
    fn add(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(RegistrationError { pointer: pointer.to_owned(), code, detail: detail.into() });
    }

    /// A text that `parse` takes, or null.
    fn text<T>(
        &mut self,
        at: &str,
        value: &Value,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            Value::String(text) => {
                let parsed = parse(text);
                if parsed.is_none() {
                    self.add(at, "invalid_value", format!("give {wanted}, or null for none"));
                }
                parsed.map(Some)
            }
            _ => {
                self.add(at, "wrong_type", format!("give a string, {wanted}, or null for none"));
                None
            }
        }
    }

    fn attributes(&mut self, at: &str, value: &Value) -> Option<Map<String, Value>> {
        let attributes = match value {
            Value::Null => return Some(Map::new()),
            Value::Object(attributes) => attributes,
            _ => {
                self.add(at, "wrong_type", "give an object of attributes, or null for none");
                return None;
            }
        };
        let scalar = |v: &Value| !v.is_array() && !v.is_object();
        for (name, value) in attributes {
            let fits = scalar(value) || value.as_array().is_some_and(|values| values.iter().all(scalar));
            if !fits {
                let at = format!("{at}/{}", escaped(name));
                self.add(
                    &at,
                    "wrong_type",
                    "give a string, a number, true, false, null or an array of those",
                );
            }
        }
        if attributes.len() > MOST_ATTRIBUTES || value.to_string().len() > MOST_ATTRIBUTE_BYTES {
            let detail =
                format!("give at most {MOST_ATTRIBUTES} attributes and {MOST_ATTRIBUTE_BYTES} bytes of JSON");
            self.add(at, "too_large", detail);
        }
        Some(attributes.clone())
    }

    fn tags(&mut self, at: &str, value: &Value) -> Option<Vec<String>> {
        let values = match value {
            Value::Null => return Some(Vec::new()),
            Value::Array(values) => values,
            _ => {
                self.add(at, "wrong_type", "give an array of strings, or null for none");
                return None;
            }
        };
        if values.len() > MOST_TAGS {
            self.add(at, "too_large", format!("give at most {MOST_TAGS} tags"));
        }
        let mut tags: Vec<String> = Vec::new();
        for (i, value) in values.iter().enumerate() {
            match value.as_str().and_then(sized(64)) {
                Some(tag) if tags.contains(&tag) => {}
                Some(tag) => tags.push(tag),
                None => self.add(&format!("{at}/{i}"), "invalid_value", "give a string of 1 to 64 bytes"),
            }
        }
        Some(tags)
    }

    fn consents(&mut self, at: &str, value: &Value, new: &mut Registration) {
        let Value::Object(consents) = value else {
            self.add(at, "wrong_type", r#"give an object such as {"push":true,"location":true}"#);
            return;
        };
        for (name, value) in consents {
            let at = format!("{at}/{}", escaped(name));
            let consent = match name.as_str() {
                "push" => &mut new.push_consent,
                "location" => &mut new.location_consent,
                _ => {
                    self.add(&at, "unknown_member", "leave it out; there are the consents push and location");
                    continue;
                }
            };
            *consent = value.as_bool();
            if consent.is_none() {
                self.add(&at, "wrong_type", "give true or false");
            }
        }
    }
}

/// RFC 6901.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn sized(most: usize) -> impl Fn(&str) -> Option<String> {
    move |text| {
        let fits = !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned())
    }
}

/// The outline of a BCP 47 tag: subtags of 1 to 8 letters and digits; `_` is what Android writes.
fn locale(text: &str) -> Option<String> {
    let subtag = |s: &str| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
    let language = text.split(['-', '_']).next()?;
    let fits = text.len() <= 35 && language.len() >= 2 && text.split(['-', '_']).all(subtag);
    fits.then(|| text.replace('_', "-"))
}

/// A name of IANA's time zone database as that writes it, whatever the case; none if there is no such zone. Asked of
/// the database in the program, so that every process knows the same zones.
pub fn timezone_name(text: &str) -> Option<String> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    ZONES.get(text).ok()?.iana_name().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use geopush_model::{DeviceId, TenantId, UnixMillis};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn device() -> Device {
        Device::new(TenantId(Uuid::from_u128(1)), DeviceId::new("d").unwrap(), UnixMillis(0))
    }

    #[test]
    fn what_is_left_out_stays_and_null_clears() {
        let mut device = device();
        let all = json!({
            "platform": "ios", "app": "shop", "push_token": "t", "locale": "en_GB", "timezone": "Europe/Madrid",
            "attributes": {"plan": "pro", "scores": [1, 2]}, "tags": ["vip", "vip"],
            "consents": {"push": false, "location": true}, "version": 3, "device_id": "d",
        });
        Registration::from_json(&all).unwrap().apply(&mut device);
        assert_eq!((device.platform, device.push_token.as_deref()), (Some(Platform::Ios), Some("t")));
        assert_eq!((device.locale.as_deref(), device.tags.len()), (Some("en-GB"), 1));
        let full = device.clone();
        Registration::from_json(&json!({})).unwrap().apply(&mut device);
        assert!(device == full);
        let clearing =
            json!({"push_token": null, "tags": null, "attributes": null, "consents": {"push": true}});
        Registration::from_json(&clearing).unwrap().apply(&mut device);
        assert_eq!((device.push_token, device.tags, device.attributes.len()), (None, vec![], 0));
        assert!(device.push_consent && device.location_consent && device.app.is_some());
    }

    #[test]
    fn each_wrong_member_is_named() {
        let cases = [
            (json!([]), "", "wrong_type"),
            (json!({"platform": "symbian"}), "/platform", "invalid_value"),
            (json!({"platform": 1}), "/platform", "wrong_type"),
            (json!({"app": ""}), "/app", "invalid_value"),
            (json!({"push_token": "x".repeat(4097)}), "/push_token", "invalid_value"),
            (json!({"locale": "e"}), "/locale", "invalid_value"),
            (json!({"timezone": "Mars/Olympus"}), "/timezone", "invalid_value"),
            (json!({"timezone": "+02:00"}), "/timezone", "invalid_value"),
            (json!({"timezone": "Etc/Unknown"}), "/timezone", "invalid_value"),
            (json!({"timezone": ""}), "/timezone", "invalid_value"),
            (json!({"attributes": 1}), "/attributes", "wrong_type"),
            (json!({"attributes": {"a/b": {}}}), "/attributes/a~1b", "wrong_type"),
            (json!({"attributes": {"a": "x".repeat(17_000)}}), "/attributes", "too_large"),
            (json!({"tags": "vip"}), "/tags", "wrong_type"),
            (json!({"tags": ["a", 1]}), "/tags/1", "invalid_value"),
            (json!({"consents": true}), "/consents", "wrong_type"),
            (json!({"consents": {"push": "yes"}}), "/consents/push", "wrong_type"),
            (json!({"consents": {"sms": true}}), "/consents/sms", "unknown_member"),
            (json!({"pushtoken": "t"}), "/pushtoken", "unknown_member"),
        ];
        for (json, pointer, code) in cases {
            let errors = Registration::from_json(&json).unwrap_err();
            assert_eq!((errors[0].pointer.as_str(), errors[0].code), (pointer, code), "{json}");
        }
    }
}
