//! What a PromQL expression asks for: its selectors and the labels that it groups by. Not a full parser: it reads
//! the words of an expression and knows which of them are the language's own.

use std::collections::BTreeSet;

/// A metric as an expression names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

/// `label="value"`, or with one of the other operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    pub label: String,
    pub operator: String,
    pub value: String,
}

/// An expression, as far as it must be known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expression {
    pub selectors: Vec<Selector>,
    /// Of `by`, `on` and `group_left` or `group_right`.
    pub groupings: BTreeSet<String>,
}

const GROUPING: [&str; 4] = ["by", "on", "group_left", "group_right"];
/// Words that stand where a metric could, and are none.
const WORDS: [&str; 7] = ["or", "and", "unless", "offset", "bool", "inf", "nan"];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

/// Reads an expression; panics at what it does not know, since that would be passed over.
pub fn read(expression: &str) -> Expression {
    let tokens = tokens(expression);
    let mut read = Expression::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let Token::Word(word) = token else { continue };
        let opens = |sign: &str| tokens.get(at) == Some(&Token::Sign(sign.to_owned()));
        if GROUPING.contains(&word.as_str()) {
            assert!(opens("("), "{word} has no labels in {expression}");
            while tokens[at] != Token::Sign(")".to_owned()) {
                if let Token::Word(label) = &tokens[at] {
                    read.groupings.insert(label.clone());
                }
                at += 1;
            }
        } else if is_name(word) && !WORDS.contains(&word.as_str()) {
            // What opens a parenthesis, or is followed by its grouping, is a function.
            let grouped =
                matches!(tokens.get(at), Some(Token::Word(next)) if next == "by" || next == "without");
            if opens("(") || grouped {
                continue;
            }
            let mut matchers = Vec::new();
            if opens("{") {
                while tokens[at] != Token::Sign("}".to_owned()) {
                    if let [Token::Word(label), Token::Sign(operator), Token::Text(value)] =
                        &tokens[at + 1..at + 4]
                    {
                        let (label, operator, value) = (label.clone(), operator.clone(), value.clone());
                        matchers.push(Matcher { label, operator, value });
                        at += 4;
                    } else {
                        panic!("a matcher can't be read in {expression}");
                    }
                }
            }
            read.selectors.push(Selector { metric: word.clone(), matchers });
        }
    }
    read
}

/// Numbers and durations begin with a digit.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => {
                let end = rest[1..].find('"').expect("a string ends") + 2;
                tokens.push(Token::Text(rest[1..end - 1].to_owned()));
                end
            }
            // A range: [5m], [$__rate_interval].
            '[' => rest.find(']').expect("a range ends") + 1,
            c if c.is_ascii_alphanumeric() || c == '_' || c == ':' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_:.".contains(c)));
                let end = end.unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
            _ => {
                let long =
                    ["=~", "!~", "!=", "==", ">=", "<="].into_iter().find(|sign| rest.starts_with(sign));
                let sign = long.map_or(first.to_string(), ToOwned::to_owned);
                let end = sign.len();
                tokens.push(Token::Sign(sign));
                end
            }
        };
        rest = rest[taken..].trim_start();
    }
    tokens
}
