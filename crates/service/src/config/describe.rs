//! What holds, for `geopush check-config` and for the documentation.

use std::fmt;

use super::sources::{Origin, flag_name, variable_name};

/// A key that was read. Secrets' values are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The dotted key.
    pub key: String,
    /// The value that holds; `None` if there is neither value nor default.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
    /// The default.
    pub default: Option<String>,
    /// What a value looks like.
    pub expected: &'static str,
    /// The range of values, where there is one.
    pub within: Option<String>,
    /// What it is for.
    pub about: &'static str,
}

impl Described {
    /// The variable that sets it.
    pub fn variable(&self) -> String {
        variable_name(&self.key)
    }

    /// The flag that sets it.
    pub fn flag(&self) -> String {
        flag_name(&self.key)
    }
}

/// Every key that was read, by key. `Display` writes a line a key: what holds and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(pub Vec<Described>);

impl Description {
    /// A Markdown table of the keys and their defaults, for the documentation.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| key | variable | flag | default | what it is | value |\n|---|---|---|---|---|---|\n",
        );
        for key in &self.0 {
            let default = key.default.as_ref().map_or_else(String::new, |default| format!("`{default}`"));
            let within = key.within.as_ref().map_or_else(String::new, |range| format!(", {range}"));
            let (name, variable, flag) = (&key.key, key.variable(), key.flag());
            let (about, expected) = (key.about, key.expected);
            text += &format!(
                "| `{name}` | `{variable}` | `{flag}` | {default} | {about} | {expected}{within} |\n"
            );
        }
        text
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: Vec<String> = self
            .0
            .iter()
            .map(|key| match &key.value {
                Some(value) => format!("{} = {value:?}", key.key),
                None => format!("{} is not set", key.key),
            })
            .collect();
        let width = said.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(60);
        for (key, line) in self.0.iter().zip(said) {
            writeln!(f, "{line:width$}  # {}", key.origin)?;
        }
        Ok(())
    }
}
