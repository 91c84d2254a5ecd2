//! What stands between the braces of a template, as far as it must be known before the engine reads it.

use super::engine::{FILTERS, TESTS};

/// Statements that there are; the engine has more.
const STATEMENTS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];

/// Whether a text has anything for the engine.
pub(super) fn is_template(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| matches!(pair, b"{{" | b"{%" | b"{#"))
}

/// One thing between braces, without its strings.
struct Tag {
    is_statement: bool,
    code: String,
}

/// What a template asks of the engine that it may not have, or that would let it grow without bounds.
///
/// Names can be bound by `for` alone, and what is bound there can't be joined to itself with `~` or `+`: so a text can't
/// be doubled again and again.
pub(super) fn refuse(text: &str) -> Result<(), String> {
    let tags = tags(text);
    let statement = |tag: &Tag| {
        let word = tag.code.split_whitespace().next().unwrap_or_default().to_owned();
        tag.is_statement.then_some(word)
    };
    let statements: Vec<String> = tags.iter().filter_map(statement).collect();
    if let Some(other) = statements.iter().find(|word| !STATEMENTS.contains(&word.as_str())) {
        return Err(format!("there is no {{% {other} %}} here; there is {}", STATEMENTS.join(", ")));
    }
    if tags.iter().any(|tag| tag.code.contains('*')) {
        return Err("* is not there; send the product as an attribute or property".to_owned());
    }
    let loops = statements.iter().any(|word| word == "for");
    if loops && tags.iter().any(|tag| tag.code.contains(['~', '+'])) {
        return Err(
            "~ and + are not there in a text with a loop; write the parts one after another".to_owned()
        );
    }
    for tag in &tags {
        for part in tag.code.split('|').skip(1) {
            known("filter", word(part), &FILTERS.map(|(name, _)| name))?;
        }
        let mut words = tag.code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        while words.by_ref().any(|word| word == "is") {
            let mut rest = words.clone().filter(|word| !word.is_empty());
            let test = rest.next().filter(|word| *word != "not").or_else(|| rest.next());
            known("test", test.unwrap_or_default(), &TESTS.map(|(name, _)| name))?;
        }
    }
    Ok(())
}

fn known(what: &str, name: &str, all: &[&str]) -> Result<(), String> {
    match all.contains(&name) {
        true => Ok(()),
        false => Err(format!("there is no {what} {name:?}; there is {}", all.join(", "))),
    }
}

/// The name that a text begins with.
fn word(text: &str) -> &str {
    let text = text.trim_start();
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// Every tag, as the engine would find them; what is not closed is its to complain of.
fn tags(mut text: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    while let Some(at) = text.find('{') {
        let (is_statement, end) = match text.as_bytes().get(at + 1) {
            Some(b'{') => (false, "}}"),
            Some(b'%') => (true, "%}"),
            Some(b'#') => {
                let comment = &text[at..];
                text = comment.find("#}").map_or("", |end| &comment[end + 2..]);
                continue;
            }
            _ => {
                text = &text[at + 1..];
                continue;
            }
        };
        let (code, rest) = code(&text[at + 2..], end);
        let code = code.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).to_owned();
        tags.push(Tag { is_statement, code });
        text = rest;
    }
    tags
}

/// What stands before `end`, without its strings, and what comes after.
fn code<'a>(text: &'a str, end: &str) -> (String, &'a str) {
    let mut code = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if text[at..].starts_with(end) {
            return (code, &text[at + end.len()..]);
        }
        if c == '"' || c == '\'' {
            while let Some((_, inner)) = chars.next() {
                match inner {
                    '\\' => drop(chars.next()),
                    _ if inner == c => break,
                    _ => {}
                }
            }
            code.push(' ');
        } else {
            code.push(c);
        }
    }
    (code, "")
}
