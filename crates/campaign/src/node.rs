//! Reads one node of an audience after the other, gathering everything that is wrong.

use geopush_model::ZoneId;
use serde_json::{Map, Value};

use crate::audience::AudienceErrorCode as Code;
use crate::{Audience, AudienceError, Place, Test, Version, VersionTest};

/// A form: the member that names it, and the members that it has.
const FORMS: [(&str, &[&str]); 11] = [
    ("all", &["all"]),
    ("any", &["any"]),
    ("not", &["not"]),
    ("attr", &["attr", "op", "value"]),
    ("tag", &["tag"]),
    ("platform", &["platform"]),
    ("locale", &["locale"]),
    ("app", &["app"]),
    ("app_version", &["app_version"]),
    ("visited", &["visited"]),
    ("opened", &["opened"]),
];

type MakeVersionTest = fn(Version) -> VersionTest;

/// What `app_version` may ask.
const VERSION_TESTS: [(&str, MakeVersionTest); 4] = [
    ("eq", VersionTest::Equal),
    ("ne", VersionTest::NotEqual),
    ("gt", VersionTest::Greater),
    ("lt", VersionTest::Less),
];

#[derive(Default)]
pub(crate) struct Parser {
    /// The way from the root to the value in hand.
    path: Vec<String>,
    nodes: usize,
    pub(crate) errors: Vec<AudienceError>,
}

impl Parser {
    /// The node, unless it is so wrong that there is none; an error was noted then.
    pub(crate) fn node(&mut self, json: &Value, depth: usize) -> Option<Audience> {
        self.nodes += 1;
        if depth > Audience::MAX_DEPTH {
            return self
                .wrong(Code::TooLarge, format!("conditions nest at most {} deep", Audience::MAX_DEPTH));
        }
        if self.nodes > Audience::MAX_NODES {
            // Said once: the rest would say the same.
            if self.nodes == Audience::MAX_NODES + 1 {
                self.note(
                    Code::TooLarge,
                    format!("an audience has at most {} conditions", Audience::MAX_NODES),
                );
            }
            return None;
        }
        let Some(object) = json.as_object() else {
            return self.wrong(Code::WrongType, "a condition is an object");
        };
        let mut forms = FORMS.iter().filter(|(name, _)| object.contains_key(*name));
        let Some((form, members)) = forms.next() else {
            return self.wrong(
                Code::UnknownForm,
                format!("a condition has one of the members {}", FORMS.map(|(form, _)| form).join(", ")),
            );
        };
        if let Some((other, _)) = forms.next() {
            return self.wrong(
                Code::UnknownForm,
                format!("a condition is {form} or {other}, not both; join two conditions by all or any"),
            );
        }
        self.refuse_others(object, members);
        let value = &object[*form];
        match *form {
            "all" => self.parts(form, value, depth).map(Audience::All),
            "any" => self.parts(form, value, depth).map(Audience::Any),
            "not" => {
                self.within(form, |p| p.node(value, depth + 1)).map(|part| Audience::Not(Box::new(part)))
            }
            "attr" => {
                let name = self.within(form, |p| p.text(value));
                let test = self.test(object);
                Some(Audience::Attr { name: name?, test: test? })
            }
            "tag" => self.within(form, |p| p.text(value)).map(Audience::Tag),
            "platform" => self.within(form, |p| p.platform(value)).map(Audience::Platform),
            "locale" => self.within(form, |p| p.locale(value)).map(Audience::Locale),
            "app" => self.within(form, |p| p.text(value)).map(Audience::App),
            "app_version" => self.within(form, |p| p.app_version(value)).map(Audience::AppVersion),
            "opened" => self.within(form, |p| p.opened(value)),
            _ => self.within(form, |p| p.visited(value)),
        }
    }

    fn parts(&mut self, form: &str, json: &Value, depth: usize) -> Option<Vec<Audience>> {
        self.within(form, |p| {
            let Some(list) = json.as_array() else { return p.wrong(Code::WrongType, "a list of conditions") };
            let parts: Vec<_> = list
                .iter()
                .enumerate()
                .map(|(i, part)| p.within(&i.to_string(), |p| p.node(part, depth + 1)))
                .collect();
            parts.into_iter().collect()
        })
    }

