//! What each platform can be told besides, by a table: a row a member.

use geopush_model::{ApnsOptions, ApnsPushType, Message};

use super::{Errors, MessageErrorCode};

/// The longest life of a message: "the maximum lifespan of a message is four weeks"
/// (<https://firebase.google.com/docs/cloud-messaging/customize-messages/setting-message-lifespan>).
const MAX_TTL_S: i64 = 28 * 86_400;
/// The longest address.
const MAX_URL: usize = 2_048;
/// The longest name of a sound, a channel, a picture of the app and the like.
const MAX_NAME: usize = 256;
/// `apns-collapse-id` "must not exceed 64 bytes"
/// (<https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns>); FCM names no
/// limit of its own for `collapse_key`.
const MAX_COLLAPSE: usize = 64;

/// What a text has to be.
#[derive(Clone, Copy)]
enum Form {
    /// Any text of 1 to so many bytes.
    Text(usize),
    /// 1 to so many printable characters of ASCII: it goes into a header.
    Header(usize),
    /// `https://…`: a phone or a browser loads it ("for all URL values, HTTPS is required").
    Https,
    /// An address with a scheme; `geo:`, `shop://…` and the like open apps.
    Link,
    /// "Must match `^[a-zA-Z0-9-_.~%]{1,50}$`"
    /// (<https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages#fcmoptions>).
    Label,
    /// `#rrggbb`
    Color,
}

use Form::{Color, Header, Https, Label, Link};

type Row = (&'static str, Form, fn(&Message) -> Option<&String>);

const TEXTS: [Row; 14] = [
    ("/image", Https, |m| m.image.as_ref()),
    ("/link", Link, |m| m.link.as_ref()),
    ("/analytics_label", Label, |m| m.analytics_label.as_ref()),
    ("/android/collapse_key", Header(MAX_COLLAPSE), |m| m.android.collapse_key.as_ref()),
    ("/android/channel_id", Form::Text(MAX_NAME), |m| m.android.channel_id.as_ref()),
    ("/android/sound", Form::Text(MAX_NAME), |m| m.android.sound.as_ref()),
    ("/android/icon", Form::Text(MAX_NAME), |m| m.android.icon.as_ref()),
    ("/android/color", Color, |m| m.android.color.as_ref()),
    ("/apns/sound", Form::Text(MAX_NAME), |m| m.apns.sound.as_ref()),
    ("/apns/thread_id", Form::Text(MAX_NAME), |m| m.apns.thread_id.as_ref()),
    ("/apns/category", Form::Text(MAX_NAME), |m| m.apns.category.as_ref()),
    ("/apns/subtitle", Form::Text(MAX_URL), |m| m.apns.subtitle.as_ref()),
    ("/apns/collapse_id", Header(MAX_COLLAPSE), |m| m.apns.collapse_id.as_ref()),
    ("/webpush/icon", Https, |m| m.webpush.icon.as_ref()),
];

impl Form {
    fn error(self, text: &str) -> Option<(MessageErrorCode, String)> {
        use MessageErrorCode::{InvalidUrl, InvalidValue};
        let (fits, code, detail) = match self {
            Self::Text(most) => {
                let fits = (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
                (
                    fits,
                    InvalidValue,
                    format!("give 1 to {most} bytes without control characters, or leave it out"),
                )
            }
            Self::Header(most) => {
                let fits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
                (
                    fits,
                    InvalidValue,
                    format!("give 1 to {most} letters, digits and signs of ASCII without spaces"),
                )
            }
            Self::Https => {
                let detail = format!("give an address that begins with https://, of at most {MAX_URL} bytes");
                (is_template(text) || is_https(text), InvalidUrl, detail)
            }
            Self::Link => {
                let detail =
                    "give a whole address, with its scheme: https://shop.example/a, shop://a and the like";
                (is_template(text) || has_scheme(text), InvalidUrl, detail.to_owned())
            }
            Self::Label => {
                let letter = |b: u8| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b);
                let fits = (1..=50).contains(&text.len()) && text.bytes().all(letter);
                (fits, InvalidValue, "give 1 to 50 of A-Z, a-z, 0-9, `-`, `_`, `.`, `~` and `%`".to_owned())
            }
            Self::Color => {
                let digits = text.strip_prefix('#').unwrap_or_default();
                let fits = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                (fits, InvalidValue, "give a colour as #rrggbb".to_owned())
            }
        };
        (!fits).then_some((code, detail))
    }
}

/// Whether a text is filled in later.
fn is_template(text: &str) -> bool {
    text.len() <= MAX_URL && (text.contains("{{") || text.contains("{%"))
}

fn is_https(text: &str) -> bool {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    is_address(text) && rest.starts_with(|c: char| c.is_alphanumeric() || c == '[')
}

/// RFC 3986, section 3.1.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    is_address(text)
        && !rest.is_empty()
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(letter)
}

fn is_address(text: &str) -> bool {
    text.len() <= MAX_URL
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "<>\"\\^`{|}".contains(c))
}

/// Whether it may go without any text: it wakes the app, and nobody has to see it.
pub(super) fn may_be_silent(message: &Message) -> bool {
    message.apns.push_type == ApnsPushType::Background
}

pub(super) fn check(message: &Message, errors: &mut Errors) {
    for (pointer, form, text) in TEXTS {
        if let Some((code, detail)) = text(message).and_then(|text| form.error(text)) {
            errors.note(pointer, code, detail);
        }
    }
    if message.ttl_s.is_some_and(|ttl_s| !(1..=MAX_TTL_S).contains(&ttl_s)) {
        let detail = format!("give 1 to {MAX_TTL_S} seconds: four weeks at most");
        errors.note("/ttl_s", MessageErrorCode::OutOfRange, detail);
    }
    apns(&message.apns, errors);
}

/// <https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns> (`apns-priority`)
/// and <https://developer.apple.com/documentation/usernotifications/pushing-background-updates-to-your-app>.
fn apns(apns: &ApnsOptions, errors: &mut Errors) {
    use MessageErrorCode::{Conflicting, OutOfRange};
    let background = apns.push_type == ApnsPushType::Background;
    match apns.priority {
        Some(5) | None => {}
        Some(1 | 10) if !background => {}
        Some(1 | 10) => {
            errors.note(
                "/apns/priority",
                OutOfRange,
                "give 5, or leave it out: a background push has no other",
            );
        }
        Some(_) => errors.note("/apns/priority", OutOfRange, "give 10, 5 or 1"),
    }
    let shown = [
        ("badge", apns.badge.is_some()),
        ("sound", apns.sound.is_some()),
        ("thread_id", apns.thread_id.is_some()),
        ("category", apns.category.is_some()),
        ("subtitle", apns.subtitle.is_some()),
        ("mutable_content", apns.mutable_content),
        ("interruption_level", apns.interruption_level.is_some()),
    ];
    for (name, _) in shown.iter().filter(|(_, there)| background && *there) {
        let detail = "leave it out: a background push shows nothing";
        errors.note(format!("/apns/{name}"), Conflicting, detail);
    }
}
