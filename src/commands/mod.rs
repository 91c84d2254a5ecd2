//! What the binary can be told to do, a module each.

pub mod check_config;
pub mod demo;
pub mod migrate;
pub mod run;
pub mod sandbox;
pub mod simulate;
pub mod tenant;

use std::path::PathBuf;
use std::process::ExitCode;

use geopush::{Purpose, Settings, read_settings_for};
use geopush_service::BoxError;
use geopush_service::config::{Description, Sources};

/// How a command ends.
pub type Ended = Result<ExitCode, BoxError>;

/// Configuration on the command line: every key is a flag.
#[derive(clap::Args)]
pub struct Given {
    /// Keys as flags, such as --data-dir DIR, --ingest-addr :0, --role ingest; and --config FILE.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--KEY VALUE")]
    keys: Vec<String>,
}

impl Given {
    /// Reads the file, the variables and these flags.
    pub fn settings(&self) -> Result<(Settings, Description), BoxError> {
        self.settings_for(Purpose::Run, &[])
    }

    /// The same for this purpose, with flags that the command itself sets where nobody else does.
    pub fn settings_for(
        &self,
        purpose: Purpose,
        defaults: &[(&str, &str)],
    ) -> Result<(Settings, Description), BoxError> {
        let (config, mut flags) = flags_of(&self.keys)?;
        for (key, value) in defaults {
            if !flags.iter().any(|(given, _)| given == key) {
                flags.push(((*key).to_owned(), (*value).to_owned()));
            }
        }
        let sources = Sources::load(config.as_deref(), flags)?;
        Ok(read_settings_for(sources, purpose)?)
    }
}

type Flags = Vec<(String, String)>;

/// `--key value`, `--key=value`, or `--key` alone for `true`; `--config FILE` apart.
fn flags_of(words: &[String]) -> Result<(Option<PathBuf>, Flags), BoxError> {
    let mut flags = Flags::new();
    let mut config = None;
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) else {
            return Err(format!(
                "{word:?} is no flag; write --key value, with a key of `geopush check-config`"
            )
            .into());
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = words.next_if(|word| !word.starts_with("--"));
                (name, value.cloned().unwrap_or_else(|| "true".to_owned()))
            }
        };
        match name {
            "config" => config = Some(PathBuf::from(value)),
            _ => flags.push((name.to_owned(), value)),
        }
    }
    Ok((config, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_a_value_or_are_true() {
        let words = ["--data-dir", "d", "--allow-provider-urls", "--ingest-addr=:0", "--config", "f.toml"];
        let (config, flags) = flags_of(&words.map(String::from)).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(config, Some(PathBuf::from("f.toml")));
        assert_eq!(
            flags,
            [pair("data-dir", "d"), pair("allow-provider-urls", "true"), pair("ingest-addr", ":0")]
        );
        assert!(flags_of(&["stray".to_owned()]).is_err());
    }
}
