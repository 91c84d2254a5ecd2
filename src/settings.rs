//! Everything that can be configured, read at once so that every error is told at once.

mod fleet;

use std::collections::BTreeSet;
use std::path::PathBuf;

use geopush_control_api::ApiConfig;
use geopush_dispatcher::expand::ExpandConfig;
use geopush_dispatcher::plan::PlanConfig;
use geopush_dispatcher::record::RecordConfig;
use geopush_dispatcher::send::SendConfig;
use geopush_geofence::GeofenceConfig;
use geopush_ingest::IngestConfig;
use geopush_registry::Sealer;
use geopush_service::config::{ConfigErrors, Description, ListenAddr, Reader, Secret, Sources};
use geopush_service::telemetry::LogConfig;

pub use self::fleet::{Backend, Cql, Fleet, Kafka};

/// What settings are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Running the roles: what they need must be there.
    Run,
    /// A command that works on the log and the tables, whichever roles the file names.
    Maintain,
}

/// How much a role needs the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreNeed {
    /// It lives of the log alone.
    None,
    /// It starts with them. While they are gone it goes on with what it knows, and refuses the rest.
    ToStart,
    /// It does nothing without them.
    Always,
}

/// A part of the system that can run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Phones' HTTP.
    Ingest,
    /// Pings to transitions.
    Geofence,
    /// Transitions to pushes, sent and recorded.
    Dispatcher,
    /// Merchants' HTTP.
    ControlApi,
}

impl Role {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Ingest, "ingest"),
        (Self::Geofence, "geofence"),
        (Self::Dispatcher, "dispatcher"),
        (Self::ControlApi, "control-api"),
    ];

    /// How much it needs the tables.
    pub(crate) fn store(self) -> StoreNeed {
        match self {
            Self::Geofence => StoreNeed::None,
            Self::Ingest => StoreNeed::ToStart,
            Self::Dispatcher | Self::ControlApi => StoreNeed::Always,
        }
    }

    /// Whether it seals or opens apps' credentials.
    pub(crate) fn needs_secrets(self) -> bool {
        matches!(self, Self::Dispatcher | Self::ControlApi)
    }

    /// Reads `all`, or names of roles with commas between them.
    fn parse_list(text: &str) -> Option<BTreeSet<Self>> {
        if text.trim() == "all" {
            return Some(Self::ALL.iter().map(|row| row.0).collect());
        }
        let parse = |name: &str| Self::ALL.iter().find(|row| row.1 == name.trim()).map(|row| row.0);
        text.split(',').map(parse).collect()
    }
}

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the log and the tables are.
    pub backend: Backend,
    /// The embedded default's directory; on a fleet it holds `addresses.json` alone.
    pub data_dir: PathBuf,
    /// What runs in this process.
    pub roles: BTreeSet<Role>,
    /// What seals credentials, as 64 hexadecimal digits; if left out, a file in the embedded default's directory.
    pub secrets_key: Option<Secret>,
    /// Where operators connect.
    pub admin_addr: ListenAddr,
    /// Log lines.
    pub log: LogConfig,
    /// Phones' HTTP.
    pub ingest: IngestConfig,
    /// Merchants' HTTP.
    pub api: ApiConfig,
    /// The evaluator.
    pub geofence: GeofenceConfig,
    /// The dispatcher's first stage.
    pub plan: PlanConfig,
    /// The dispatcher's second stage.
    pub expand: ExpandConfig,
    /// The dispatcher's third stage.
    pub send: SendConfig,
    /// The dispatcher's fourth stage.
    pub record: RecordConfig,
}

impl Settings {
    fn read(reader: &mut Reader, purpose: Purpose) -> Self {
        let roles = reader
            .key(
                "role",
                "what runs in this process: all, or some of ingest, geofence, dispatcher, control-api",
            )
            .check(|text: &String| match Role::parse_list(text) {
                Some(_) => Ok(()),
                None => Err("write all, or some of ingest,geofence,dispatcher,control-api".to_owned()),
            })
            .or("all".to_owned());
        let roles = Role::parse_list(&roles).unwrap_or_default();
        let backend = fleet::read(reader, &roles, purpose);
        Self {
            data_dir: reader.with_default(
                "data_dir",
                "the directory of the embedded default; on Kafka it holds addresses.json alone",
                PathBuf::from("geopush-data"),
            ),
            secrets_key: Self::read_secrets_key(reader, &backend, &roles, purpose),
            roles,
            backend,
            admin_addr: reader.with_default(
                "admin.addr",
                "where operators connect",
                ListenAddr::everywhere(9100),
            ),
            log: LogConfig::read(reader),
            ingest: IngestConfig::read(reader),
            api: ApiConfig::read(reader),
            geofence: GeofenceConfig::read(reader),
            plan: PlanConfig::read(reader),
            expand: ExpandConfig::read(reader),
            send: SendConfig::read(reader),
            record: RecordConfig::read(reader),
        }
    }

    fn read_secrets_key(
        reader: &mut Reader,
        backend: &Backend,
        roles: &BTreeSet<Role>,
        purpose: Purpose,
    ) -> Option<Secret> {
        const KEY: &str = "secrets_key";
        let key = reader
            .key(KEY, "64 hexadecimal digits that seal credentials; if left out, a file in the data directory; needed on Kafka")
            .check(|key: &Secret| match Sealer::from_hex(key.expose()) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("its value is no key: {error}; draw one with `openssl rand -hex 32`")),
            })
            .optional();
        let shared = matches!(backend, Backend::Fleet(_)) && purpose == Purpose::Run;
        if shared && roles.iter().any(|role| role.needs_secrets()) && !reader.is_given(KEY) {
            let why =
                "control-api and dispatcher must have the same one; draw it with `openssl rand -hex 32`";
            fleet::missing(reader, KEY, why);
        }
        key
    }
}

/// Reads all settings, with a description of each.
///
/// # Errors
/// Every one there is.
pub fn read_settings(sources: Sources) -> Result<(Settings, Description), ConfigErrors> {
    read_settings_for(sources, Purpose::Run)
}

/// The same, for this purpose.
///
/// # Errors
/// Every one there is.
pub fn read_settings_for(
    sources: Sources,
    purpose: Purpose,
) -> Result<(Settings, Description), ConfigErrors> {
    let mut reader = Reader::new(sources);
    let settings = Settings::read(&mut reader, purpose);
    let description = reader.describe();
    reader.finish()?;
    Ok((settings, description))
}

#[cfg(test)]
mod tests;
