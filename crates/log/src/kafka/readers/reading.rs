//! One read, on its thread.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, TopicPartitionList};

use super::{Chunk, Consumer, Job, Span};
use crate::kafka::ends::{Bound, Ends};
use crate::kafka::record;
use crate::{LogError, Offset, Received};

/// A chunk has at most this many records,
const CHUNK_RECORDS: usize = 1_000;
/// and ends with the record that brings it to this many bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// How soon a read that was dropped is noticed while nothing comes.
const STEP: Duration = Duration::from_millis(100);
/// After so long without anything the brokers are asked whether they are there, and what they still keep.
const QUIET: Duration = Duration::from_secs(5);
/// A read fails when they have not answered for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has been read of a span.
struct Progress {
    span: Span,
    /// The next offset.
    next: Offset,
    /// As of the last chunk.
    told: Offset,
    records: Vec<Received>,
    bytes: usize,
}

/// Why a read ended before its end.
enum Ended {
    /// Nobody wants it any more.
    Unwanted,
    Failed(LogError),
}

/// Reads. False: the consumer is not fit for another read.
pub(super) fn read(consumer: &Consumer, job: Job) -> bool {
    let Job { spans, chunks, ends, closed } = job;
    let spans = spans.into_iter().map(|span| Progress {
        next: span.from,
        told: span.from,
        span,
        records: Vec::new(),
        bytes: 0,
    });
    let send = |chunk| chunks.blocking_send(Ok(chunk)).map_err(|_| Ended::Unwanted);
    let unwanted = || chunks.is_closed() || closed.is_cancelled();
    let mut reading = Reading { consumer, spans: spans.collect(), send, unwanted, heard: Instant::now() };
    let ended = reading.begin().and_then(|()| reading.run(&ends));
    // What it is assigned next takes its place in any case.
    let unassigned = consumer.unassign().is_ok();
    match ended {
        Ok(()) | Err(Ended::Unwanted) => unassigned,
        Err(Ended::Failed(error)) => {
            // Who reads may have gone away.
            let _ = chunks.blocking_send(Err(error));
            false
        }
    }
}

struct Reading<'a, S, U> {
    consumer: &'a Consumer,
    spans: Vec<Progress>,
    send: S,
    unwanted: U,
    /// When the brokers were last heard of.
    heard: Instant,
}

