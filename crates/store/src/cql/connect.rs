//! The way to the cluster: its nodes, its datacenter, TLS, credentials and time limits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::{OpenSsl010Config, Session, TlsContext};
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::timestamp_generator::MonotonicTimestampGenerator;
use scylla::statement::{Consistency, SerialConsistency};

use super::errors;
use super::retry::Retries;
use crate::{Keyspace, StoreError};

/// A request, with what the driver tries again, has this long.
pub(super) const REQUEST: Duration = Duration::from_secs(5);
/// A connection has this long to stand.
const CONNECTION: Duration = Duration::from_secs(5);
/// The first look at the cluster has this long.
const START: Duration = Duration::from_secs(20);
/// All nodes have this long to agree on a change of the schema.
const SCHEMA_AGREEMENT: Duration = Duration::from_secs(30);
/// A connection on which nothing is heard for this long is asked whether it lives, and has as long to answer.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The longest name that CQL takes for a keyspace is 48 characters, and ours end in `_history`.
const KEYSPACE_LEN: usize = 40;

/// Where the cluster is, and how to speak to it.
#[derive(Clone)]
pub struct CqlOptions {
    /// Some of its nodes, as host:port; the others are found.
    pub nodes: Vec<String>,
    /// What the names of the keyspaces begin with: lower-case letters, digits and underscores.
    pub keyspace: String,
    /// The datacenter that is asked, and by whose quorums; the only one where there is one.
    pub datacenter: Option<String>,
    /// How many replicas there are of each row, in keyspaces that are made.
    pub replication: u16,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// A file of PEM certificates. With it connections are encrypted, and a node must show a certificate that one of
    /// these signed; the name in it is not compared, since nodes are known by their addresses.
    pub ca: Option<PathBuf>,
}

impl std::fmt::Debug for CqlOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CqlOptions")
            .field("nodes", &self.nodes)
            .field("keyspace", &self.keyspace)
            .finish_non_exhaustive()
    }
}

impl CqlOptions {
    /// The name of a keyspace.
    pub(super) fn name_of(&self, keyspace: Keyspace) -> String {
        let which = match keyspace {
            Keyspace::Config => "config",
            Keyspace::History => "history",
        };
        format!("{}_{which}", self.keyspace)
    }

    /// Nothing, if it can be used; else what to correct.
    fn check(&self) -> Result<(), String> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let name = self.keyspace.as_bytes();
        if !(1..=KEYSPACE_LEN).contains(&name.len())
            || !name[0].is_ascii_lowercase()
            || !name.iter().all(|b| plain(*b))
        {
            return Err(format!(
                "the keyspace `{}` is not a lower-case letter followed by at most {} lower-case letters, digits and \
                 underscores; correct cql.keyspace",
                self.keyspace,
                KEYSPACE_LEN - 1
            ));
        }
        if self.nodes.is_empty() {
            return Err("no node is named; set cql.nodes to host:port of some nodes".to_owned());
        }
        Ok(())
    }
}

/// A session with the cluster.
pub(super) struct Cluster {
    pub(super) session: Session,
    /// The datacenter that is spoken to.
    pub(super) datacenter: String,
    pub(super) is_scylla: bool,
}

impl Cluster {
    /// One attempt, of bounded time.
    pub(super) async fn reach(options: &CqlOptions) -> Result<Self, StoreError> {
        options.check().map_err(StoreError::Unavailable)?;
        match tokio::time::timeout(START, Self::open(options)).await {
            Ok(cluster) => cluster,
            Err(_) => Err(StoreError::Unavailable(format!(
                "no node of {} answered within {} s; check cql.nodes and the network",
                options.nodes.join(", "),
                START.as_secs()
            ))),
        }
    }

