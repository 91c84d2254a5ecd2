//! Messages that say something of the device and of what happened: `Hi {{ device.attributes.name | default("you") }}`.
//!
//! The language is Jinja, as [minijinja](https://docs.rs/minijinja/latest/minijinja/syntax/) has it, less what would
//! let one message take the time or memory of all others: no macros, blocks, `set` or `*`, no more than 64 kB between
//! the parts and 16 kB of output. What is missing and has no default fails the message, since "Hi !" is worse than
//! silence.

mod engine;
mod tags;

use std::collections::BTreeMap;

use geopush_model::{ApnsPushType, Message};
use minijinja::Environment;

/// What is wrong with a message's template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct TemplateError {
    /// Where, as a JSON pointer (RFC 6901) from the message on; the message itself is empty.
    pub pointer: String,
    /// What it is, for people.
    pub detail: String,
}

/// A message whose templates are read, to be filled in for many devices.
#[derive(Debug)]
pub struct MessageTemplate {
    /// With its own texts, and without translations.
    message: Message,
    /// By language tag in lower case.
    translations: BTreeMap<String, Text>,
    text: Text,
    /// Where templates other than title and body are, by what they are part of.
    others: Vec<(Part, String)>,
    /// Every template under its pointer; none if there is none.
    engine: Option<Box<Environment<'static>>>,
}

/// Title and body in one language: as they are, or the pointers of their templates.
#[derive(Debug)]
struct Text {
    title: Source,
    body: Source,
}

#[derive(Debug)]
enum Source {
    Plain(String),
    Template { pointer: String },
}

/// Parts of a message other than its title and body that may be templates.
#[derive(Debug)]
enum Part {
    Data(String),
    Image,
    Link,
    Subtitle,
}

/// Every template of a message that can't be filled in, whatever it would be filled in with.
pub fn check_templates(message: &Message) -> Vec<TemplateError> {
    MessageTemplate::parse(message).err().unwrap_or_default()
}

/// A message whose templates say exactly this: for one that was filled in already, or comes from elsewhere.
pub fn verbatim(message: &Message) -> Message {
    let mut message = message.clone();
    each_text(&mut message, &mut |_, text| {
        if tags::is_template(text) {
            *text = text.replace('{', "{{'{'}}");
        }
    });
    message
}

