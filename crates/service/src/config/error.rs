//! What is wrong with the configuration, all of it.

use std::fmt;

use super::sources::Origin;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The dotted key, or as much of a name as there was.
    pub key: String,
    /// Where it was found.
    pub origin: Origin,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return write!(f, "{}: {}", self.origin, self.problem);
        }
        write!(f, "{} ({}): {}", self.key, self.origin, self.problem)
    }
}

/// Everything that is wrong, one a line, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "the configuration has an error:")?,
            n => writeln!(f, "the configuration has {n} errors:")?,
        }
        for error in &self.0 {
            writeln!(f, "  {error}")?;
        }
        f.write_str(
            "correct them and try again; `geopush check-config` lists every key with its value and origin",
        )
    }
}
