//! Versions of apps, as they are compared.

use std::cmp::Ordering;
use std::str::FromStr;

/// A version: numbers with dots between them. Missing ones are 0, so that 2.1 is 2.1.0; what follows the first part that
/// is not a number alone (`-beta`, a build's number in parentheses) does not count.
#[derive(Clone, Debug)]
pub struct Version(Vec<u64>);

/// A text that begins with no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version is numbers with dots between them, such as 2.1.0")]
pub struct InvalidVersion;

/// Longer versions are none: phones tell them.
const MAX_LEN: usize = 64;

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(InvalidVersion);
        }
        let mut numbers = Vec::new();
        for part in text.strip_prefix(['v', 'V']).unwrap_or(text).split('.') {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let Ok(number) = part[..digits].parse() else { break };
            numbers.push(number);
            if digits < part.len() {
                break;
            }
        }
        if numbers.is_empty() { Err(InvalidVersion) } else { Ok(Self(numbers)) }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let number = |version: &Self, i| version.0.get(i).copied().unwrap_or(0);
        let longest = self.0.len().max(other.0.len());
        (0..longest).map(|i| number(self, i)).cmp((0..longest).map(|i| number(other, i)))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_numbers() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        for (less, more) in
            [("2.9", "2.10"), ("2.1.0", "2.1.1"), ("9", "10.0"), ("1", "1.0.1"), ("v1.2", "1.3-beta")]
        {
            assert!(version(less) < version(more), "{less} {more}");
        }
        for (one, other) in [("2.1", "2.1.0"), ("2.1.0-beta", "2.1.0"), ("v2", "2"), ("2.1 (77)", "2.1")] {
            assert_eq!(version(one), version(other));
        }
        for bad in ["", "beta", ".1", "-1", &"1".repeat(65), &"9".repeat(30)] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }
}
