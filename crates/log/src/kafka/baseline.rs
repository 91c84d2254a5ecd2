//! What a stage could be at best: the same clients with the same settings, the same records in and out, and nothing in
//! between. For benches alone.
//!
//! As in a member of a group one thread fetches and another commits, each transaction as many records as there are, up
//! to a bound.

mod fetched;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Offset as KafkaOffset, TopicPartitionList};

use fetched::Fetched;

use super::client::Use;
use super::context::Context;
use super::record::{headers, place};
use super::{Core, KafkaLog, native};
use crate::{LogError, Record, Topic};

/// How long any step may take.
const STEP: Duration = Duration::from_secs(8);

/// How records and positions are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Both in one transaction.
    ExactlyOnce,
    /// The records first, the positions when they are durable.
    AtLeastOnce,
}

/// What to consume and what to publish.
#[derive(Clone, Debug)]
pub struct NullStage {
    /// The group whose positions are committed; nobody else may be in it.
    pub group: String,
    /// Read from its beginning.
    pub input: Topic,
    /// How many records each partition of the input has.
    pub inputs: Vec<u64>,
    /// What is published for each partition, spread evenly over its records.
    pub outputs: Vec<Vec<Record>>,
    /// Records of the input in one transaction, at most.
    pub at_once: u64,
    /// How they are committed.
    pub guarantee: Guarantee,
    /// What is done with the value of each record of the input; with a null stage that is all one, nothing.
    pub look: fn(&[u8]),
}

/// What was done, and when.
#[derive(Clone, Debug)]
pub struct NullRun {
    /// When the first record came.
    pub began: Instant,
    /// How many records were consumed and committed until then, after each commit.
    pub commits: Vec<(Instant, u64)>,
    /// Bytes of the keys and values that were consumed.
    pub consumed_bytes: u64,
    /// Records that were published.
    pub published: u64,
}

/// Runs null stages on a log's cluster, with its settings. Cheap to clone.
#[derive(Clone)]
pub struct Baseline {
    core: Arc<Core>,
}

impl KafkaLog {
    /// What can be compared with it.
    pub fn baseline(&self) -> Baseline {
        Baseline { core: Arc::clone(&self.core) }
    }
}

fn failed(what: &str) -> impl Fn(KafkaError) -> LogError + '_ {
    move |error| LogError::Backend(format!("{what}: {error}; look after the brokers"))
}

impl Baseline {
    /// Consumes, publishes and commits everything; blocks. `progress` counts what is committed.
    ///
    /// # Errors
    /// When a step fails or takes too long.
    pub fn run(&self, stage: &NullStage, progress: &AtomicU64) -> Result<NullRun, LogError> {
        let core = &self.core;
        let group = format!("{}{}", core.options.prefix, stage.group);
        let outputs: Vec<Vec<(i32, &Record)>> =
            stage.outputs.iter().map(|of| placed(core, of)).collect::<Result<_, _>>()?;
        let consumer: BaseConsumer<Context> = core
            .client(Use::Fetch)
            .set("group.id", &group)
            .create_with_context(Context::new(Use::Fetch))
            .map_err(failed("a consumer could not be made"))?;
        // As a member's commits have them, so that none waits for its own last transaction's markers.
        let producers = [self.producer(stage.guarantee, &group)?, self.producer(stage.guarantee, &group)?];
        let begin =
            positions(core, stage.input, &vec![0; stage.inputs.len()]).map_err(failed("a position"))?;
        consumer.assign(&begin).map_err(failed("the input could not be assigned"))?;
        let fetched = Fetched::default();
        let total: u64 = stage.inputs.iter().sum();
        std::thread::scope(|scope| {
            let fetching = scope.spawn(|| fetched.fetch(&consumer, stage, total));
            let commits = Committing { core, stage, outputs, consumer: &consumer, producers: &producers };
            let committed = commits.run(&fetched, total, progress);
            fetched.stop();
            fetching.join().expect("fetching does not panic")?;
            let (commits, published) = committed?;
            let state = fetched.lock();
            let began = state.began.unwrap_or_else(Instant::now);
            Ok(NullRun { began, commits, consumed_bytes: state.bytes, published })
        })
    }

    fn producer(&self, guarantee: Guarantee, group: &str) -> Result<ThreadedProducer<Delivered>, LogError> {
        let mut config = self.core.client(Use::Commit);
        if guarantee == Guarantee::ExactlyOnce {
            config.set("transactional.id", format!("{group}.{}", uuid::Uuid::new_v4()));
        }
        let context = Delivered {
            client: Context::new(Use::Commit),
            reports: Mutex::default(),
            changed: Condvar::new(),
        };
        let producer: ThreadedProducer<Delivered> =
            config.create_with_context(context).map_err(failed("a producer could not be made"))?;
        if guarantee == Guarantee::ExactlyOnce {
            producer.init_transactions(STEP).map_err(failed("transactions could not begin"))?;
        }
        Ok(producer)
    }