impl MessageTemplate {
    /// Reads a message's templates.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn parse(message: &Message) -> Result<Self, Vec<TemplateError>> {
        let mut message = message.clone();
        let mut engine: Option<Box<Environment<'static>>> = None;
        let mut errors = Vec::new();
        each_text(&mut message, &mut |pointer, text| {
            if !tags::is_template(text) {
                return;
            }
            let engine = engine.get_or_insert_with(|| Box::new(engine::environment()));
            if let Err(detail) = engine::add(engine, &pointer, text) {
                errors.push(TemplateError { pointer, detail });
            }
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        let source = |pointer: String, text: String| match tags::is_template(&text) {
            true => Source::Template { pointer },
            false => Source::Plain(text),
        };
        let text = Text {
            title: source("/title".to_owned(), std::mem::take(&mut message.title)),
            body: source("/body".to_owned(), std::mem::take(&mut message.body)),
        };
        let translated = |(tag, text): (String, geopush_model::Text)| {
            let at = format!("/translations/{}", escaped(&tag));
            let title = source(format!("{at}/title"), text.title);
            let body = source(format!("{at}/body"), text.body);
            (canonical(&tag), Text { title, body })
        };
        let translations = std::mem::take(&mut message.translations).into_iter().map(translated).collect();
        Ok(Self { others: others(&message), message, translations, text, engine })
    }

    /// The message for a device of this locale (a BCP 47 tag): in that language, or else in the language without its
    /// region and so on, or else as it is. `context` is asked for only if there are templates.
    ///
    /// # Errors
    /// The first template that can't be filled in.
    pub fn render(
        &self,
        locale: Option<&str>,
        context: impl FnOnce() -> serde_json::Value,
    ) -> Result<Message, TemplateError> {
        let text = locale.and_then(|locale| self.translation(locale)).unwrap_or(&self.text);
        let mut message = self.message.clone();
        let engine = self.engine.as_ref().map(|engine| (engine, engine::value(&context())));
        let mut fill = |pointer: &str| {
            let (engine, context) = engine.as_ref().expect("where there is a template there is an engine");
            engine::fill(engine, pointer, context)
                .map_err(|detail| TemplateError { pointer: pointer.to_owned(), detail })
        };
        message.title = text.title.filled(&mut fill)?;
        message.body = text.body.filled(&mut fill)?;
        for (part, pointer) in &self.others {
            let filled = fill(pointer)?;
            match part {
                Part::Data(key) => drop(message.data.insert(key.clone(), filled)),
                Part::Image => message.image = Some(filled),
                Part::Link => message.link = Some(filled),
                Part::Subtitle => message.apns.subtitle = Some(filled),
            }
        }
        let shows = message.apns.push_type != ApnsPushType::Background;
        if shows && message.title.is_empty() && message.body.is_empty() {
            let detail = "neither title nor body says anything once filled in".to_owned();
            return Err(TemplateError { pointer: String::new(), detail });
        }
        Ok(message)
    }

    /// Whether any template names this or a part of it, such as `zone.name` and `zone.metadata`.
    pub fn mentions(&self, name: &str) -> bool {
        let is_it = |other: &String| {
            other.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.engine.as_ref().is_some_and(|engine| {
            engine.templates().any(|(_, template)| template.undeclared_variables(true).iter().any(is_it))
        })
    }

    /// Looked up as RFC 4647, section 3.4, says.
    fn translation(&self, locale: &str) -> Option<&Text> {
        if self.translations.is_empty() {
            return None;
        }
        let tag = canonical(locale);
        let mut range = tag.as_str();
        loop {
            if let Some(text) = self.translations.get(range) {
                return Some(text);
            }
            range = range.rsplit_once('-')?.0;
            // What stands before a subtag of one letter means nothing with it.
            if range.len() > 2 && range.as_bytes()[range.len() - 2] == b'-' {
                range = &range[..range.len() - 2];
            }
        }
    }
}

impl Source {
    fn filled(
        &self,
        fill: &mut impl FnMut(&str) -> Result<String, TemplateError>,
    ) -> Result<String, TemplateError> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Template { pointer } => fill(pointer),
        }
    }
}

/// Every text of a message that may be a template, with its pointer.
fn each_text(message: &mut Message, see: &mut impl FnMut(String, &mut String)) {
    see("/title".to_owned(), &mut message.title);
    see("/body".to_owned(), &mut message.body);
    for (tag, text) in &mut message.translations {
        let at = format!("/translations/{}", escaped(tag));
        see(format!("{at}/title"), &mut text.title);
        see(format!("{at}/body"), &mut text.body);
    }
    for (key, value) in &mut message.data {
        see(format!("/data/{}", escaped(key)), value);
    }
    let optional = [
        ("/image", &mut message.image),
        ("/link", &mut message.link),
        ("/apns/subtitle", &mut message.apns.subtitle),
    ];
    for (pointer, text) in optional {
        if let Some(text) = text {
            see(pointer.to_owned(), text);
        }
    }
}

fn others(message: &Message) -> Vec<(Part, String)> {
    let data = message.data.iter().filter(|(_, value)| tags::is_template(value));
    let mut others: Vec<_> =
        data.map(|(key, _)| (Part::Data(key.clone()), format!("/data/{}", escaped(key)))).collect();
    let optional = [
        (Part::Image, "/image", &message.image),
        (Part::Link, "/link", &message.link),
        (Part::Subtitle, "/apns/subtitle", &message.apns.subtitle),
    ];
    let is_template = |text: &Option<String>| text.as_deref().is_some_and(tags::is_template);
    others.extend(
        optional
            .into_iter()
            .filter(|(_, _, text)| is_template(text))
            .map(|(part, pointer, _)| (part, pointer.to_owned())),
    );
    others
}

fn escaped(member: &str) -> String {
    member.replace('~', "~0").replace('/', "~1")
}

/// Tags are the same whatever their case; phones write `es_MX` as well.
fn canonical(tag: &str) -> String {
    tag.replace('_', "-").to_ascii_lowercase()
}
