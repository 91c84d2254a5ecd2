//! The member's transactional producers, and one transaction.
//!
//! Two producers take turns. A transaction is committed before its markers are in all of its partitions, and until then
//! the broker turns the same producer's next one away, which librdkafka tries again after 20 ms. The other's can begin.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Offset as KafkaOffset, TopicPartitionList};

use super::super::client::Use;
use super::super::context::Context;
use super::super::native;
use super::super::record::headers;
use super::super::written::Written;
use super::Shared;
use super::commit::Queued;
use super::ownership::Standing;
use super::settle::{metadata, transactional, transactional_ids};
use crate::Record;
use crate::backoff::Backoff;

/// How long each step of a transaction may take: less than the broker keeps a transaction open.
const STEP: Duration = Duration::from_secs(8);
/// The pause when the client's queue is full, or not yet empty.
const MOMENT: Duration = Duration::from_millis(1);

/// Why a transaction did not come about.
pub(super) enum Failure {
    /// The group was rebalancing; nothing is left of the transaction. It may be tried again with a new standing.
    Rebalancing,
    /// Nobody knows what is left of it.
    Broken(String),
}

/// Makes transactions, and a producer for them again whenever one failed.
pub(super) struct Transactions {
    shared: Arc<Shared>,
    /// The first is next.
    turns: [Turn; 2],
}

struct Turn {
    transactional_id: String,
    producer: Option<Producer>,
}

/// A producer, and where it has written.
struct Producer {
    client: ThreadedProducer<CommitContext>,
    written: Written,
}

impl Transactions {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let turns = transactional_ids(&shared.owner)
            .map(|transactional_id| Turn { transactional_id, producer: None });
        Self { shared, turns }
    }

    /// Has both producers at hand, unless the member leaves before there can be any.
    pub(super) fn prepare(&mut self) {
        let Self { shared, turns } = self;
        let mut backoff = Backoff::default();
        for turn in turns {
            while turn.producer.is_none() && !shared.ownership.is_leaving() {
                match make(shared, &turn.transactional_id) {
                    Ok(producer) => turn.producer = Some(producer),
                    Err(error) => {
                        let pause = backoff.next();
                        tracing::warn!(
                            %error, ?pause, stage = shared.stage,
                            "transactions can't be made yet; it is tried again. If it lasts, look after the brokers"
                        );
                        std::thread::sleep(pause);
                    }
                }
            }
        }
    }

    /// Throws the producer of the last transaction away and makes it again: the new one ends whatever the old one left
    /// open.
    pub(super) fn start_over(&mut self) {
        self.turns[1].producer = None;
        metrics::counter!("geopush_kafka_producer_restarts_total", "stage" => self.shared.stage.clone())
            .increment(1);
        self.prepare();
    }

    /// Publishes these commits' outputs, positions and notes, all or none.
    pub(super) fn run(&mut self, batch: &[Queued], standing: &Standing) -> Result<(), Failure> {
        self.prepare();
        self.turns.swap(0, 1);
        let Some(producer) = &self.turns[1].producer else {
            return Err(Failure::Broken("the member leaves, and has no producer".to_owned()));
        };
        let begun = Instant::now();
        let result = transact(&self.shared, producer, batch, standing);
        let outcome = match &result {
            Ok(()) => "committed",
            Err(Failure::Rebalancing) => "rebalancing",
            Err(Failure::Broken(_)) => "failed",
        };
        let stage = || self.shared.stage.clone();
        metrics::counter!("geopush_kafka_transactions_total", "stage" => stage(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("geopush_kafka_transaction_seconds", "stage" => stage())
            .record(begun.elapsed().as_secs_f64());
        metrics::histogram!("geopush_kafka_transaction_commits", "stage" => stage())
            .record(batch.len() as f64);
        result
    }
}

fn make(shared: &Shared, transactional_id: &str) -> KafkaResult<Producer> {
    let context = CommitContext { client: Context::new(Use::Commit), failed: AtomicBool::new(false) };
    let client: ThreadedProducer<CommitContext> =
        transactional(shared, transactional_id).create_with_context(context)?;
    client.init_transactions(STEP)?;
    Ok(Producer { client, written: Written::new(shared.core.options.partitions, Instant::now()) })
}

fn transact(
    shared: &Shared,
    Producer { client, written }: &Producer,
    batch: &[Queued],
    standing: &Standing,
) -> Result<(), Failure> {
    let broken = |error: KafkaError| Failure::Broken(error.to_string());
    client.context().failed.store(false, Ordering::SeqCst);
    client.begin_transaction().map_err(broken)?;
    let begun = Instant::now();
    let deadline = begun + STEP;
    let outputs = || batch.iter().flat_map(|queued| &queued.outputs);
    let places = || outputs().map(|(partition, record)| (record.topic, *partition));
    let alone: BTreeSet<usize> = written.firsts(places(), begun).into_values().collect();
    for goes_alone in [true, false] {
        let goes_now = |index: &usize| alone.contains(index) == goes_alone;
        for (_, (partition, record)) in outputs().enumerate().filter(|(index, _)| goes_now(index)) {
            send(shared, client, *partition, record, deadline).map_err(broken)?;
        }
        if goes_alone && !alone.is_empty() {
            wait_for_reports(client, deadline)?;
        }
    }
    let offsets = offsets(shared, batch).map_err(broken)?;
    if let Err(error) = client.send_offsets_to_transaction(&offsets, &standing.metadata, STEP) {
        return Err(after_refused_offsets(client, &error));
    }
    native::commit_transaction(client, STEP).map_err(Failure::Broken)?;
    client.context().check()?;
    places().for_each(|place| written.note(place, begun));
    Ok(())
}

/// Waits until all that was sent is written. The binding's own call may sleep for 100 ms while another thread is told.
fn wait_for_reports(producer: &ThreadedProducer<CommitContext>, deadline: Instant) -> Result<(), Failure> {
    while producer.in_flight_count() > 0 {
        if Instant::now() > deadline {
            return Err(Failure::Broken("the brokers did not take the first records in time".to_owned()));
        }
        std::thread::sleep(MOMENT);
    }
    producer.context().check()
}

/// A group that is rebalancing refuses offsets. That is no reason to give up the slices that stay: the transaction is
/// aborted, and made again when the group is through.
fn after_refused_offsets(producer: &ThreadedProducer<CommitContext>, error: &KafkaError) -> Failure {
    let rebalancing = matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::RebalanceInProgress | RDKafkaErrorCode::IllegalGeneration)
    );
    let aborts = matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort());
    if rebalancing && aborts && producer.abort_transaction(STEP).is_ok() {
        Failure::Rebalancing
    } else {
        Failure::Broken(error.to_string())
    }
}

