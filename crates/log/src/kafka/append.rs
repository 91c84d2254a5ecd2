//! Appends: one idempotent producer for all, and room for so many bytes that wait to be written.

mod call;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::future::join_all;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::client::Use;
use super::context::Context;
use super::options::unusable;
use super::written::{Place, Written};
use super::{Core, KafkaOptions, record};
use crate::{AppendError, Record};
use call::{Call, Outcome, Reports};

/// Room is had in pieces of so many bytes,
const PIECE_BYTES: usize = 1_024;
/// of which there are so many: 64 MiB. librdkafka's own queue is set larger, so that a call finds room whole or not
/// at all.
const PIECES: u32 = 64 << 10;
/// What goes with a record besides its key and value, about.
const RECORD_BYTES: usize = 256;
/// librdkafka reports every record within `message.timeout.ms`; this is for when it does not, and for records that wait
/// for another's report.
const PATIENCE: Duration = Duration::from_secs(20);

/// The producer, and the room that is left.
pub(super) struct Appender {
    producer: RwLock<Arc<Producer>>,
    room: Arc<Semaphore>,
}

/// A producer, and where it has written.
pub(super) struct Producer {
    pub(super) client: ThreadedProducer<Reports>,
    written: Written,
    /// By [`Written::index`]: of the records that go alone to a partition, one at a time.
    turns: Box<[Arc<Mutex<()>>]>,
}

impl Producer {
    pub(super) fn new(options: &KafkaOptions) -> Result<Self, KafkaError> {
        let client = options.client(Use::Append).create_with_context(Reports(Context::new(Use::Append)))?;
        let written = Written::new(options.partitions, Instant::now());
        let turns = (0..written.places()).map(|_| Arc::default()).collect();
        Ok(Self { client, written, turns })
    }
}

impl Appender {
    pub(super) fn new(producer: Producer) -> Self {
        Self { producer: RwLock::new(Arc::new(producer)), room: Arc::new(Semaphore::new(PIECES as usize)) }
    }

    pub(super) fn producer(&self) -> Arc<Producer> {
        Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What librdkafka last said of why the brokers could not be used.
    pub(super) fn last_error(&self) -> Option<String> {
        self.producer().client.context().0.last_error()
    }

    fn room(&self, records: &[Record]) -> Result<OwnedSemaphorePermit, AppendError> {
        let bytes: usize = records.iter().map(|record| record::size(record) + RECORD_BYTES).sum();
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        if pieces > PIECES {
            let most = PIECES as usize * PIECE_BYTES;
            return Err(AppendError::Refused(format!(
                "{bytes} bytes in one call; at most {most} are taken at once"
            )));
        }
        Arc::clone(&self.room).try_acquire_many_owned(pieces).map_err(|_| AppendError::Full)
    }

    /// Puts a new producer in the place of one that has failed for good.
    fn replace(&self, core: &Core, failed: &Arc<Producer>) -> Result<(), KafkaError> {
        let Some((code, reason)) = failed.client.client().fatal_error() else { return Ok(()) };
        let mut producer = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&producer, failed) {
            tracing::warn!(%code, reason, "the producer of appends failed for good; another takes its place");
            metrics::counter!("geopush_kafka_producer_replacements_total").increment(1);
            let old = std::mem::replace(&mut *producer, Arc::new(Producer::new(&core.options)?));
            drop_elsewhere(old);
        }
        Ok(())
    }

    /// Waits until everything has been reported on.
    pub(super) async fn flush(&self) {
        if tokio::time::timeout(PATIENCE, self.room.acquire_many(PIECES)).await.is_err() {
            tracing::warn!("records were still waiting to be written when the log was closed");
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        drop_elsewhere(self.producer());
    }
}

/// Dropping a producer may take a second, which no task should stand still for.
fn drop_elsewhere(producer: Arc<Producer>) {
    // Where there is no thread to be had, dropping it has to happen here.
    let _ = std::thread::Builder::new().name("kafka-drop".to_owned()).spawn(move || drop(producer));
}

/// [`crate::Log::append`].
pub(super) async fn append(core: &Core, records: Vec<Record>) -> Result<(), AppendError> {
    if core.closed.is_cancelled() {
        return Err(AppendError::Refused("the log is closed".to_owned()));
    }
    if records.is_empty() {
        return Ok(());
    }
    let places: Vec<Place> = records
        .iter()
        .map(|record| Ok((record.topic, record::place(core, record)?)))
        .collect::<Result<_, _>>()
        .map_err(AppendError::Refused)?;
    let (count, begun) = (records.len(), Instant::now());
    let room = Arc::new(core.appender.room(&records)?);
    let producer = core.appender.producer();
    let batch = Batch { core, producer: &producer, records, places: &places, room };
    let outcome = tokio::time::timeout(PATIENCE, batch.write()).await.unwrap_or_default();
    if outcome.written == count {
        places.iter().for_each(|place| producer.written.note(*place, begun));
        metrics::counter!("geopush_log_appended_records_total").increment(count as u64);
    } else if let Err(error) = core.appender.replace(core, &producer) {
        tracing::error!(error = %unusable(error), "no other producer of appends could be made; the next append tries");
    }
    outcome.result(count)
}

/// The records of one call.
struct Batch<'a> {
    core: &'a Core,
    producer: &'a Producer,
    records: Vec<Record>,
    places: &'a [Place],
    room: Arc<OwnedSemaphorePermit>,
}