    /// Removes the log's topics and the group of this name. The log is of no use afterwards.
    ///
    /// # Errors
    /// When the brokers don't.
    pub async fn remove(&self, groups: &[&str]) -> Result<(), LogError> {
        let admin: AdminClient<Context> = self
            .core
            .client(Use::Admin)
            .create_with_context(Context::new(Use::Admin))
            .map_err(failed("an administrator could not be made"))?;
        let options = AdminOptions::new().request_timeout(Some(STEP)).operation_timeout(Some(STEP));
        let topics: Vec<&str> = Topic::all().map(|topic| self.core.name(topic)).collect();
        admin.delete_topics(&topics, &options).await.map_err(failed("the topics could not be removed"))?;
        let groups: Vec<String> =
            groups.iter().map(|group| format!("{}{group}", self.core.options.prefix)).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        admin.delete_groups(&groups, &options).await.map_err(failed("the groups could not be removed"))?;
        Ok(())
    }
}

fn placed<'a>(core: &Core, records: &'a [Record]) -> Result<Vec<(i32, &'a Record)>, LogError> {
    records.iter().map(|record| Ok((place(core, record).map_err(LogError::Backend)?, record))).collect()
}

fn positions(core: &Core, topic: Topic, offsets: &[u64]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        list.add_partition_offset(core.name(topic), partition, KafkaOffset::Offset(offset.cast_signed()))?;
    }
    Ok(list)
}

/// The thread that commits.
struct Committing<'a> {
    core: &'a Core,
    stage: &'a NullStage,
    outputs: Vec<Vec<(i32, &'a Record)>>,
    consumer: &'a BaseConsumer<Context>,
    producers: &'a [ThreadedProducer<Delivered>; 2],
}

impl Committing<'_> {
    fn run(
        &self,
        fetched: &Fetched,
        total: u64,
        progress: &AtomicU64,
    ) -> Result<(Vec<(Instant, u64)>, u64), LogError> {
        let mut done = vec![0; self.stage.inputs.len()];
        let (mut committed, mut published, mut commits) = (0, 0, Vec::new());
        while committed < total {
            let mut room = self.stage.at_once;
            let mut records = Vec::new();
            for (partition, upto) in fetched.wait(committed, self.stage.at_once)? {
                let index = partition as usize;
                let from = done[index];
                let to = upto.min(from + room);
                room -= to - from;
                done[index] = to;
                records.extend(&self.outputs[index][self.share(index, from)..self.share(index, to)]);
            }
            let producer = &self.producers[commits.len() % 2];
            self.commit(producer, &records, &done)?;
            committed = done.iter().sum();
            published += records.len() as u64;
            progress.store(committed, Ordering::Relaxed);
            commits.push((Instant::now(), committed));
        }
        Ok((commits, published))
    }

    /// How many outputs belong to the first so many inputs of a partition.
    fn share(&self, partition: usize, inputs: u64) -> usize {
        let of = u128::from(self.stage.inputs[partition].max(1));
        let outputs = self.outputs[partition].len() as u128;
        usize::try_from(outputs * u128::from(inputs) / of).unwrap_or(usize::MAX)
    }

    fn commit(
        &self,
        producer: &ThreadedProducer<Delivered>,
        records: &[(i32, &Record)],
        done: &[u64],
    ) -> Result<(), LogError> {
        let offsets = positions(self.core, self.stage.input, done).map_err(failed("a position"))?;
        match self.stage.guarantee {
            Guarantee::ExactlyOnce => {
                let metadata = self
                    .consumer
                    .group_metadata()
                    .ok_or_else(|| LogError::Backend("the consumer has no group".to_owned()))?;
                producer.begin_transaction().map_err(failed("a transaction could not begin"))?;
                self.send(producer, records)?;
                producer
                    .send_offsets_to_transaction(&offsets, &metadata, STEP)
                    .map_err(failed("positions were not taken"))?;
                native::commit_transaction(producer, STEP).map_err(LogError::Backend)
            }
            Guarantee::AtLeastOnce => {
                self.send(producer, records)?;
                producer.context().wait()?;
                self.consumer.commit(&offsets, CommitMode::Sync).map_err(failed("positions were not taken"))
            }
        }
    }

    fn send(
        &self,
        producer: &ThreadedProducer<Delivered>,
        records: &[(i32, &Record)],
    ) -> Result<(), LogError> {
        producer.context().expect(records.len() as u64);
        for (partition, record) in records {
            let name = self.core.name(record.topic);
            let mut message = BaseRecord::to(name).partition(*partition).key(&record.key[..]);
            message.payload = record.value.as_deref();
            message.headers = headers(record.trace);
            while let Err((error, again)) = producer.send(message) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(failed("a record was not taken")(error));
                }
                message = again;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

/// Counts the reports on records.
struct Delivered {
    client: Context,
    reports: Mutex<Reports>,
    changed: Condvar,
}

#[derive(Default)]
struct Reports {
    open: u64,
    failed: u64,
}

impl Delivered {
    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, records: u64) {
        self.lock().open += records;
    }

    /// Waits until every record was reported on.
    fn wait(&self) -> Result<(), LogError> {
        let waited = self.changed.wait_timeout_while(self.lock(), STEP, |reports| reports.open > 0);
        let (reports, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() || reports.failed > 0 {
            return Err(LogError::Backend(format!(
                "{} records were not taken",
                reports.open + reports.failed
            )));
        }
        Ok(())
    }
}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut reports = self.lock();
        reports.open -= 1;
        reports.failed += u64::from(result.is_err());
        if reports.open == 0 {
            self.changed.notify_all();
        }
    }
}

impl ClientContext for Delivered {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.client.log(level, facility, line);
    }

    fn stats(&self, statistics: Statistics) {
        self.client.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }
}