fn send(
    shared: &Shared,
    producer: &ThreadedProducer<CommitContext>,
    partition: i32,
    record: &Record,
    deadline: Instant,
) -> KafkaResult<()> {
    let mut message =
        BaseRecord::to(shared.core.name(record.topic)).partition(partition).key(&record.key[..]);
    if let Some(value) = &record.value {
        message = message.payload(&value[..]);
    }
    if let Some(headers) = headers(record.trace) {
        message = message.headers(headers);
    }
    loop {
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again))
                if Instant::now() < deadline =>
            {
                message = again;
                std::thread::sleep(MOMENT);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// The positions of all slices; of two commits of one slice the later one's.
fn offsets(shared: &Shared, batch: &[Queued]) -> KafkaResult<TopicPartitionList> {
    let latest: std::collections::BTreeMap<u32, &Queued> =
        batch.iter().map(|queued| (queued.slice(), queued)).collect();
    let mut list = TopicPartitionList::new();
    for (slice, queued) in latest {
        for (input, (topic, position)) in shared.inputs.iter().zip(&queued.positions).enumerate() {
            let mut place = list.add_partition(shared.core.name(*topic), slice.cast_signed());
            place.set_offset(KafkaOffset::Offset(position.cast_signed()))?;
            if input == 0 {
                place.set_metadata(metadata(&shared.owner, &queued.note));
            }
        }
    }
    Ok(list)
}

/// Hears whether a record was not taken.
struct CommitContext {
    client: Context,
    failed: AtomicBool,
}

impl CommitContext {
    fn check(&self) -> Result<(), Failure> {
        let failed = self.failed.load(Ordering::SeqCst);
        if failed { Err(Failure::Broken("a record was not taken by the brokers".to_owned())) } else { Ok(()) }
    }
}

impl ProducerContext for CommitContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.store(true, Ordering::SeqCst);
        }
    }
}

impl ClientContext for CommitContext {
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
