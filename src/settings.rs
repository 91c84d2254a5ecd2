//! Everything that can be configured, read at once so that every error is told at once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use geopush_control_api::ApiConfig;
use geopush_dispatcher::expand::ExpandConfig;
use geopush_dispatcher::plan::PlanConfig;
use geopush_dispatcher::record::RecordConfig;
use geopush_dispatcher::send::SendConfig;
use geopush_geofence::GeofenceConfig;
use geopush_ingest::IngestConfig;
use geopush_service::config::{ConfigErrors, Description, ListenAddr, Reader, Secret, Sources};
use geopush_service::telemetry::LogConfig;

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
    /// The embedded default's directory.
    pub data_dir: PathBuf,
    /// What runs in this process.
    pub roles: BTreeSet<Role>,
    /// How many partitions each topic has, fixed when the directory is made.
    pub partitions: u32,
    /// What seals credentials, as 64 hexadecimal digits; if left out, a file in the data directory.
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
    fn read(reader: &mut Reader) -> Self {
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
        Self {
            data_dir: reader.with_default(
                "data_dir",
                "the directory of the embedded default",
                PathBuf::from("geopush-data"),
            ),
            roles: Role::parse_list(&roles).unwrap_or_default(),
            partitions: reader
                .key("log.partitions", "partitions of each topic, fixed when the directory is made")
                .within(1..=256)
                .or(8),
            secrets_key: reader.optional(
                "secrets_key",
                "64 hexadecimal digits that seal credentials; if left out, a file in the data directory",
            ),
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
}

/// Reads all settings, with a description of each.
///
/// # Errors
/// Every one there is.
pub fn read_settings(sources: Sources) -> Result<(Settings, Description), ConfigErrors> {
    let mut reader = Reader::new(sources);
    let settings = Settings::read(&mut reader);
    let description = reader.describe();
    reader.finish()?;
    Ok((settings, description))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: &[(&str, &str)]) -> Result<Settings, String> {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let read = read_settings(Sources { flags, ..Sources::default() });
        read.map(|(settings, _)| settings).map_err(|e| e.to_string())
    }

    #[test]
    fn every_error_is_told_at_once_with_its_key() {
        let wrong = [
            ("role", "ingest,cook"),
            ("ingest.addr", "nowhere"),
            ("ingest.adr", ":0"),
            ("log.partitions", "0"),
        ];
        let errors = read(&wrong).unwrap_err();
        for key in ["role", "ingest-addr", "ingest-adr", "log-partitions"] {
            assert!(errors.contains(key), "{key} is not in: {errors}");
        }
    }

    #[test]
    fn roles_are_chosen_by_name() {
        assert_eq!(read(&[]).unwrap().roles.len(), 4);
        let chosen = read(&[("role", "ingest, control-api")]).unwrap().roles;
        assert_eq!(chosen, BTreeSet::from([Role::Ingest, Role::ControlApi]));
    }
}
