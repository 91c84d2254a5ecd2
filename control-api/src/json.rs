//! A JSON object read member by member: everything that is wrong with it is found at once, each with its pointer.

use std::ops::RangeInclusive;

use geopush_model::{DeviceId, UnixMillis};
use geopush_service::http::Invalid;
use geopush_service::time::parse_rfc3339_ms;
use serde_json::{Map, Value};

/// The members of an object that are still to be read.
pub(crate) struct Members {
    members: Map<String, Value>,
    at: String,
    errors: Vec<Invalid>,
}

impl Members {
    /// The members of `value`, which stands at the JSON pointer `at`.
    pub fn of(value: Value, at: &str) -> Result<Self, Vec<Invalid>> {
        match value {
            Value::Object(members) => Ok(Self { members, at: at.to_owned(), errors: Vec::new() }),
            _ => Err(vec![invalid(at, "wrong_type", "give a JSON object")]),
        }
    }

    /// The pointer of a member.
    pub fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.at, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Notes what is wrong with a member.
    pub fn fail(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        let pointer = self.pointer(name);
        self.errors.push(Invalid { pointer, code, detail: detail.into() });
    }

    /// Notes what was found elsewhere.
    pub fn fail_all(&mut self, errors: impl IntoIterator<Item = Invalid>) {
        self.errors.extend(errors);
    }

    /// A member as it is; `null` is as good as left out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Leaves a member out if it is this number.
    pub fn forget(&mut self, name: &str, number: f64) {
        if self.members.get(name).and_then(Value::as_f64) == Some(number) {
            self.members.remove(name);
        }
    }

    /// Whether a member is there, be it `null`.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// The names of the members that are still to be read.
    pub fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// Whether a member is an array that is not empty.
    pub fn has_elements(&self, name: &str) -> bool {
        self.members.get(name).and_then(Value::as_array).is_some_and(|values| !values.is_empty())
    }

