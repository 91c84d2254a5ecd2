//! The Kafka backend: topics, groups and transactions of a real cluster, through librdkafka.
//!
//! librdkafka's clients are served by threads of their own: one producer for all appends, two consumers that are
//! asked for the ends of partitions, one consumer a read, four clients a member of a group. Nothing of it blocks
//! a task.

mod append;
#[cfg(feature = "bench")]
pub mod baseline;
mod client;
mod context;
mod ends;
mod group;
#[cfg(test)]
mod mock;
mod native;
mod options;
mod read;
mod readers;
mod record;
mod topics;
mod written;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use options::KafkaOptions;

use crate::{AppendError, Cursor, Group, Log, LogError, Offset, Reader, Record, Topic, Until};
use append::Appender;
use ends::Ends;
use readers::Readers;

/// The log in the topics of a Kafka cluster.
pub struct KafkaLog {
    core: Arc<Core>,
}

/// What the log, its readers and its members share.
struct Core {
    options: KafkaOptions,
    /// By [`Topic`], in its order.
    names: Vec<String>,
    closed: CancellationToken,
    appender: Appender,
    ends: Ends,
    readers: Arc<Readers>,
}

impl KafkaLog {
    /// One attempt, of about ten seconds at most: makes the topics that are missing and checks those that are there.
    ///
    /// # Errors
    /// [`LogError::Backend`] when the cluster can't be used now: it may be tried again. [`LogError::Incompatible`]
    /// when that won't help: a property that librdkafka has not, or topics that are not as they should be, each
    /// named with what differs.
    pub async fn open(options: KafkaOptions) -> Result<Self, LogError> {
        let core = Core::new(options)?;
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            topics::prepare(&core, &runtime)?;
            Ok(Self { core })
        })
        .await
        .unwrap_or_else(|error| Err(LogError::Backend(format!("the topics could not be looked at: {error}"))))
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.core.closed.cancel();
    }
}

impl Core {
    fn new(options: KafkaOptions) -> Result<Arc<Self>, LogError> {
        options.check()?;
        let names = Topic::all().map(|topic| format!("{}{}", options.prefix, topic.name())).collect();
        let appender = Appender::new(append::Producer::new(&options).map_err(options::unusable)?);
        let ends = Ends::start(&options)?;
        let readers = Arc::default();
        Ok(Arc::new(Self { options, names, closed: CancellationToken::new(), appender, ends, readers }))
    }

    /// A topic's name in the cluster.
    fn name(&self, topic: Topic) -> &str {
        &self.names[topic as usize]
    }

    /// How many partitions a topic has.
    fn partitions(&self, topic: Topic) -> u32 {
        if topic.is_partitioned() { self.options.partitions } else { 1 }
    }

    fn check_open(&self) -> Result<(), LogError> {
        if self.closed.is_cancelled() { Err(LogError::Closed) } else { Ok(()) }
    }

    fn check_place(&self, topic: Topic, partition: u32) -> Result<(), LogError> {
        let partitions = self.partitions(topic);
        if partition < partitions {
            return Ok(());
        }
        Err(LogError::Backend(format!(
            "{} has {partitions} partitions, so there is no partition {partition}; this is a mistake in geopush",
            topic.name()
        )))
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn append(&self, records: Vec<Record>) -> Result<(), AppendError> {
        append::append(&self.core, records).await
    }

    async fn join(&self, group: &str, inputs: &[Topic]) -> Result<Box<dyn Group>, LogError> {
        self.core.check_open()?;
        group::join(&self.core, group, inputs).await
    }

    async fn end(&self, topic: Topic, partition: u32) -> Result<Offset, LogError> {
        self.core.check_open()?;
        self.core.check_place(topic, partition)?;
        self.core.end(topic, partition).await
    }

    async fn read(&self, from: Vec<Cursor>, until: Until) -> Result<Box<dyn Reader>, LogError> {
        self.core.check_open()?;
        Ok(Box::new(read::KafkaReader::new(&self.core, from, until).await?))
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.core.partitions(topic)
    }

    async fn close(&self) {
        self.core.closed.cancel();
        self.core.appender.flush().await;
    }
}
