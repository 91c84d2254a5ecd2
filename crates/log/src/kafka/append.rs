//! Appends: one idempotent producer for all, and room for so many bytes that wait to be written.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::Statistics;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::client::Use;
use super::context::Context;
use super::options::unusable;
use super::{Core, KafkaOptions, record};
use crate::{AppendError, Record};

/// Room is had in pieces of so many bytes,
const PIECE_BYTES: usize = 1_024;
/// of which there are so many: 64 MiB. librdkafka's own queue is set larger, so that a call finds room whole or not
/// at all.
const PIECES: u32 = 64 << 10;
/// What goes with a record besides its key and value, about.
const RECORD_BYTES: usize = 256;
/// librdkafka reports every record within `message.timeout.ms`; this is for when it does not.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) type Producer = ThreadedProducer<Reports>;

/// The producer, and the room that is left.
pub(super) struct Appender {
    producer: RwLock<Arc<Producer>>,
    room: Arc<Semaphore>,
}

/// Hears what became of each record.
pub(super) struct Reports(Context);

/// One call of append. When its last record is reported on it is dropped, and tells what became of it.
pub(super) struct Call {
    outcome: Mutex<Outcome>,
    done: Option<oneshot::Sender<Outcome>>,
    _room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Outcome {
    written: usize,
    /// Records that were surely not written.
    refused: usize,
    /// The first failure.
    error: Option<KafkaError>,
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
        self.producer().client().context().0.last_error()
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
        let Some((code, reason)) = failed.client().fatal_error() else { return Ok(()) };
        let mut producer = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&producer, failed) {
            tracing::warn!(%code, reason, "the producer of appends failed for good; another takes its place");
            metrics::counter!("geopush_kafka_producer_replacements_total").increment(1);
            let old = std::mem::replace(&mut *producer, Arc::new(self::producer(&core.options)?));
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

/// A producer of appends.
pub(super) fn producer(options: &KafkaOptions) -> Result<Producer, KafkaError> {
    options.client(Use::Append).create_with_context(Reports(Context::new(Use::Append)))
}

/// [`crate::Log::append`].
pub(super) async fn append(core: &Core, records: Vec<Record>) -> Result<(), AppendError> {
    if core.closed.is_cancelled() {
        return Err(AppendError::Refused("the log is closed".to_owned()));
    }
    if records.is_empty() {
        return Ok(());
    }
    let partitions: Vec<i32> = records
        .iter()
        .map(|record| record::place(core, record))
        .collect::<Result<_, _>>()
        .map_err(AppendError::Refused)?;
    let count = records.len();
    let room = core.appender.room(&records)?;
    let (done, outcome) = oneshot::channel();
    let call = Arc::new(Call { outcome: Mutex::default(), done: Some(done), _room: room });
    let sent = send(core, &call, &records, &partitions);
    // From here on it is the records' reports that keep the call.
    drop((call, records));
    let producer = sent?;
    let outcome = match tokio::time::timeout(PATIENCE, outcome).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => Outcome::default(),
    };
    if outcome.written == count {
        metrics::counter!("geopush_log_appended_records_total").increment(count as u64);
        return Ok(());
    }
    if let Err(error) = core.appender.replace(core, &producer) {
        tracing::error!(error = %unusable(error), "no other producer of appends could be made; the next append tries");
    }
    let reason =
        outcome.error.map_or_else(|| "there was no answer in time".to_owned(), |error| error.to_string());
    if outcome.refused == count {
        Err(AppendError::Refused(reason))
    } else {
        Err(AppendError::Unknown(reason))
    }
}

/// Hands the records over. Fails when none was taken.
fn send(
    core: &Core,
    call: &Arc<Call>,
    records: &[Record],
    partitions: &[i32],
) -> Result<Arc<Producer>, AppendError> {
    let mut producer = core.appender.producer();
    let mut sent = 0;
    while let (Some(record), Some(partition)) = (records.get(sent), partitions.get(sent)) {
        let Err(error) = send_one(core, &producer, call, record, *partition) else {
            sent += 1;
            continue;
        };
        if sent > 0 {
            call.failed(error);
            break;
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => return Err(AppendError::Full),
            Some(RDKafkaErrorCode::Fatal) => {
                core.appender
                    .replace(core, &producer)
                    .map_err(|error| AppendError::Refused(error.to_string()))?;
                let next = core.appender.producer();
                if Arc::ptr_eq(&next, &producer) {
                    return Err(AppendError::Full);
                }
                producer = next;
            }
            _ => return Err(AppendError::Refused(error.to_string())),
        }
    }
    Ok(producer)
}

fn send_one(
    core: &Core,
    producer: &Producer,
    call: &Arc<Call>,
    record: &Record,
    partition: i32,
) -> Result<(), KafkaError> {
    let mut message = BaseRecord::with_opaque_to(core.name(record.topic), Arc::clone(call))
        .partition(partition)
        .key(&record.key[..]);
    message.payload = record.value.as_deref();
    message.headers = record::headers(record.trace);
    producer.send(message).map_err(|(error, _)| error)
}

impl Call {
    fn failed(&self, error: KafkaError) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if error.rdkafka_error_code().is_some_and(|code| REFUSALS.contains(&code)) {
            outcome.refused += 1;
        }
        outcome.error.get_or_insert(error);
    }
}

/// Answers that leave nothing written.
const REFUSALS: &[RDKafkaErrorCode] = &[
    RDKafkaErrorCode::InvalidRecord,
    RDKafkaErrorCode::MessageSizeTooLarge,
    RDKafkaErrorCode::PolicyViolation,
    RDKafkaErrorCode::PurgeQueue,
    RDKafkaErrorCode::TopicAuthorizationFailed,
    RDKafkaErrorCode::UnknownPartition,
    RDKafkaErrorCode::UnknownTopic,
];

impl Drop for Call {
    fn drop(&mut self) {
        let outcome = std::mem::take(self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner));
        // The one who called may have gone away.
        let _ = self.done.take().map(|done| done.send(outcome));
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = Arc<Call>;

    fn delivery(&self, result: &DeliveryResult<'_>, call: Arc<Call>) {
        match result {
            Ok(_) => call.outcome.lock().unwrap_or_else(PoisonError::into_inner).written += 1,
            Err((error, _)) => call.failed(error.clone()),
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.0.log(level, facility, line);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::Topic;

    fn core(mock: &MockCluster<'_, DefaultProducerContext>) -> Arc<Core> {
        let options = KafkaOptions {
            brokers: mock.bootstrap_servers(),
            prefix: String::new(),
            partitions: 2,
            replication: 1,
            properties: std::collections::BTreeMap::new(),
        };
        mock.create_topic(Topic::Pings.name(), 2, 1).unwrap();
        Core::new(options).unwrap()
    }

    async fn put(core: &Core) -> Result<(), AppendError> {
        append(core, vec![Record::new(Topic::Pings, "k", "x")]).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_producer_that_failed_for_good_is_replaced() {
        let mock = MockCluster::new(1).unwrap();
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
        let mock = MockCluster::new(1).unwrap();
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
    async fn a_call_that_could_never_find_room_is_refused() {
        let mock = MockCluster::new(1).unwrap();
        let core = core(&mock);
        let large = |n: usize| vec![Record::new(Topic::Pings, "k", vec![0; 900_000]); n];
        let refused = append(&core, large(80)).await;
        assert!(
            matches!(&refused, Err(AppendError::Refused(text)) if text.contains("67108864")),
            "{refused:?}"
        );
    }
}
