//! Who a campaign is for: a tree of conditions, and how it is read from JSON.

use std::collections::BTreeSet;
use std::fmt;

use geopush_model::ZoneId;
use serde_json::{Number, Value};

use crate::node::Parser;

/// Who a campaign is for. What each condition means is said at [`Audience::matches`].
#[derive(Clone, Debug, PartialEq)]
pub enum Audience {
    /// `{"all":[…]}`: every one of these holds; with none, everyone.
    All(Vec<Self>),
    /// `{"any":[…]}`: at least one of these holds; with none, nobody.
    Any(Vec<Self>),
    /// `{"not":…}`: this does not hold.
    Not(Box<Self>),
    /// `{"attr":"plan","op":"eq","value":"gold"}`: an attribute of the device passes a test.
    Attr {
        /// Which attribute, at the top of the device's attributes.
        name: String,
        /// What is asked of it.
        test: Test,
    },
    /// `{"tag":"vip"}`: the device has this tag.
    Tag(String),
    /// `{"platform":"ios"}`: the device runs this; `android`, `ios` or `web`.
    Platform(&'static str),
    /// `{"visited":{"zone_id":"…","within_s":86400}}`: the device was in the zone at some time of the last `within_s`
    /// seconds.
    Visited {
        /// Where.
        zone: ZoneId,
        /// How long ago at most, in seconds.
        within_s: i64,
    },
}

/// What is asked of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `eq`
    Equal(Value),
    /// `ne`
    NotEqual(Value),
    /// `gt` with a number.
    GreaterNumber(Number),
    /// `gt` with a text.
    GreaterText(String),
    /// `lt` with a number.
    LessNumber(Number),
    /// `lt` with a text.
    LessText(String),
    /// `in`
    OneOf(Vec<Value>),
    /// `exists`; with `"value": false`, that it does not.
    Exists(bool),
}

/// One thing that is wrong with an audience.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct AudienceError {
    /// Where, as a JSON pointer (RFC 6901) from the audience's root; the root itself is empty.
    pub pointer: String,
    /// What kind of error.
    pub code: AudienceErrorCode,
    /// What to write instead, for people.
    pub detail: String,
}

/// The kinds of errors: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceErrorCode {
    /// A member or element has the wrong JSON type.
    WrongType,
    /// A member is missing.
    Required,
    /// A member that this form does not have.
    UnknownMember,
    /// No known form, or more than one at once.
    UnknownForm,
    /// A value that is out of its range or list.
    InvalidValue,
    /// Too deep, too many conditions, or too long a list.
    TooLarge,
}

impl AudienceErrorCode {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WrongType => "wrong_type",
            Self::Required => "required",
            Self::UnknownMember => "unknown_member",
            Self::UnknownForm => "unknown_form",
            Self::InvalidValue => "invalid_value",
            Self::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for AudienceErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Audience {
    /// How deep conditions may be in one another.
    pub const MAX_DEPTH: usize = 16;
    /// How many conditions an audience may have.
    pub const MAX_NODES: usize = 256;
    /// How many values `in` may list.
    pub const MAX_VALUES: usize = 1_000;
    /// The longest name or tag, in bytes.
    pub const MAX_TEXT: usize = 256;
    /// The longest `within_s`: visits are kept for 90 days.
    pub const MAX_WITHIN_S: i64 = 90 * 24 * 60 * 60;
    /// What `platform` may say.
    pub const PLATFORMS: [&'static str; 3] = ["android", "ios", "web"];

    /// Reads an audience: an object of exactly one form, all the way down. Everything that is wrong is reported.
    ///
    /// # Errors
    /// What is wrong, in the order of the document.
    pub fn from_json(json: &Value) -> Result<Self, Vec<AudienceError>> {
        let mut parser = Parser::default();
        match (parser.node(json, 1), parser.errors) {
            (Some(audience), errors) if errors.is_empty() => Ok(audience),
            (_, errors) => Err(errors),
        }
    }

    /// The zones whose visits it asks for: what [`Audience::matches`] needs to know.
    pub fn zones_asked(&self) -> BTreeSet<ZoneId> {
        let mut zones = BTreeSet::new();
        self.each_visited(&mut |zone, _| {
            zones.insert(zone);
        });
        zones
    }

    /// The longest time that it looks back for visits, in seconds; none if it does not.
    pub fn looks_back_s(&self) -> Option<i64> {
        let mut longest = None;
        self.each_visited(&mut |_, within_s| longest = longest.max(Some(within_s)));
        longest
    }

    fn each_visited(&self, see: &mut impl FnMut(ZoneId, i64)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.each_visited(see)),
            Self::Not(part) => part.each_visited(see),
            Self::Visited { zone, within_s } => see(*zone, *within_s),
            Self::Attr { .. } | Self::Tag(_) | Self::Platform(_) => {}
        }
    }
}
