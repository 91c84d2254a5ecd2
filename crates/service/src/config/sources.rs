//! Where values come from, and the spellings of a key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;

/// What every variable of ours begins with.
const PREFIX: &str = "GEOPUSH_";

/// The variable that sets a key: `ingest.addr` is set by `GEOPUSH_INGEST_ADDR`.
pub fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

/// The flag that sets a key: `ingest.max_body` is set by `--ingest-max-body`.
pub fn flag_name(key: &str) -> String {
    format!("--{}", key.replace(['.', '_'], "-"))
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// A file, and the line in it (0 where there is none to name).
    File(PathBuf, usize),
    /// This environment variable.
    Variable(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// What was given, unread.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file's path and text.
    pub file: Option<(PathBuf, String)>,
    /// Environment variables; those that don't begin with `GEOPUSH_`, and empty ones, are passed over.
    pub variables: Vec<(String, String)>,
    /// Flags as (dotted key or flag name, value); a bare flag has the value `true`.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The file, if one is named, the process's environment, and the flags.
    ///
    /// # Errors
    /// A file that can't be read, or a variable of ours that is not UTF-8.
    pub fn load(file: Option<&Path>, flags: Vec<(String, String)>) -> Result<Self, super::ConfigErrors> {
        let mut errors = Vec::new();
        let file = file.and_then(|path| match std::fs::read_to_string(path) {
            Ok(text) => Some((path.to_owned(), text)),
            Err(error) => {
                let problem = format!("can't be read: {error}; name a readable TOML file with --config");
                let origin = Origin::File(path.to_owned(), 0);
                errors.push(ConfigError { key: String::new(), origin, problem });
                None
            }
        });
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            match OsString::into_string(value) {
                Ok(value) => variables.push((name.to_owned(), value)),
                Err(_) => errors.push(ConfigError {
                    key: String::new(),
                    origin: Origin::Variable(name.to_owned()),
                    problem: "its value is not UTF-8".into(),
                }),
            }
        }
        if errors.is_empty() { Ok(Self { file, variables, flags }) } else { Err(super::ConfigErrors(errors)) }
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// A scalar, in its own spelling.
    Text(String),
    /// A TOML array of scalars.
    List(Vec<String>),
    /// Something no key takes: the TOML type's name.
    Unfit(&'static str),
}

/// A value and where it stood.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub origin: Origin,
    pub raw: Raw,
}

/// Everything that was given, by source and spelling. Later sources win, and the last of repeated flags.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub file: BTreeMap<String, Found>,
    pub variables: BTreeMap<String, Found>,
    pub flags: BTreeMap<String, Found>,
}

impl Given {
    /// Sorts the sources; a file that is not TOML gives its errors and none of its values.
    pub fn new(sources: Sources, errors: &mut Vec<ConfigError>) -> Self {
        let mut given = Self::default();
        if let Some((path, text)) = sources.file {
            let (document, bad) = DeTable::parse_recoverable(&text);
            for error in &bad {
                let line = error.span().map_or(0, |span| line_of(&text, span.start));
                errors.push(ConfigError {
                    key: String::new(),
                    origin: Origin::File(path.clone(), line),
                    problem: format!("is not TOML: {}", error.message().replace('\n', ", ")),
                });
            }
            if bad.is_empty() {
                flatten("", document.get_ref(), &path, &text, &mut given.file);
            }
        }
        for (name, value) in sources.variables {
            if name.starts_with(PREFIX) && !value.is_empty() {
                let found = Found { origin: Origin::Variable(name.clone()), raw: Raw::Text(value) };
                given.variables.insert(name, found);
            }
        }
        for (name, value) in sources.flags {
            let flag = flag_name(name.trim_start_matches('-'));
            let found = Found { origin: Origin::Flag(flag.clone()), raw: Raw::Text(value) };
            given.flags.insert(flag, found);
        }
        given
    }
}

fn flatten(prefix: &str, table: &DeTable<'_>, path: &Path, text: &str, into: &mut BTreeMap<String, Found>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        if let DeValue::Table(inner) = value.get_ref() {
            flatten(&key, inner, path, text, into);
        } else {
            let origin = Origin::File(path.to_owned(), line_of(text, name.span().start));
            into.insert(key, Found { origin, raw: raw(value) });
        }
    }
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    if let DeValue::Array(items) = value.get_ref() {
        let items: Option<Vec<String>> = items.iter().map(|item| scalar(item.get_ref())).collect();
        return items.map_or(Raw::Unfit("an array of arrays or tables"), Raw::List);
    }
    scalar(value.get_ref()).map_or_else(|| Raw::Unfit(value.get_ref().type_str()), Raw::Text)
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(digits) => {
            let spelled = digits.as_str();
            Some(i128::from_str_radix(spelled, digits.radix()).map_or(spelled.to_owned(), |n| n.to_string()))
        }
        DeValue::Float(digits) => Some(digits.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
