//! Who a campaign is for: a tree of conditions, and how it is read from JSON.

use std::collections::BTreeSet;
use std::fmt;

use geopush_model::ZoneId;
use serde_json::{Number, Value};

use crate::Version;
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
    /// `{"locale":"es"}`: the device speaks this language, whatever its region; `es-MX` is asked for so.
    Locale(String),
    /// `{"app":"shop"}`: this app is on the device.
    App(String),
    /// `{"app_version":{"op":"gt","value":"2.1.0"}}`: the attribute `app_version` passes a test.
    AppVersion(VersionTest),
    /// `{"visited":{"zone_id":"…","within_s":86400}}`, or `zone_tag` for any zone with that tag: the device was there at
    /// some time of the last `within_s` seconds.
    Visited {
        /// Where.
        place: Place,
        /// How long ago at most, in seconds.
        within_s: i64,
    },
    /// `{"opened":{"within_s":86400}}`: the device's owner opened a push in the last `within_s` seconds.
    Opened {
        /// How long ago at most, in seconds.
        within_s: i64,
    },
}

/// Where a device was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this zone.
    Zone(ZoneId),
    /// In any zone with this tag.
    Tag(String),
}

/// What is asked of an app's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionTest {
    /// `eq`
    Equal(Version),
    /// `ne`
    NotEqual(Version),
    /// `gt`
    Greater(Version),
    /// `lt`
    Less(Version),
}

/// What an audience has to be told of a device's past: see [`crate::Visits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// The zones whose visits it asks for,
    pub zones: BTreeSet<ZoneId>,
    /// and the tags of zones.
    pub tags: BTreeSet<String>,
    /// The longest time that it looks back for visits, in seconds; none if it does not.
    pub looks_back_s: Option<i64>,
    /// Whether it asks when a push was opened.
    pub opened: bool,
}

impl Asks {
    /// Takes in what another one asks.
    pub fn merge(&mut self, other: Self) {
        self.zones.extend(other.zones);
        self.tags.extend(other.tags);
        self.looks_back_s = self.looks_back_s.max(other.looks_back_s);
        self.opened |= other.opened;
    }
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
    /// The longest `within_s` of `opened`: what a device's owner did last is kept for 400 days.
    pub const MAX_OPENED_S: i64 = 400 * 24 * 60 * 60;
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

    /// What [`Audience::matches`] needs to know of a device's past.
    pub fn asks(&self) -> Asks {
        let mut asks = Asks::default();
        self.collect(&mut asks);
        asks
    }

    fn collect(&self, asks: &mut Asks) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.collect(asks)),
            Self::Not(part) => part.collect(asks),
            Self::Visited { place, within_s } => {
                match place {
                    Place::Zone(zone) => drop(asks.zones.insert(*zone)),
                    Place::Tag(tag) => drop(asks.tags.insert(tag.clone())),
                }
                asks.looks_back_s = asks.looks_back_s.max(Some(*within_s));
            }
            Self::Opened { .. } => asks.opened = true,
            Self::Attr { .. }
            | Self::Tag(_)
            | Self::Platform(_)
            | Self::Locale(_)
            | Self::App(_)
            | Self::AppVersion(_) => {}
        }
    }
}
