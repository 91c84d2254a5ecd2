//! A key that holds a table of texts, whose names are not ours: settings passed through to a library.

use std::collections::BTreeMap;

use super::describe::Described;
use super::error::ConfigError;
use super::reader::Reader;
use super::sources::{Found, Origin, Raw, flag_name, variable_name};
use super::value::Secret;

/// Names with their values, or what is wrong with them.
type Entries = Result<Vec<(String, String)>, String>;

const EXPECTED: &str =
    "name=value pairs with commas between them, `\\,` for a comma in a value; a table in the file";

impl Reader {
    /// A table of names and values, any of which may be secret: none is ever shown.
    ///
    /// The file holds it as a table (`[key]` with a line a name; dots in a name need no quotes), a variable or a flag
    /// as `name=value,name=value`. Later sources win name by name. `check` refuses a name, with its words.
    pub fn table(
        &mut self,
        key: &str,
        about: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> BTreeMap<String, Secret> {
        let (mut table, mut origin) = (BTreeMap::new(), Origin::Default);
        for (found, entries) in self.entries(key) {
            origin = found.origin.clone();
            let mut reject = |problem: String| {
                self.errors.push(ConfigError { key: key.to_owned(), origin: found.origin.clone(), problem });
            };
            match entries {
                Err(problem) => reject(problem),
                Ok(entries) => {
                    for (name, value) in entries {
                        match check(&name) {
                            Ok(()) => drop(table.insert(name, Secret::new(value))),
                            Err(problem) => reject(format!("`{name}` {problem}")),
                        }
                    }
                }
            }
        }
        let shown: Vec<String> = table.keys().map(|name| format!("{name}=********")).collect();
        let described = Described {
            key: key.to_owned(),
            value: (!shown.is_empty()).then(|| shown.join(",")),
            origin,
            default: None,
            expected: EXPECTED,
            within: None,
            about,
        };
        self.read.insert(key.to_owned(), described);
        self.tables.insert(key.to_owned());
        table
    }

    /// What each source has under the key, the last to win last.
    fn entries(&self, key: &str) -> Vec<(Found, Entries)> {
        let prefix = format!("{key}.");
        let lines = self.given.file.iter().filter_map(|(name, found)| {
            let name = name.strip_prefix(&prefix)?;
            let entry = match &found.raw {
                Raw::Text(value) => Ok(vec![(name.to_owned(), value.clone())]),
                Raw::List(_) => Err(format!("`{name}` is an array; write it as one text")),
                Raw::Unfit(kind) => Err(format!("`{name}` is {kind}; write it as one text")),
            };
            Some((found.clone(), entry))
        });
        let whole = [
            self.given.file.get(key),
            self.given.variables.get(&variable_name(key)),
            self.given.flags.get(&flag_name(key)),
        ];
        let whole = whole.into_iter().flatten().map(|found| {
            let pairs = match &found.raw {
                Raw::Text(text) => pairs(text),
                Raw::List(_) | Raw::Unfit(_) => None,
            };
            (found.clone(), pairs.ok_or_else(|| format!("its value is not {EXPECTED}")))
        });
        lines.chain(whole).collect()
    }
}

/// `a=b,c=d`; a value may hold `=`, and `\,` for a comma.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut items = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        match (char, rest.peek()) {
            (',', _) => items.push(String::new()),
            ('\\', Some(',')) => items.last_mut()?.extend(rest.next()),
            _ => items.last_mut()?.push(char),
        }
    }
    let pair = |item: &String| {
        let (name, value) = item.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        (!name.is_empty() && !value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
    };
    items.iter().filter(|item| !item.trim().is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    const KEY: &str = "kafka.properties";

    type Read = (BTreeMap<String, Secret>, String, Vec<String>);

    fn read(file: &str, variable: &str, flag: &str) -> Read {
        let mut reader = Reader::new(Sources {
            file: Some(("geopush.toml".into(), file.to_owned())),
            variables: vec![("GEOPUSH_KAFKA_PROPERTIES".to_owned(), variable.to_owned())],
            flags: match flag {
                "" => vec![],
                flag => vec![(KEY.to_owned(), flag.to_owned())],
            },
        });
        let ours = |name: &str| match name {
            "acks" => Err("is ours to set; remove it".to_owned()),
            _ => Ok(()),
        };
        let table = reader.table(KEY, "passed through", ours);
        let shown = reader.describe().to_string();
        let errors = reader.finish().err().map_or_else(Vec::new, |errors| errors.0);
        (table, shown, errors.iter().map(ToString::to_string).collect())
    }

    fn plain(table: &BTreeMap<String, Secret>) -> Vec<(&str, &str)> {
        table.iter().map(|(name, value)| (name.as_str(), value.expose())).collect()
    }

    #[test]
    fn a_table_is_put_together_from_its_sources_name_by_name() {
        let file = "[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\nsasl.username = \"a\"\nsocket.timeout.ms = 3000\n";
        let (table, shown, errors) = read(file, "sasl.username=b, sasl.password=p=1\\,2", "");
        assert_eq!(errors, [] as [String; 0]);
        let expected = [
            ("sasl.password", "p=1,2"),
            ("sasl.username", "b"),
            ("security.protocol", "SASL_SSL"),
            ("socket.timeout.ms", "3000"),
        ];
        assert_eq!(plain(&table), expected);
        assert!(shown.contains("sasl.password=********") && !shown.contains("p=1"), "{shown}");
        assert!(!format!("{table:?}").contains("p=1"));
        assert_eq!(plain(&read(file, "sasl.username=b", "sasl.username=c").0)[0], ("sasl.username", "c"));
    }

    #[test]
    fn what_is_no_table_is_told_without_its_value() {
        let (_, _, errors) =
            read("[kafka.properties]\nacks = 1\nlist = [\"hush\"]", "sasl.password", "=hush");
        assert_eq!(errors.len(), 4, "{errors:#?}");
        assert!(errors[0].contains("line 2") && errors[0].contains("`acks` is ours to set"), "{errors:#?}");
        assert!(errors.iter().all(|error| error.starts_with(KEY) && !error.contains("hush")), "{errors:#?}");
    }

    #[test]
    fn nothing_given_is_an_empty_table() {
        let (table, shown, errors) = read("", "", "");
        assert!(
            table.is_empty() && errors.is_empty() && shown.contains("kafka.properties is not set"),
            "{shown}"
        );
    }
}
