//! Reads keys, and remembers everything that is wrong until the end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::describe::{Described, Description};
use super::error::{ConfigError, ConfigErrors};
use super::sources::{Found, Given, Origin, Sources, flag_name, variable_name};
use super::value::{FromConfig, read};

/// How far, in edits, a name may be from one that we suggest instead.
const NEAR: usize = 3;

/// Reads keys from what was given.
#[derive(Debug)]
pub struct Reader {
    pub(super) given: Given,
    pub(super) errors: Vec<ConfigError>,
    pub(super) read: BTreeMap<String, Described>,
    /// Keys whose names below them are not ours.
    pub(super) tables: BTreeSet<String>,
}

impl Reader {
    /// Takes the sources; what is wrong with them is told by [`Self::finish`].
    pub fn new(sources: Sources) -> Self {
        let mut errors = Vec::new();
        let given = Given::new(sources, &mut errors);
        Self { given, errors, read: BTreeMap::new(), tables: BTreeSet::new() }
    }

    /// Begins to read a key, say what it is for, and end with [`Key::or`], [`Key::optional`] or [`Key::required`].
    ///
    /// A key that several roles share may be read again, with the same default.
    pub fn key<T: FromConfig>(&mut self, key: impl Into<String>, about: &'static str) -> Key<'_, T> {
        Key { reader: self, key: key.into(), about, within: None, check: None }
    }

    /// The key's value, if given.
    pub fn optional<T: FromConfig>(&mut self, key: &str, about: &'static str) -> Option<T> {
        self.key(key, about).optional()
    }

    /// The key's value, or the default.
    pub fn with_default<T: FromConfig>(&mut self, key: &str, about: &'static str, default: T) -> T {
        self.key(key, about).or(default)
    }

    /// Whether a key that was read has a value from any source, right or wrong.
    pub fn is_given(&self, key: &str) -> bool {
        self.read.get(key).is_some_and(|described| described.origin != Origin::Default)
    }

    /// Adds an error of a key that was read: what can be seen only beside other keys.
    pub fn reject(&mut self, key: &str, problem: impl Into<String>) {
        let origin = self.read.get(key).map_or(Origin::Default, |described| described.origin.clone());
        self.errors.push(ConfigError { key: key.to_owned(), origin, problem: problem.into() });
    }

    /// Every key that was read, in order, with its value and where that came from.
    pub fn describe(&self) -> Description {
        Description(self.read.values().cloned().collect())
    }

    /// Ends reading.
    ///
    /// # Errors
    /// Everything that is wrong, with what was given and read by nobody.
    pub fn finish(mut self) -> Result<(), ConfigErrors> {
        self.find_unknown();
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }

    fn find_unknown(&mut self) {
        let spelled: [(&BTreeMap<String, Found>, Spell); 3] = [
            (&self.given.file, str::to_owned),
            (&self.given.variables, variable_name),
            (&self.given.flags, flag_name),
        ];
        for (given, spell) in spelled {
            let known: BTreeSet<String> = self.read.keys().map(|key| spell(key)).collect();
            let in_table = |name: &str| {
                self.tables
                    .iter()
                    .any(|table| name.strip_prefix(&spell(table)).is_some_and(|rest| rest.starts_with('.')))
            };
            for (name, found) in given.iter().filter(|(name, _)| !known.contains(*name) && !in_table(name)) {
                let section = known
                    .range(format!("{name}.")..)
                    .next()
                    .filter(|key| key.starts_with(&format!("{name}.")));
                let problem = match (section, nearest(name, &known)) {
                    (Some(_), _) => format!("is a section; write [{name}] with its keys below"),
                    (None, Some(near)) => format!("there is no such key; did you mean {near}?"),
                    (None, None) => "there is no such key; remove it".to_owned(),
                };
                self.errors.push(ConfigError { key: name.clone(), origin: found.origin.clone(), problem });
            }
        }
    }
}

/// How a key is spelled in a source.
type Spell = fn(&str) -> String;

/// The known name that `name` was most likely meant to be.
fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    let same_word = |near: &str| near.rsplit('.').next() == name.rsplit('.').next();
    known
        .iter()
        .map(|near| (strsim::osa_distance(name, near), !same_word(near), near.as_str()))
        .min()
        .filter(|(distance, elsewhere, _)| *distance <= NEAR.min(name.len() / 3) || !elsewhere)
        .map(|(_, _, near)| near)
}

type Check<'r, T> = Box<dyn Fn(&T) -> Result<(), String> + 'r>;

/// A key about to be read.
pub struct Key<'r, T> {
    reader: &'r mut Reader,
    key: String,
    about: &'static str,
    within: Option<String>,
    check: Option<Check<'r, T>>,
}

impl<'r, T: FromConfig> Key<'r, T> {
    /// Refuses values outside this range.
    #[must_use]
    pub fn within(mut self, range: RangeInclusive<T>) -> Self
    where
        T: PartialOrd + 'r,
    {
        let shown = format!("{} to {}", range.start().show(), range.end().show());
        self.within = Some(shown.clone());
        self.check(move |value| {
            if range.contains(value) {
                return Ok(());
            }
            Err(format!("`{}` is out of range; give a value from {shown}", value.show()))
        })
    }

    /// Refuses values that this refuses, with its words (which should say what to write instead).
    #[must_use]
    pub fn check(mut self, check: impl Fn(&T) -> Result<(), String> + 'r) -> Self
    where
        T: 'r,
    {
        self.check = Some(match self.check.take() {
            None => Box::new(check),
            Some(first) => Box::new(move |value| first(value).and_then(|()| check(value))),
        });
        self
    }

    /// The value, or this if none was given (or a wrong one, which [`Reader::finish`] tells).
    pub fn or(self, default: T) -> T {
        let shown = default.show();
        self.take(Some(shown), false).unwrap_or(default)
    }

    /// The value, if one was given.
    pub fn optional(self) -> Option<T> {
        self.take(None, false)
    }

    /// The value; [`Reader::finish`] fails if none was given.
    pub fn required(self) -> Option<T> {
        self.take(None, true)
    }

    /// Reads every source's value, so that each wrong one is told, and takes the last source's.
    fn take(self, default: Option<String>, required: bool) -> Option<T> {
        let Self { reader, key, about, within, check } = self;
        let given = &reader.given;
        let founds = [
            given.file.get(&key),
            given.variables.get(&variable_name(&key)),
            given.flags.get(&flag_name(&key)),
        ];
        let mut taken: Option<T> = None;
        let mut origin = Origin::Default;
        let first_time = !reader.read.contains_key(&key);
        for found in founds.into_iter().flatten() {
            let value = read::<T>(&found.raw).and_then(|value| match &check {
                Some(check) => check(&value).map(|()| value),
                None => Ok(value),
            });
            origin = found.origin.clone();
            match value {
                Ok(value) => taken = Some(value),
                Err(problem) if first_time => {
                    let origin = found.origin.clone();
                    reader.errors.push(ConfigError { key: key.clone(), origin, problem });
                }
                Err(_) => {}
            }
        }
        if required && origin == Origin::Default && first_time {
            let (variable, flag) = (variable_name(&key), flag_name(&key));
            let problem = format!("is needed: {about}; set {key} in the file, {variable} or {flag}");
            reader.errors.push(ConfigError { key: key.clone(), origin: Origin::Default, problem });
        }
        let described = Described {
            value: taken.as_ref().map(T::show).or_else(|| default.clone()),
            key: key.clone(),
            origin,
            default,
            expected: T::EXPECTED,
            within,
            about,
        };
        reader.read.insert(key, described);
        taken
    }
}