    fn test(&mut self, object: &Map<String, Value>) -> Option<Test> {
        let Some(op) = object.get("op") else {
            return self.within("op", |p| p.wrong(Code::Required, "eq, ne, gt, lt, in or exists"));
        };
        let value = object.get("value");
        match op.as_str() {
            Some("eq") => self.comparable(value).map(Test::Equal),
            Some("ne") => self.comparable(value).map(Test::NotEqual),
            Some("gt") => self.ordered(value, Test::GreaterNumber, Test::GreaterText),
            Some("lt") => self.ordered(value, Test::LessNumber, Test::LessText),
            Some("in") => self.one_of(value),
            Some("exists") => match value {
                None => Some(Test::Exists(true)),
                Some(Value::Bool(wanted)) => Some(Test::Exists(*wanted)),
                Some(_) => {
                    self.within("value", |p| p.wrong(Code::WrongType, "true, false, or left out for true"))
                }
            },
            Some(_) => self.within("op", |p| p.wrong(Code::InvalidValue, "eq, ne, gt, lt, in or exists")),
            None => self.within("op", |p| p.wrong(Code::WrongType, "a text: eq, ne, gt, lt, in or exists")),
        }
    }

    /// What `eq` and `ne` compare with: null would be asked of missing attributes, which is for `exists`.
    fn comparable(&mut self, value: Option<&Value>) -> Option<Value> {
        self.within("value", |p| match value {
            None => p.wrong(Code::Required, "the value to compare with"),
            Some(Value::Null) => p.wrong(Code::InvalidValue, "null equals nothing; ask with exists"),
            Some(value) => Some(value.clone()),
        })
    }

    fn ordered(
        &mut self,
        value: Option<&Value>,
        number: fn(serde_json::Number) -> Test,
        text: fn(String) -> Test,
    ) -> Option<Test> {
        self.within("value", |p| match value {
            None => p.wrong(Code::Required, "the number or text to compare with"),
            Some(Value::Number(n)) => Some(number(n.clone())),
            Some(Value::String(s)) => Some(text(s.clone())),
            Some(_) => p.wrong(Code::WrongType, "a number or a text"),
        })
    }

    fn one_of(&mut self, value: Option<&Value>) -> Option<Test> {
        self.within("value", |p| match value {
            None => p.wrong(Code::Required, "the list of values"),
            Some(Value::Array(list)) if list.len() > Audience::MAX_VALUES => {
                p.wrong(Code::TooLarge, format!("at most {} values", Audience::MAX_VALUES))
            }
            Some(Value::Array(list)) => match list.iter().position(Value::is_null) {
                Some(i) => p.within(&i.to_string(), |p| {
                    p.wrong(Code::InvalidValue, "null equals nothing; ask with exists")
                }),
                None => Some(Test::OneOf(list.clone())),
            },
            Some(_) => p.wrong(Code::WrongType, "a list of values"),
        })
    }

    fn text(&mut self, value: &Value) -> Option<String> {
        match value.as_str() {
            None => self.wrong(Code::WrongType, "a text"),
            Some(text) if text.is_empty() || text.len() > Audience::MAX_TEXT => {
                self.wrong(Code::InvalidValue, format!("1 to {} bytes", Audience::MAX_TEXT))
            }
            Some(text) => Some(text.to_owned()),
        }
    }