    /// Whether a member is there and not `null`.
    pub fn is_given(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| !value.is_null())
    }

    /// A member that must be there.
    pub fn require<T>(&mut self, name: &str, read: impl FnOnce(&mut Self, &str) -> Option<T>) -> Option<T> {
        if self.members.get(name).is_none_or(Value::is_null) {
            self.members.remove(name);
            self.fail(name, "required", "give this member");
            return None;
        }
        read(self, name)
    }

    /// A text of 1 to `most` bytes without control characters.
    pub fn text(&mut self, name: &str, most: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if fits(&text, most) => Some(text),
            Value::String(_) => {
                self.fail(
                    name,
                    "invalid_value",
                    format!("give 1 to {most} bytes without control characters"),
                );
                None
            }
            _ => self.wrong_type(name, "a string"),
        }
    }

    /// A number in a range.
    pub fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let Some(number) = self.take(name)?.as_f64() else { return self.wrong_type(name, "a number") };
        if range.contains(&number) {
            return Some(number);
        }
        self.fail(name, "out_of_range", format!("give a number from {} to {}", range.start(), range.end()));
        None
    }

    /// A whole number in a range; `60.0` is one too.
    pub fn whole(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(name)?;
        let Some(number) = value.as_i64().or_else(|| whole_of(value.as_f64()?)) else {
            return self.wrong_type(name, "a whole number");
        };
        if range.contains(&number) {
            return Some(number);
        }
        self.fail(
            name,
            "out_of_range",
            format!("give a whole number from {} to {}", range.start(), range.end()),
        );
        None
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            _ => self.wrong_type(name, "true or false"),
        }
    }

    /// An array of at most `most` texts of 1 to `most_bytes`; the same one twice counts once.
    pub fn texts(&mut self, name: &str, most: usize, most_bytes: usize) -> Option<Vec<String>> {
        let Value::Array(values) = self.take(name)? else {
            return self.wrong_type(name, "an array of strings");
        };
        if values.len() > most {
            self.fail(name, "too_many", format!("give at most {most}"));
            return None;
        }
        let mut texts: Vec<String> = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            match value {
                Value::String(text) if fits(&text, most_bytes) => {
                    if !texts.contains(&text) {
                        texts.push(text);
                    }
                }
                _ => {
                    let pointer = format!("{}/{i}", self.pointer(name));
                    let detail =
                        format!("give a string of 1 to {most_bytes} bytes without control characters");
                    self.errors.push(invalid(&pointer, "invalid_value", &detail));
                }
            }
        }
        Some(texts)
    }

    /// A JSON object of at most `most_bytes`, whatever is in it.
    pub fn object(&mut self, name: &str, most_bytes: usize) -> Option<Map<String, Value>> {
        let Value::Object(object) = self.take(name)? else { return self.wrong_type(name, "an object") };
        if Value::Object(object.clone()).to_string().len() > most_bytes {
            self.fail(name, "too_large", format!("give at most {most_bytes} bytes of JSON"));
            return None;
        }
        Some(object)
    }

    /// A member that `read` reads whole, given its pointer.
    pub fn nested<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value, &str) -> Result<T, Vec<Invalid>>,
    ) -> Option<T> {
        let value = self.take(name)?;
        read(value, &self.pointer(name)).map_err(|errors| self.fail_all(errors)).ok()
    }

    /// An array of at most `most`, each element of which `read` reads whole, given its pointer; none if one is wrong.
    pub fn list<T>(
        &mut self,
        name: &str,
        most: usize,
        read: impl Fn(Value, &str) -> Result<T, Vec<Invalid>>,
    ) -> Option<Vec<T>> {
        let Value::Array(values) = self.take(name)? else { return self.wrong_type(name, "an array") };
        if values.len() > most {
            self.fail(name, "too_many", format!("give at most {most}"));
            return None;
        }
        let at = self.pointer(name);
        let read = values
            .into_iter()
            .enumerate()
            .map(|(i, value)| read(value, &format!("{at}/{i}")).map_err(|errors| self.fail_all(errors)).ok());
        // To the end, so that all that is wrong is told.
        let read: Vec<Option<T>> = read.collect();
        read.into_iter().collect()
    }

    /// One of the words of a closed list.
    pub fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let Value::String(text) = self.take(name)? else { return self.wrong_type(name, "a string") };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fail(name, "invalid_value", format!("give {}", known.join(" or ")));
        }
        found
    }

    /// A device's id.
    pub fn device(&mut self, name: &str) -> Option<DeviceId> {
        let Value::String(text) = self.take(name)? else { return self.wrong_type(name, "a string") };
        DeviceId::new(&text).map_err(|error| self.fail(name, "invalid_value", error.to_string())).ok()
    }

    /// A time as in RFC 3339.
    pub fn time(&mut self, name: &str) -> Option<UnixMillis> {
        let Value::String(text) = self.take(name)? else { return self.wrong_type(name, "a string") };
        let time = parse_rfc3339_ms(&text).map(UnixMillis);
        if time.is_none() {
            self.fail(name, "invalid_value", "give a time as in RFC 3339, such as 2026-01-01T00:00:00Z");
        }
        time
    }

    fn wrong_type<T>(&mut self, name: &str, wanted: &str) -> Option<T> {
        self.fail(name, "wrong_type", format!("give {wanted}"));
        None
    }

    /// Everything that was wrong with the members that were read; others are not looked at.
    pub fn finish_open(self) -> Result<(), Vec<Invalid>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }

    /// Everything that was wrong. Members that nobody read are wrong too, but for those in `read_only`, which an
    /// answer has and a request may send back.
    pub fn finish(mut self, read_only: &[&str]) -> Result<(), Vec<Invalid>> {
        let unknown: Vec<_> =
            self.members.keys().filter(|name| !read_only.contains(&name.as_str())).cloned().collect();
        for name in unknown {
            self.fail(&name, "unknown_member", "leave it out; there is no such member");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

/// As far as every whole number has a float of its own.
fn whole_of(float: f64) -> Option<i64> {
    let whole = float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0;
    // There is no other way from a float to an integer; the range was just checked.
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
    whole.then_some(float as i64)
}

/// One thing that is wrong.
pub(crate) fn invalid(pointer: &str, code: &'static str, detail: &str) -> Invalid {
    Invalid { pointer: pointer.to_owned(), code, detail: detail.to_owned() }
}

/// Whether a text has 1 to `most` bytes and no control characters.
pub(crate) fn fits(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}
