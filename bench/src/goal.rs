//! A number that was promised.

use serde::{Deserialize, Deserializer, Serialize};

use crate::table::shown;

/// A number that was promised, and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What it is about.
    pub name: String,
    /// Its unit; empty for a ratio.
    pub unit: String,
    /// What was measured; NaN, and null in JSON, if nothing was.
    #[serde(deserialize_with = "nan_of_null")]
    pub value: f64,
    /// What was promised.
    pub target: Target,
}

/// What was promised of a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
}

impl Goal {
    /// A number that is to be no less than `target`.
    pub fn at_least(name: &str, unit: &str, value: f64, target: f64) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned(), value, target: Target::AtLeast(target) }
    }

    /// A number that is to be no more than `target`.
    pub fn at_most(name: &str, unit: &str, value: f64, target: f64) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned(), value, target: Target::AtMost(target) }
    }

    /// Whether the promise is kept.
    pub fn is_met(&self) -> bool {
        match self.target {
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
        }
    }

    /// What was promised, in words.
    pub fn told(&self) -> String {
        let (words, target) = match self.target {
            Target::AtLeast(target) => ("at least", target),
            Target::AtMost(target) => ("at most", target),
        };
        format!("{words} {} {}", shown(target), self.unit).trim_end().to_owned()
    }
}

fn nan_of_null<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_kept_at_its_bound_and_broken_beyond_it() {
        for (value, least, most) in [(0.89, false, true), (0.9, true, true), (0.91, true, false)] {
            assert_eq!(Goal::at_least("n", "", value, 0.9).is_met(), least, "{value}");
            assert_eq!(Goal::at_most("n", "", value, 0.9).is_met(), most, "{value}");
        }
        let unmeasured = Goal::at_least("n", "", f64::NAN, 0.9);
        assert!(!unmeasured.is_met(), "what was not measured is no success");
        let read: Goal = serde_json::from_value(serde_json::to_value(&unmeasured).unwrap()).unwrap();
        assert!(read.value.is_nan());
        assert_eq!(Goal::at_most("n", "ms", 1.0, 60.0).told(), "at most 60 ms");
    }
}