    fn platform(&mut self, value: &Value) -> Option<&'static str> {
        match value.as_str() {
            None => self.wrong(Code::WrongType, "a text: android, ios or web"),
            Some(text) => match Audience::PLATFORMS.into_iter().find(|known| *known == text) {
                None => self.wrong(Code::InvalidValue, "android, ios or web"),
                known => known,
            },
        }
    }

    fn locale(&mut self, value: &Value) -> Option<String> {
        let is_tag = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        match self.text(value)? {
            text if is_tag(&text) => Some(text),
            _ => self.wrong(Code::InvalidValue, "a language tag (BCP 47) such as es or es-MX"),
        }
    }

    fn app_version(&mut self, value: &Value) -> Option<VersionTest> {
        let Some(object) = value.as_object() else {
            return self.wrong(Code::WrongType, "an object with op and value");
        };
        self.refuse_others(object, &["op", "value"]);
        let test = self.within("op", |p| match object.get("op").map(Value::as_str) {
            None => p.wrong(Code::Required, "eq, ne, gt or lt"),
            Some(None) => p.wrong(Code::WrongType, "a text: eq, ne, gt or lt"),
            Some(Some(op)) => match VERSION_TESTS.iter().find(|row| row.0 == op) {
                Some((_, test)) => Some(*test),
                None => p.wrong(Code::InvalidValue, "eq, ne, gt or lt"),
            },
        });
        let version = self.within("value", |p| match object.get("value").map(Value::as_str) {
            None => p.wrong(Code::Required, "the version to compare with"),
            Some(None) => p.wrong(Code::WrongType, "a text such as 2.1.0"),
            Some(Some(text)) => match text.parse::<Version>() {
                Ok(version) => Some(version),
                Err(error) => p.wrong(Code::InvalidValue, error.to_string()),
            },
        });
        Some(test?(version?))
    }

    fn visited(&mut self, value: &Value) -> Option<Audience> {
        let Some(object) = value.as_object() else {
            return self.wrong(Code::WrongType, "an object with zone_id or zone_tag, and within_s");
        };
        self.refuse_others(object, &["zone_id", "zone_tag", "within_s"]);
        let place = match (object.get("zone_id"), object.get("zone_tag")) {
            (Some(_), Some(_)) => self.wrong(Code::UnknownForm, "give zone_id or zone_tag, not both"),
            (None, Some(tag)) => self.within("zone_tag", |p| p.text(tag)).map(Place::Tag),
            (id, None) => self
                .within("zone_id", |p| match id {
                    None => p.wrong(Code::Required, "the zone's id"),
                    Some(id) => match id.as_str().map(str::parse::<ZoneId>) {
                        None => p.wrong(Code::WrongType, "a text: the zone's id"),
                        Some(Err(_)) => p.wrong(Code::InvalidValue, "a zone's id is a UUID"),
                        Some(Ok(zone)) => Some(zone),
                    },
                })
                .map(Place::Zone),
        };
        let within_s = self.within_s(object, Audience::MAX_WITHIN_S);
        Some(Audience::Visited { place: place?, within_s: within_s? })
    }

    fn opened(&mut self, value: &Value) -> Option<Audience> {
        let Some(object) = value.as_object() else {
            return self.wrong(Code::WrongType, "an object with within_s");
        };
        self.refuse_others(object, &["within_s"]);
        let within_s = self.within_s(object, Audience::MAX_OPENED_S)?;
        Some(Audience::Opened { within_s })
    }

    fn within_s(&mut self, object: &Map<String, Value>, most: i64) -> Option<i64> {
        self.within("within_s", |p| match object.get("within_s") {
            None => p.wrong(Code::Required, "how many seconds ago at most"),
            Some(Value::Number(n)) => match n.as_i64() {
                Some(s) if (1..=most).contains(&s) => Some(s),
                _ => p.wrong(Code::InvalidValue, format!("1 to {most} whole seconds")),
            },
            Some(_) => p.wrong(Code::WrongType, "a number of seconds"),
        })
    }

    fn refuse_others(&mut self, object: &Map<String, Value>, members: &[&str]) {
        for member in object.keys().filter(|member| !members.contains(&member.as_str())) {
            self.within(member, |p| {
                p.note(Code::UnknownMember, format!("not known here; there is {}", members.join(", ")));
            });
        }
    }

    fn within<T>(&mut self, member: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(member.replace('~', "~0").replace('/', "~1"));
        let result = work(self);
        self.path.pop();
        result
    }

    fn wrong<T>(&mut self, code: Code, detail: impl Into<String>) -> Option<T> {
        self.note(code, detail);
        None
    }

    fn note(&mut self, code: Code, detail: impl Into<String>) {
        let pointer = self.path.iter().map(|part| format!("/{part}")).collect();
        self.errors.push(AudienceError { pointer, code, detail: detail.into() });
    }
}
