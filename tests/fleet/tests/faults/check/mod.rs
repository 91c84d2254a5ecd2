//! Whether a history is one that a right system could have had. Pure: everything is in the [`History`].
//!
//! Each way is checked on its own, so that a violation says where it began: requests against the pings' topic; pings,
//! through the reference, against the transitions; the transitions against pushes, their ends, and what the stand-ins
//! took; the topics against what the API tells.

mod pings;
mod pushes;
mod sends;
mod told;
mod transitions;
mod zone_of_device;

#[cfg(test)]
mod tests;

use crate::history::History;

/// The kinds of violation told at most; one bug breaks a thousand things.
const MOST_TOLD: usize = 20;

/// Something that must never be, in words that a person can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub kind: Kind,
    pub text: String,
}

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    LostFix,
    ForeignFix,
    Transition,
    Sequence,
    Order,
    Push,
    End,
    SentTwice,
    Told,
    Totals,
}

/// Collects violations.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, kind: Kind, text: String) {
        self.0.push(Violation { kind, text });
    }
}

/// Everything that is wrong with a history.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Violations::default();
    pings::check(history, &mut found);
    transitions::check(history, &mut found);
    pushes::check(history, &mut found);
    sends::check(history, &mut found);
    told::check(history, &mut found);
    found.0
}

/// The first few of each kind, one a line.
pub fn told(violations: &[Violation]) -> String {
    let mut kinds: Vec<Kind> = violations.iter().map(|violation| violation.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut lines = Vec::new();
    for kind in kinds {
        let all: Vec<_> = violations.iter().filter(|violation| violation.kind == kind).collect();
        lines.push(format!("{kind:?}: {}", all.len()));
        lines.extend(all.iter().take(MOST_TOLD).map(|violation| format!("  {}", violation.text)));
    }
    lines.join("\n")
}