    async fn open(options: &CqlOptions) -> Result<Self, StoreError> {
        let profile = profile(options.datacenter.as_deref());
        let mut handle = profile.into_handle();
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.nodes)
            .default_execution_profile_handle(handle.clone())
            .connection_timeout(CONNECTION)
            .hostname_resolution_timeout(Some(CONNECTION))
            .metadata_request_clientside_timeout(REQUEST)
            // The node gives up first, or its answer would come too late.
            .metadata_request_serverside_timeout(REQUEST / 2)
            .schema_agreement_timeout(SCHEMA_AGREEMENT)
            .keepalive_interval(KEEPALIVE)
            .keepalive_timeout(KEEPALIVE)
            .keyspaces_to_fetch([options.name_of(Keyspace::Config), options.name_of(Keyspace::History)])
            .fetch_full_schema_metadata(false)
            .timestamp_generator(Arc::new(MonotonicTimestampGenerator::new()));
        if let Some((user, password)) = &options.credentials {
            builder = builder.user(user, password);
        }
        if let Some(ca) = &options.ca {
            builder = builder.tls_context(Some(tls(ca).map_err(StoreError::Unavailable)?));
        }
        let session = builder.build().await.map_err(|error| errors::no_session(&error, options))?;
        let datacenter =
            datacenter(&session, options.datacenter.as_deref()).map_err(StoreError::Unavailable)?;
        handle.map_to_another_profile(self::profile(Some(&datacenter)));
        let scylla = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'system_schema' \
            AND table_name = 'scylla_tables'";
        let found = session.query_unpaged(scylla, ()).await.map_err(|error| errors::failed("", &error))?;
        let is_scylla = found.into_rows_result().is_ok_and(|rows| rows.rows_num() > 0);
        Ok(Self { session, datacenter, is_scylla })
    }
}

/// How requests are sent, where nothing else is said: to a replica of the datacenter, and to another one when that
/// fails, but for conditional writes.
fn profile(datacenter: Option<&str>) -> ExecutionProfile {
    let mut policy = DefaultPolicy::builder().token_aware(true).permit_dc_failover(false);
    if let Some(datacenter) = datacenter {
        policy = policy.prefer_datacenter(datacenter.to_owned());
    }
    ExecutionProfile::builder()
        .load_balancing_policy(policy.build())
        .retry_policy(Arc::new(Retries))
        .request_timeout(Some(REQUEST))
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .build()
}

/// The datacenter to speak to, or what to correct.
fn datacenter(session: &Session, wanted: Option<&str>) -> Result<String, String> {
    let state = session.get_cluster_state();
    let known: BTreeSet<_> =
        state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    let listed = || known.iter().cloned().collect::<Vec<_>>().join(", ");
    match wanted {
        Some(wanted) if known.contains(wanted) => Ok(wanted.to_owned()),
        Some(wanted) => {
            Err(format!("the cluster has no datacenter `{wanted}`, but {}; correct cql.datacenter", listed()))
        }
        None if known.len() > 1 => {
            Err(format!("the cluster has several datacenters; set cql.datacenter to one of {}", listed()))
        }
        None => known.first().cloned().ok_or_else(|| "no node says in which datacenter it is".to_owned()),
    }
}

/// TLS with nodes whose certificates are signed by one of these, or what to correct.
fn tls(ca: &Path) -> Result<TlsContext, String> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    // Those of the system are trusted for the web, not for the database.
    let empty = openssl::x509::store::X509StoreBuilder::new()
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    builder.set_cert_store(empty.build());
    builder.set_ca_file(ca).map_err(|error| {
        format!("cql.ca, {}, holds no PEM certificates that can be read: {error}", ca.display())
    })?;
    Ok(TlsContext::OpenSsl010Config(OpenSsl010Config::new(builder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(keyspace: &str) -> CqlOptions {
        CqlOptions {
            nodes: vec!["127.0.0.1:9042".to_owned()],
            keyspace: keyspace.to_owned(),
            datacenter: None,
            replication: 1,
            credentials: Some(("user".to_owned(), "hunter2".to_owned())),
            ca: None,
        }
    }

    #[test]
    fn a_keyspace_is_a_plain_name_that_leaves_room_for_its_end() {
        for good in ["g", "geopush", "a_1", &"a".repeat(KEYSPACE_LEN)] {
            assert_eq!(options(good).check(), Ok(()), "{good}");
        }
        for bad in ["", "1a", "_a", "Geo", "a-b", "a;b", &"a".repeat(KEYSPACE_LEN + 1)] {
            assert!(options(bad).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn no_password_is_printed() {
        let printed = format!("{:?}", options("geopush"));
        assert!(printed.contains("geopush") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let Err(said) = tls(Path::new("/nowhere/ca.pem")) else { panic!("there is no such file") };
        assert!(said.contains("cql.ca, /nowhere/ca.pem"), "{said}");
    }

    #[tokio::test]
    async fn nobody_there_is_said_in_bounded_time() {
        // A port that was free a moment ago, and that nobody else takes while the listener lives without accepting.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let unreachable = CqlOptions { nodes: vec![address.clone()], ..options("geopush") };
        let Err(StoreError::Unavailable(said)) = Cluster::reach(&unreachable).await else {
            panic!("nobody is there")
        };
        assert!(said.contains(&address) && said.contains("cql.nodes"), "{said}");
    }
}