impl Batch<'_> {
    async fn write(self) -> Outcome {
        let firsts = self.producer.written.firsts(self.places.iter().copied(), Instant::now());
        let ended = join_all(firsts.values().map(|index| self.write_alone(*index))).await;
        let (mut outcome, mut sent) = (Outcome::default(), BTreeSet::new());
        for (index, ended) in firsts.into_values().zip(ended) {
            if let Some(ended) = ended {
                outcome.add(ended);
                sent.insert(index);
            }
        }
        if outcome.written < sent.len() {
            outcome.refuse(self.records.len() - sent.len(), None);
            return outcome;
        }
        let (call, told) = Call::new(outcome, Arc::clone(&self.room), None);
        let rest = (0..self.records.len()).filter(|index| !sent.contains(index));
        for (before, index) in rest.enumerate() {
            if let Err(error) = self.send(&call, index) {
                call.refuse(self.records.len() - sent.len() - before, error);
                break;
            }
        }
        // From here on it is the records' reports that keep the call.
        drop((call, self));
        told.await.unwrap_or_default()
    }

    /// Writes a partition's first record, unless another call did so in the meantime.
    async fn write_alone(&self, index: usize) -> Option<Outcome> {
        let place = self.places[index];
        let turn = &self.producer.turns[self.producer.written.index(place)];
        let turn = Arc::clone(turn).lock_owned().await;
        let begun = Instant::now();
        if self.producer.written.is_known_at(place, begun) {
            return None;
        }
        // Whether or not anyone waits for the report, the turn is over with it.
        let (call, told) = Call::new(Outcome::default(), Arc::clone(&self.room), Some(turn));
        if let Err(error) = self.send(&call, index) {
            call.refuse(1, error);
        }
        drop(call);
        let outcome = told.await.unwrap_or_default();
        if outcome.written > 0 {
            self.producer.written.note(place, begun);
        }
        Some(outcome)
    }

    /// Hands a record over.
    fn send(&self, call: &Arc<Call>, index: usize) -> Result<(), KafkaError> {
        let (record, (topic, partition)) = (&self.records[index], self.places[index]);
        let mut message = BaseRecord::with_opaque_to(self.core.name(topic), Arc::clone(call))
            .partition(partition)
            .key(&record.key[..]);
        message.payload = record.value.as_deref();
        message.headers = record::headers(record.trace);
        self.producer.client.send(message).map_err(|(error, _)| error)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::super::mock::{cluster, core, refuse_at_first};
    use super::*;
    use crate::Topic;

    async fn put(core: &Core) -> Result<(), AppendError> {
        append(core, vec![Record::new(Topic::Pings, "k", "x")]).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_producer_that_failed_for_good_is_replaced() {
        let mock = cluster();
        let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
        mock.request_errors(RDKafkaApiKey::InitProducerId, &[fatal]);
        let core = core(&mock);
        let first = core.appender.producer();
        put(&core).await.unwrap_err();
        assert!(!Arc::ptr_eq(&first, &core.appender.producer()));
        put(&core).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_broker_surely_refused_is_refused_and_anything_else_is_unknown() {
        let mock = cluster();
        let core = core(&mock);
        put(&core).await.unwrap();
        let odd = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN;
        mock.request_errors(RDKafkaApiKey::Produce, &[odd]);
        let unknown = put(&core).await;
        assert!(matches!(unknown, Err(AppendError::Unknown(_))), "{unknown:?}");
        let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        mock.request_errors(RDKafkaApiKey::Produce, &[refusal]);
        let refused = put(&core).await;
        assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_partition_refuses_at_first_is_written_before_what_comes_after() {
        let mock = cluster();
        let core = core(&mock);
        refuse_at_first(&mock);
        let records =
            |call| (0..10).map(move |n| Record::new(Topic::Pings, "k", format!("{call}{n}")).at(n % 2));
        let calls = ["a", "b", "c"].map(|call| append(&core, records(call).collect()));
        for appended in join_all(calls).await {
            appended.unwrap();
        }
        let ends = [core.end(Topic::Pings, 0).await.unwrap(), core.end(Topic::Pings, 1).await.unwrap()];
        assert_eq!(ends, [15, 15]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_call_whose_first_record_fails_sends_no_other() {
        let mock = cluster();
        let core = core(&mock);
        let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
        mock.request_errors(RDKafkaApiKey::Produce, &[refusal]);
        let refused = append(&core, vec![Record::new(Topic::Pings, "k", "x").at(0); 3]).await;
        assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
        assert_eq!(core.end(Topic::Pings, 0).await.unwrap(), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_that_goes_away_leaves_the_turn_to_the_next() {
        let mock = cluster();
        let core = core(&mock);
        mock.broker_down(1).unwrap();
        let gone = tokio::time::timeout(Duration::from_millis(200), put(&core)).await;
        assert!(gone.is_err());
        mock.broker_up(1).unwrap();
        put(&core).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_call_that_could_never_find_room_is_refused() {
        let mock = cluster();
        let core = core(&mock);
        let large = |n: usize| vec![Record::new(Topic::Pings, "k", vec![0; 900_000]); n];
        let refused = append(&core, large(80)).await;
        assert!(
            matches!(&refused, Err(AppendError::Refused(text)) if text.contains("67108864")),
            "{refused:?}"
        );
    }
}
