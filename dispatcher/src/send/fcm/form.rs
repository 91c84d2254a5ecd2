//! A body that is the same for all pushes of one message but for a few texts: written once, and filled in for each.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use geopush_model::{Message, Push, UnixMillis};
use serde::{Serialize, Serializer};

use crate::send::provider::Unsendable;
use crate::send::seconds_left;

/// "The maximum lifespan of a message is four weeks."
const MAX_TTL_S: i64 = 28 * 86_400;
/// The length of a UUID's text.
const ID: usize = 36;
/// Messages whose forms are kept: campaigns take turns, and one whose every push is another has none to lose.
const KEPT: usize = 4;

/// What is another with each push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blank {
    /// The token.
    Token,
    /// The push's id.
    Id,
    /// How many seconds it is worth sending.
    Ttl,
    /// The same as a protobuf `Duration`.
    TtlDuration,
    /// Until when, in seconds since 1970.
    Expiration,
}

/// A text in a body.
#[derive(Clone, Copy)]
pub enum Text<'a> {
    /// As it stands.
    Fixed(&'a str),
    /// Filled in for each push.
    Blank(Blank, &'a Page),
}

impl Text<'_> {
    /// Its length in bytes; only of an id among the blanks, since nobody counts others.
    pub fn len(&self) -> usize {
        match self {
            Self::Fixed(text) => text.len(),
            Self::Blank(..) => ID,
        }
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(text) => serializer.serialize_str(text),
            Self::Blank(blank, page) => {
                page.blanks.borrow_mut().push((page.text.borrow().len(), *blank));
                serializer.serialize_unit()
            }
        }
    }
}

/// What a blank is written as, and is cut out again.
const NOTHING: &[u8] = b"null";

/// Where a body is written, that knows where its blanks are: `serde_json` writes each value when it comes to it.
#[derive(Default)]
pub struct Page {
    text: RefCell<Vec<u8>>,
    blanks: RefCell<Vec<(usize, Blank)>>,
}

impl io::Write for &Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message's body, to be filled in.
#[derive(Debug)]
pub struct Form {
    message: Arc<Message>,
    text: Vec<u8>,
    /// Each with where it comes in the text, in this order.
    blanks: Vec<(usize, Blank)>,
}

impl Form {
    /// Of the message whose body was written on a page.
    pub fn new(message: &Arc<Message>, page: Page) -> Self {
        let (written, at) = (page.text.into_inner(), page.blanks.into_inner());
        let (mut text, mut blanks, mut from) = (Vec::with_capacity(written.len()), Vec::new(), 0);
        for (at, blank) in at {
            text.extend_from_slice(&written[from..at]);
            blanks.push((text.len(), blank));
            from = at + NOTHING.len();
        }
        text.extend_from_slice(&written[from..]);
        Self { message: Arc::clone(message), text, blanks }
    }

    /// The body that sends `push`, whose message this is, at `now`.
    pub fn fill(&self, push: &Push, now: UnixMillis) -> Bytes {
        let mut id = [0; ID];
        let id: &str = push.id.0.hyphenated().encode_lower(&mut id);
        let ttl = seconds_left(push.expires_at, now).min(MAX_TTL_S);
        let expiration = push.expires_at.0.div_euclid(1000).max(1);
        let room = self.text.len() + push.token.len() + self.blanks.len() * (ID + 2);
        let (mut body, mut from) = (Vec::with_capacity(room), 0);
        for (at, blank) in &self.blanks {
            body.extend_from_slice(&self.text[from..*at]);
            from = *at;
            match blank {
                Blank::Token => text(&mut body, &push.token),
                Blank::Id => text(&mut body, id),
                Blank::Ttl => digits(&mut body, ttl, ""),
                Blank::TtlDuration => digits(&mut body, ttl, "s"),
                Blank::Expiration => digits(&mut body, expiration, ""),
            }
        }
        body.extend_from_slice(&self.text[from..]);
        body.into()
    }
}

/// A text in JSON.
fn text(body: &mut Vec<u8>, text: &str) {
    // All bytes are looked at, whatever the first say: that is done many at a time.
    let special = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(false, |any, byte| any | special(byte)) {
        return serde_json::to_writer(body, text).expect("a text always serialises");
    }
    body.push(b'"');
    body.extend_from_slice(text.as_bytes());
    body.push(b'"');
}

/// A text of a number and its unit in JSON.
fn digits(body: &mut Vec<u8>, number: i64, unit: &str) {
    body.push(b'"');
    serde_json::to_writer(&mut *body, &number).expect("a number always serialises");
    body.extend_from_slice(unit.as_bytes());
    body.push(b'"');
}

/// The forms of an app's messages of late.
#[derive(Default)]
pub struct Forms {
    /// The newest first.
    kept: RwLock<Vec<Arc<Form>>>,
}

impl Forms {
    /// The form of a message; `write` makes it if it is not kept.
    ///
    /// # Errors
    /// What `write` says.
    pub fn of(
        &self,
        message: &Arc<Message>,
        write: impl FnOnce(&Arc<Message>) -> Result<Form, Unsendable>,
    ) -> Result<Arc<Form>, Unsendable> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(form) = kept.iter().find(|form| form.message == *message) {
            return Ok(Arc::clone(form));
        }
        drop(kept);
        let form = Arc::new(write(message)?);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.insert(0, Arc::clone(&form));
        Ok(form)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message;
    use super::*;
    use crate::send::testing::push;

    #[test]
    fn a_form_is_written_once_for_pushes_of_one_message_and_not_taken_for_anothers() {
        let (forms, mut written) = (Forms::default(), 0);
        let mut first = None;
        for number in 0..20 {
            let mut push = push("t");
            Arc::make_mut(&mut push.message).title = format!("Offer {}", number % 5 / 2);
            let form = forms.of(&push.message, |message| {
                written += 1;
                message::form(message)
            });
            let form = form.unwrap();
            assert_eq!(form.message, push.message);
            let first = first.get_or_insert_with(|| Arc::clone(&form));
            assert_eq!(Arc::ptr_eq(first, &form), push.message == first.message);
        }
        assert_eq!(written, 3);
        for number in 0..20 {
            let mut push = push("t");
            Arc::make_mut(&mut push.message).title = number.to_string();
            forms.of(&push.message, message::form).unwrap();
        }
        assert_eq!(forms.kept.read().unwrap().len(), KEPT);
    }

    #[test]
    fn whatever_a_merchant_writes_stays_where_it_stands() {
        let mut push = push("a \"token\" \\ with \u{1} and null");
        Arc::make_mut(&mut push.message).title = "null \"null\" \\u0000 {}".into();
        Arc::make_mut(&mut push.message).data.insert("null".into(), "null".into());
        let body = message::form(&push.message).unwrap().fill(&push, UnixMillis(0));
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["message"]["token"], push.token);
        assert_eq!(body["message"]["notification"]["title"], push.message.title);
        assert_eq!(body["message"]["data"]["null"], "null");
        assert_eq!(body["message"]["data"]["geopush_push_id"], push.id.to_string());
    }
}
