//! The topics of the cluster: made where they are missing, checked where they are there.

mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;
use rdkafka::producer::Producer as _;
use tokio::runtime::Handle;

use super::Core;
use super::client::Use;
use super::context::Context;
use super::options::unusable;
use crate::{LogError, Topic};

/// The whole attempt takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Finding the brokers takes no longer.
const FIRST: Duration = Duration::from_secs(5);
/// Between looks, while topics are being made.
const PAUSE: Duration = Duration::from_millis(30);

/// Makes and checks the topics. Blocks; the futures of librdkafka's thread are waited for on `runtime`.
pub(super) fn prepare(core: &Core, runtime: &Handle) -> Result<(), LogError> {
    let began = Instant::now();
    let admin = Admin { core, runtime, client: None, began };
    admin.prepare()
}

struct Admin<'a> {
    core: &'a Core,
    runtime: &'a Handle,
    /// Made when it is first needed.
    client: Option<AdminClient<Context>>,
    began: Instant,
}

/// What the cluster has of a topic.
struct Present {
    partitions: usize,
    replication: usize,
    has_leaders: bool,
}

impl Admin<'_> {
    fn prepare(mut self) -> Result<(), LogError> {
        let mut checked = BTreeSet::new();
        loop {
            let present = self.present()?;
            let missing: Vec<Topic> = Topic::all().filter(|topic| !present.contains_key(topic)).collect();
            // What is there is checked before anything is made.
            let unchecked: Vec<_> = present.iter().filter(|(topic, _)| !checked.contains(*topic)).collect();
            if !unchecked.is_empty() && self.check(&unchecked)? {
                checked.extend(present.keys().copied());
            }
            if !missing.is_empty() {
                self.create(&missing)?;
            } else if checked.len() == present.len() && present.values().all(|topic| topic.has_leaders) {
                return Ok(());
            }
            if self.left().is_zero() {
                let led = |topic: &Topic| present.get(topic).is_some_and(|present| present.has_leaders);
                let names: Vec<_> =
                    Topic::all().filter(|topic| !led(topic)).map(|topic| self.core.name(topic)).collect();
                return Err(LogError::Backend(format!(
                    "the topics were not ready in {} s: {} have partitions without a leader; look at the brokers",
                    PATIENCE.as_secs(),
                    names.join(", ")
                )));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn left(&self) -> Duration {
        PATIENCE.saturating_sub(self.began.elapsed())
    }

    /// The log's topics that the cluster has.
    fn present(&self) -> Result<BTreeMap<Topic, Present>, LogError> {
        // Asking for all topics makes none, as asking for one by its name may.
        let metadata = self
            .core
            .appender
            .producer()
            .client
            .client()
            .fetch_metadata(None, FIRST.min(self.left() + PAUSE));
        match metadata {
            Ok(metadata) => Ok(Topic::all()
                .filter_map(|topic| Some((topic, present(&metadata, self.core.name(topic))?)))
                .collect()),
            Err(error) => {
                let reason = self.core.appender.last_error().unwrap_or_else(|| error.to_string());
                Err(LogError::Backend(format!(
                    "none of the brokers {} could be used: {reason}; start them, or correct kafka.brokers and the \
                     security properties of kafka.properties",
                    self.core.options.brokers
                )))
            }
        }
    }

    fn admin(&mut self) -> Result<(&AdminClient<Context>, AdminOptions), LogError> {
        let timeout = Some(self.left().max(PAUSE));
        let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
        let client = match self.client.take() {
            Some(client) => client,
            None => self
                .core
                .client(Use::Admin)
                .create_with_context(Context::new(Use::Admin))
                .map_err(unusable)?,
        };
        Ok((self.client.insert(client), options))
    }

    /// Compares what is there with what should be. False: a broker does not know them all yet.
    fn check(&mut self, present: &[(&Topic, &Present)]) -> Result<bool, LogError> {
        let core = self.core;
        let runtime = self.runtime;
        let resources: Vec<_> =
            present.iter().map(|(topic, _)| ResourceSpecifier::Topic(core.name(**topic))).collect();
        let (admin, options) = self.admin()?;
        let configs = runtime
            .block_on(admin.describe_configs(&resources, &options))
            .map_err(|error| backend("the topics' settings could not be read", &error.to_string()))?;
        let mut differing = Vec::new();
        for ((topic, present), config) in present.iter().zip(configs) {
            let config = match config {
                Ok(config) => config,
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) => return Ok(false),
                Err(code) => {
                    let what = format!("the settings of {} could not be read", core.name(**topic));
                    return Err(backend(&what, &code.to_string()));
                }
            };
            differing.extend(differences(core, **topic, present, &config));
            if present.replication < usize::from(core.options.replication) {
                tracing::warn!(
                    topic = core.name(**topic),
                    kept_by = present.replication,
                    wanted = core.options.replication,
                    "a topic is kept by fewer brokers than kafka.replication asks of new ones; reassign its replicas"
                );
            }
        }
        if differing.is_empty() {
            return Ok(true);
        }
        Err(LogError::Incompatible(format!(
            "{}; change the topics (kafka-configs.sh --alter), or the setting, or choose another kafka.prefix",
            differing.join("; ")
        )))
    }

    fn create(&mut self, missing: &[Topic]) -> Result<(), LogError> {
        let core = self.core;
        let runtime = self.runtime;
        let replication = core.options.replication;
        let settings: Vec<_> = missing.iter().map(|topic| settings::of_new(*topic, replication)).collect();
        let topics: Vec<_> = missing
            .iter()
            .zip(&settings)
            .map(|(topic, settings)| {
                let partitions = core.partitions(*topic).cast_signed();
                let replication = TopicReplication::Fixed(i32::from(replication));
                let new = NewTopic::new(core.name(*topic), partitions, replication);
                settings.iter().fold(new, |new, (key, value)| new.set(key, value))
            })
            .collect();
        let (admin, options) = self.admin()?;
        let created = runtime
            .block_on(admin.create_topics(&topics, &options))
            .map_err(|error| backend("the topics could not be made", &error.to_string()))?;
        for result in created {
            match result {
                Ok(name) => tracing::info!(topic = name, "made a topic"),
                // Another process was first, or the answer was late: the next look tells.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists | RDKafkaErrorCode::RequestTimedOut)) => {}
                Err((name, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                    return Err(LogError::Backend(format!(
                        "{name} can't be kept by {replication} brokers, for there are fewer; start more, or set \
                         kafka.replication"
                    )));
                }
                Err((name, code @ (RDKafkaErrorCode::InvalidConfig | RDKafkaErrorCode::PolicyViolation))) => {
                    let topic = missing.iter().find(|topic| core.name(**topic) == name);
                    let wanted = topic.map(|topic| settings::told(*topic)).unwrap_or_default();
                    return Err(LogError::Incompatible(format!(
                        "the brokers do not let {name} be made: {code}; make it by hand, with {wanted}"
                    )));
                }
                Err((name, code)) => {
                    return Err(backend(&format!("{name} could not be made"), &code.to_string()));
                }
            }
        }
        Ok(())
    }
}

fn backend(what: &str, reason: &str) -> LogError {
    LogError::Backend(format!(
        "{what}: {reason}; it may pass, else look at the brokers' logs and this user's rights"
    ))
}

fn present(metadata: &Metadata, name: &str) -> Option<Present> {
    let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
    let partitions = topic.partitions();
    (!partitions.is_empty()).then(|| Present {
        partitions: partitions.len(),
        replication: partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0),
        has_leaders: partitions.iter().all(|partition| partition.leader() >= 0),
    })
}

/// What of a topic is not as it should be.
fn differences(core: &Core, topic: Topic, present: &Present, config: &ConfigResource) -> Option<String> {
    let name = core.name(topic);
    let mut found = Vec::new();
    let partitions = core.partitions(topic);
    if present.partitions != partitions as usize {
        let setting = if topic.is_partitioned() { " (log.partitions)" } else { "" };
        found.push(format!("{} partitions where {partitions} are asked for{setting}", present.partitions));
    }
    for (key, wanted) in settings::held(topic) {
        let is = config.get(key).and_then(|entry| entry.value.as_deref()).unwrap_or("unknown");
        if is != wanted {
            found.push(format!("{key} {is} where {wanted} is asked for"));
        }
    }
    (!found.is_empty()).then(|| format!("{name} has {}", found.join(" and ")))
}
