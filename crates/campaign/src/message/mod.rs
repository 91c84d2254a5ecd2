//! What a message may say.

mod keys;
mod options;
mod size;
mod variants;

use geopush_model::{Message, Text};

pub use size::MAX_MESSAGE_BYTES;
pub use variants::{MAX_VARIANTS, MAX_WEIGHT, check_variants};

/// The most languages that a message speaks.
pub const MAX_TRANSLATIONS: usize = 100;

/// One thing that is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct MessageError {
    /// Where, as a JSON pointer (RFC 6901) from the message on; the message itself is empty.
    pub pointer: String,
    /// What kind of error.
    pub code: MessageErrorCode,
    /// What to write instead, for people.
    pub detail: String,
}

/// The kinds of errors: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageErrorCode {
    /// Neither title nor body: there is nothing to show.
    Required,
    /// A key of `data` that is not the merchant's to use.
    ReservedKey,
    /// An empty key of `data`.
    InvalidKey,
    /// More than a provider takes.
    TooLarge,
    /// Not of the form that a provider asks for.
    InvalidValue,
    /// No address that a phone could use.
    InvalidUrl,
    /// A number that a provider refuses.
    OutOfRange,
    /// Two members that can't be together.
    Conflicting,
}

impl MessageErrorCode {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::ReservedKey => "reserved_key",
            Self::InvalidKey => "invalid_key",
            Self::TooLarge => "too_large",
            Self::InvalidValue => "invalid_value",
            Self::InvalidUrl => "invalid_url",
            Self::OutOfRange => "out_of_range",
            Self::Conflicting => "conflicting",
        }
    }
}

/// The errors found so far.
#[derive(Default)]
struct Errors(Vec<MessageError>);

impl Errors {
    fn note(&mut self, pointer: impl Into<String>, code: MessageErrorCode, detail: impl Into<String>) {
        self.0.push(MessageError { pointer: pointer.into(), code, detail: detail.into() });
    }
}

/// Everything that is wrong with a message, in all of its languages; nothing, if both providers will take it. Texts
/// that are templates are measured as they stand, and their form is not judged: what comes of them is not known yet.
pub fn check_message(message: &Message) -> Vec<MessageError> {
    let mut errors = Errors::default();
    if !options::may_be_silent(message) {
        shown(&message.title, &message.body, "", &mut errors);
    }
    keys::check(&message.data, &mut errors);
    translations(message, &mut errors);
    options::check(message, &mut errors);
    size::check(message, &mut errors);
    errors.0
}

fn shown(title: &str, body: &str, at: &str, errors: &mut Errors) {
    if title.is_empty() && body.is_empty() {
        errors.note(at, MessageErrorCode::Required, "give a title, a body or both");
    }
}

fn translations(message: &Message, errors: &mut Errors) {
    if message.translations.len() > MAX_TRANSLATIONS {
        let detail = format!("give at most {MAX_TRANSLATIONS} languages");
        errors.note("/translations", MessageErrorCode::TooLarge, detail);
    }
    let mut before: Option<&str> = None;
    for (tag, Text { title, body }) in &message.translations {
        let at = format!("/translations/{}", escaped(tag));
        if !is_language_tag(tag) {
            let detail = "name a language by its BCP 47 tag, such as es or pt-BR";
            errors.note(&at, MessageErrorCode::InvalidValue, detail);
        } else if before.is_some_and(|before| before.eq_ignore_ascii_case(tag)) {
            errors.note(&at, MessageErrorCode::Conflicting, "this language is there twice; keep one");
        }
        shown(title, body, &at, errors);
        before = Some(tag);
    }
}

/// The outline of a BCP 47 tag: subtags of 1 to 8 letters and digits, a language of letters first.
fn is_language_tag(tag: &str) -> bool {
    let subtag = |s: &str| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
    let language = tag.split('-').next().unwrap_or_default();
    tag.len() <= 35
        && language.len() >= 2
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && tag.split('-').all(subtag)
}

/// RFC 6901.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