impl<S: Fn(Chunk) -> Result<(), Ended>, U: Fn() -> bool> Reading<'_, S, U> {
    fn begin(&self) -> Result<(), Ended> {
        let mut list = TopicPartitionList::with_capacity(self.spans.len());
        for progress in self.spans.iter().filter(|progress| !progress.is_done()) {
            let Span { topic, partition, from, .. } = &progress.span;
            let from = rdkafka::Offset::Offset(from.cast_signed());
            list.add_partition_offset(topic, *partition, from).map_err(|error| failed(&error))?;
        }
        self.consumer.assign(&list).map_err(|error| failed(&error))
    }

    fn run(&mut self, ends: &Ends) -> Result<(), Ended> {
        let mut looked = Instant::now();
        loop {
            // What is there is gathered; it is waited for only when there is nothing to tell.
            let waiting = self.spans.iter().all(|progress| progress.next == progress.told);
            match self.consumer.poll(if waiting { STEP } else { Duration::ZERO }) {
                Some(Ok(message)) => {
                    self.heard();
                    self.take(&message)?;
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.heard();
                    self.skip_holes(partition);
                }
                Some(Err(error)) => self.bear(&error)?,
                None if waiting => {
                    if (self.unwanted)() {
                        return Err(Ended::Unwanted);
                    }
                    if self.heard.elapsed().min(looked.elapsed()) > QUIET {
                        looked = Instant::now();
                        self.look(ends)?;
                    }
                }
                None => self.tell_all()?,
            }
            if self.spans.iter().all(Progress::is_done) {
                return self.tell_all();
            }
        }
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Ended> {
        let of = |progress: &Progress| {
            progress.span.partition == message.partition() && progress.span.topic == message.topic()
        };
        let Some(index) = self.spans.iter().position(of) else { return Ok(()) };
        let progress = &mut self.spans[index];
        let offset = message.offset().cast_unsigned();
        if progress.is_done() || offset < progress.next {
            return Ok(());
        }
        match progress.span.until {
            Some(until) if offset >= until => progress.next = until,
            _ => progress.push(record::received(message)),
        }
        if progress.is_done() && self.spans.len() > 1 {
            // What comes behind it is of no use.
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition(message.topic(), message.partition());
            self.consumer.pause(&list).map_err(|error| failed(&error))?;
        }
        if self.spans[index].is_full() { self.tell(index) } else { Ok(()) }
    }

    /// At the end of a partition the consumer's position counts what is never shown: markers of transactions and
    /// records taken back.
    fn skip_holes(&mut self, partition: i32) {
        let Ok(positions) = self.consumer.position() else { return };
        for progress in self.spans.iter_mut().filter(|progress| progress.span.partition == partition) {
            let position = positions.find_partition(&progress.span.topic, partition).map(|e| e.offset());
            if let Some(rdkafka::Offset::Offset(position)) = position {
                progress.skip_to(position.cast_unsigned());
            }
        }
    }

    /// Whether the brokers are there still. What they kept no longer has become a hole.
    fn look(&mut self, ends: &Ends) -> Result<(), Ended> {
        let asked: Vec<_> = self
            .spans
            .iter()
            .map(|p| {
                (!p.is_done())
                    .then(|| ends.ask(Bound::First, &p.span.topic, p.span.partition.cast_unsigned()))
            })
            .collect();
        for (progress, answer) in self.spans.iter_mut().zip(asked) {
            match answer.map(|answer| answer.blocking_recv().unwrap_or(Err(LogError::Closed))) {
                None => {}
                Some(Ok(first)) => {
                    progress.skip_to(first);
                    self.heard = Instant::now();
                }
                Some(Err(error)) if self.heard.elapsed() > PATIENCE => return Err(Ended::Failed(error)),
                Some(Err(error)) => {
                    metrics::counter!("geopush_kafka_read_stalls_total").increment(1);
                    tracing::warn!(%error, topic = progress.span.topic, "a read waits for its broker");
                }
            }
        }
        Ok(())
    }

    /// librdkafka connects again and finds the new leader by itself; what it can't mend ends the read.
    fn bear(&self, error: &KafkaError) -> Result<(), Ended> {
        let lasting = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed);
        if lasting {
            return Err(failed(error));
        }
        tracing::debug!(%error, "a read met an error that may pass");
        Ok(())
    }

    fn tell_all(&mut self) -> Result<(), Ended> {
        (0..self.spans.len()).try_for_each(|index| self.tell(index))
    }

    fn tell(&mut self, index: usize) -> Result<(), Ended> {
        let progress = &mut self.spans[index];
        if progress.told == progress.next {
            return Ok(());
        }
        progress.told = progress.next;
        progress.bytes = 0;
        let records = std::mem::take(&mut progress.records);
        (self.send)(Chunk { span: index, records, next: progress.next })
    }
}

impl Progress {
    fn is_done(&self) -> bool {
        self.span.until.is_some_and(|until| self.next >= until)
    }

    fn is_full(&self) -> bool {
        self.records.len() >= CHUNK_RECORDS || self.bytes >= CHUNK_BYTES
    }

    fn push(&mut self, record: Received) {
        self.bytes += record.key.len() + record.value.as_ref().map_or(0, Bytes::len);
        self.next = record.offset + 1;
        self.records.push(record);
    }

    fn skip_to(&mut self, offset: Offset) {
        let offset = self.span.until.map_or(offset, |until| offset.min(until));
        self.next = self.next.max(offset);
    }
}

fn failed(error: &KafkaError) -> Ended {
    Ended::Failed(LogError::Backend(format!("a read failed: {error}; it may be tried again")))
}
