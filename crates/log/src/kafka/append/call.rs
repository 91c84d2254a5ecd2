//! What became of the records of one call.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use rdkafka::{ClientContext, Statistics};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, oneshot};

use super::super::context::Context;
use crate::AppendError;

/// Records on their way. When the last is reported on it is dropped, and tells what became of them.
pub(in super::super) struct Call {
    outcome: Mutex<Outcome>,
    done: Option<oneshot::Sender<Outcome>>,
    _room: Arc<OwnedSemaphorePermit>,
    /// For a record that goes alone.
    _turn: Option<OwnedMutexGuard<()>>,
}

#[derive(Default)]
pub(super) struct Outcome {
    pub(super) written: usize,
    /// Records that were surely not written.
    refused: usize,
    /// The first failure.
    error: Option<KafkaError>,
}

impl Outcome {
    /// So many records will not be sent.
    pub(super) fn refuse(&mut self, records: usize, error: Option<KafkaError>) {
        self.refused += records;
        self.error = self.error.take().or(error);
    }

    fn failed(&mut self, error: KafkaError) {
        self.refused += usize::from(error.rdkafka_error_code().is_some_and(|code| REFUSALS.contains(&code)));
        self.error.get_or_insert(error);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.written += other.written;
        self.refuse(other.refused, other.error);
    }

    /// Of so many records in all.
    pub(super) fn result(self, records: usize) -> Result<(), AppendError> {
        if self.written == records {
            return Ok(());
        }
        let code = self.error.as_ref().and_then(KafkaError::rdkafka_error_code);
        let reason =
            self.error.map_or_else(|| "there was no answer in time".to_owned(), |error| error.to_string());
        match code {
            _ if self.refused < records => Err(AppendError::Unknown(reason)),
            // Another producer takes the place of one that has failed for good.
            Some(RDKafkaErrorCode::QueueFull | RDKafkaErrorCode::Fatal) => Err(AppendError::Full),
            _ => Err(AppendError::Refused(reason)),
        }
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

impl Call {
    /// A call of which this much is known, and where the rest will be told.
    pub(super) fn new(
        outcome: Outcome,
        room: Arc<OwnedSemaphorePermit>,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (done, told) = oneshot::channel();
        (Arc::new(Self { outcome: Mutex::new(outcome), done: Some(done), _room: room, _turn: turn }), told)
    }

    pub(super) fn refuse(&self, records: usize, error: KafkaError) {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).refuse(records, Some(error));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let outcome = std::mem::take(self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner));
        // The one who called may have gone away.
        let _ = self.done.take().map(|done| done.send(outcome));
    }
}

/// Hears what became of each record.
pub(in super::super) struct Reports(pub(super) Context);

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = Arc<Call>;

    fn delivery(&self, result: &DeliveryResult<'_>, call: Arc<Call>) {
        let mut outcome = call.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => outcome.written += 1,
            Err((error, _)) => outcome.failed(error.clone()),
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
