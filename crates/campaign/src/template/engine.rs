//! The engine, with what templates may use of it, and no more.

use std::io;
use std::sync::LazyLock;

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, escape_formatter, filters, tests};
use serde_json::Value as Json;

/// Instructions that filling in one template may take; a text of a few kB without loops takes hundreds.
const FUEL: u64 = 20_000;
/// The most that a filter may make, in bytes.
const MAX_PART: usize = 64 * 1024;
/// The most that a template may make, in bytes: far more than any provider takes.
const MAX_OUTPUT: usize = 16 * 1024;

type Add = fn(&mut Environment<'static>, &'static str);

/// The filters that there are.
pub(super) const FILTERS: [(&str, Add); 15] = [
    ("abs", |env, name| env.add_filter(name, filters::abs)),
    ("capitalize", |env, name| env.add_filter(name, filters::capitalize)),
    ("default", |env, name| env.add_filter(name, filters::default)),
    ("first", |env, name| env.add_filter(name, filters::first)),
    ("float", |env, name| env.add_filter(name, filters::float)),
    ("int", |env, name| env.add_filter(name, filters::int)),
    ("join", |env, name| env.add_filter(name, join)),
    ("last", |env, name| env.add_filter(name, filters::last)),
    ("length", |env, name| env.add_filter(name, filters::length)),
    ("lower", |env, name| env.add_filter(name, filters::lower)),
    ("replace", |env, name| env.add_filter(name, replace)),
    ("round", |env, name| env.add_filter(name, filters::round)),
    ("title", |env, name| env.add_filter(name, filters::title)),
    ("trim", |env, name| env.add_filter(name, filters::trim)),
    ("upper", |env, name| env.add_filter(name, filters::upper)),
];

/// The tests that there are.
pub(super) const TESTS: [(&str, Add); 8] = [
    ("defined", |env, name| env.add_test(name, tests::is_defined)),
    ("undefined", |env, name| env.add_test(name, tests::is_undefined)),
    ("number", |env, name| env.add_test(name, tests::is_number)),
    ("string", |env, name| env.add_test(name, tests::is_string)),
    ("sequence", |env, name| env.add_test(name, tests::is_sequence)),
    ("startingwith", |env, name| env.add_test(name, tests::is_startingwith)),
    ("endingwith", |env, name| env.add_test(name, tests::is_endingwith)),
    ("in", |env, name| env.add_test(name, tests::is_in)),
];

static EMPTY: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::empty();
    FILTERS.iter().for_each(|(name, add)| add(&mut env, name));
    TESTS.iter().for_each(|(name, add)| add(&mut env, name));
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_syntax(
        minijinja::syntax::SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()
            .expect("the usual braces"),
    );
    env.set_fuel(Some(FUEL));
    env.set_formatter(|out, state, value| match value.kind() {
        ValueKind::None => Err(Error::new(ErrorKind::UndefinedError, "it is null")),
        _ => escape_formatter(out, state, value),
    });
    env
});

/// An engine without templates.
pub(super) fn environment() -> Environment<'static> {
    EMPTY.clone()
}

/// Reads a template, to be known by its pointer; or says what is wrong with it.
pub(super) fn add(engine: &mut Environment<'static>, pointer: &str, text: &str) -> Result<(), String> {
    super::tags::refuse(text)?;
    engine.add_template_owned(pointer.to_owned(), text.to_owned()).map_err(|error| said(&error))
}

/// Fills in the template of that pointer; or says why that can't be.
pub(super) fn fill(engine: &Environment<'static>, pointer: &str, context: &Value) -> Result<String, String> {
    let template = engine.get_template(pointer).map_err(|error| said(&error))?;
    let mut output = Output(Vec::new());
    template.render_captured_to(context.clone(), &mut output).map_err(|error| said(&error))?;
    String::from_utf8(output.0).map_err(|error| error.to_string())
}

/// An error without the name of the template, which its pointer says.
fn said(error: &Error) -> String {
    match (error.detail(), error.kind()) {
        (_, ErrorKind::OutOfFuel) => "it takes too long; make it simpler".to_owned(),
        (_, ErrorKind::WriteFailure) => format!("it says more than {MAX_OUTPUT} bytes; make it shorter"),
        (None, ErrorKind::UndefinedError) => {
            "it names what is not there; give a default, as in {{ device.attributes.name | default(\"you\") }}"
                .to_owned()
        }
        (Some(detail), kind) => format!("{kind}: {detail}"),
        (None, kind) => kind.to_string(),
    }
}

/// What templates are told, as the engine has it. What is null is missing, so that defaults apply to it.
pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::UNDEFINED,
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => number.as_f64().map_or(Value::UNDEFINED, Value::from),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(list) => Value::from_iter(list.iter().map(value)),
        Json::Object(members) => Value::from_pairs(
            members
                .iter()
                .filter(|(_, json)| !json.is_null())
                .map(|(name, json)| (name.as_str(), value(json))),
        ),
    }
}

/// What was said so far.
struct Output(Vec<u8>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_long() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("a filter makes more than {MAX_PART} bytes"))
}

/// As the engine's own, within bounds.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands over what it made for the filter")]
fn join(list: &Value, between: Option<String>) -> Result<String, Error> {
    let mut joined = String::new();
    for (i, item) in list.try_iter()?.enumerate() {
        if let Some(between) = between.as_ref().filter(|_| i > 0) {
            joined.push_str(between);
        }
        joined.push_str(&item.to_string());
        if joined.len() > MAX_PART {
            return Err(too_long());
        }
    }
    Ok(joined)
}

/// As the engine's own, within bounds.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands over what it made for the filter")]
fn replace(text: String, from: String, to: String) -> Result<String, Error> {
    let grown = text.matches(&from).count().saturating_mul(to.len());
    if text.len().saturating_add(grown) > MAX_PART {
        return Err(too_long());
    }
    Ok(text.replace(&from, &to))
}
