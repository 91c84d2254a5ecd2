//! The slices' records: one consumer, of no group, on a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset as KafkaOffset, TopicPartitionList};

use super::super::client::Use;
use super::super::context::Context;
use super::super::record::Copier;
use super::{Events, Shared};
use crate::{Batch, Event, LogError, Offset, Received};

/// How long to wait for a record before looking for commands.
const POLL: Duration = Duration::from_millis(10);
/// How long to wait for the topics' leaders.
const METADATA: Duration = Duration::from_secs(5);
/// A batch has at most this many records,
const BATCH_RECORDS: usize = 4_000;
/// and ends with the record that brings it to this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Of a paused input so many records or bytes are held.
const HELD_RECORDS: usize = 4 * BATCH_RECORDS;
const HELD_BYTES: usize = 2 * BATCH_BYTES;
/// Records taken before they are handed on, so that none waits long for the others.
const ROUND: usize = 16_000;

/// What the thread is told.
pub(super) enum Command {
    /// Read this slice from these positions on, under this lease.
    Begin { slice: u32, lease: u64, positions: Vec<Offset> },
    /// Read it no more.
    End { slice: u32 },
    /// Hold back an input of a slice, or go on with it.
    Pause { slice: u32, input: usize, paused: bool },
    /// The membership is over.
    Stop,
}

/// Starts the thread.
pub(super) fn spawn(shared: &Arc<Shared>, events: Events) -> Result<Sender<Command>, LogError> {
    let consumer: BaseConsumer<Context> = shared
        .core
        .client(Use::Fetch)
        // It joins nothing; librdkafka wants a name before it lets partitions be assigned.
        .set("group.id", &shared.group)
        .create_with_context(Context::new(Use::Fetch))
        .map_err(|error| LogError::Backend(format!("a consumer could not be made: {error}")))?;
    let (sender, commands) = channel();
    let (shared_too, slices, copier) = (Arc::clone(shared), BTreeMap::new(), Copier::default());
    let fetch = Fetch { shared: shared_too, consumer, commands, events, slices, copier };
    std::thread::Builder::new()
        .name(format!("{}-fetch", shared.stage))
        .spawn(move || fetch.run())
        .map_err(|error| LogError::Backend(format!("a thread could not be started: {error}")))?;
    Ok(sender)
}

struct Fetch {
    shared: Arc<Shared>,
    consumer: BaseConsumer<Context>,
    commands: Receiver<Command>,
    events: Events,
    slices: BTreeMap<u32, Reading>,
    copier: Copier,
}

/// A slice that is read.
struct Reading {
    lease: u64,
    inputs: Vec<Input>,
}

#[derive(Default)]
struct Input {
    /// Read, and not handed on yet: batches that are full, as the input is paused,
    full: Vec<Vec<Received>>,
    full_bytes: usize,
    /// and the one that is being filled.
    records: Vec<Received>,
    bytes: usize,
    /// Everything before this was read.
    next: Offset,
    /// Nothing more is read of it.
    stopped: bool,
}

impl Input {
    /// Takes a record in; says whether it has filled a batch.
    fn take(&mut self, record: Received) -> bool {
        self.next = record.offset + 1;
        self.bytes += size(&record);
        self.records.push(record);
        let filled = self.records.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES;
        if filled {
            let records = self.take_records();
            self.full.push(records);
            self.full_bytes += std::mem::take(&mut self.bytes);
        }
        filled
    }

    fn take_records(&mut self) -> Vec<Received> {
        // The next batch is probably as large.
        let as_large = Vec::with_capacity(self.records.len());
        std::mem::replace(&mut self.records, as_large)
    }

    fn is_empty(&self) -> bool {
        self.full.is_empty() && self.records.is_empty()
    }

    fn holds_much(&self) -> bool {
        let records = self.full.iter().map(Vec::len).sum::<usize>() + self.records.len();
        records >= HELD_RECORDS || self.full_bytes + self.bytes >= HELD_BYTES
    }

    /// Everything that was not handed on yet.
    fn batches(&mut self, input: usize) -> Vec<Batch> {
        self.full_bytes = 0;
        let batch = |records: Vec<Received>| {
            let next = records.last().map_or(0, |last| last.offset + 1);
            Batch { input, records, next }
        };
        let mut batches: Vec<Batch> = self.full.drain(..).map(batch).collect();
        if !self.records.is_empty() {
            self.bytes = 0;
            batches.push(batch(self.take_records()));
        }
        // What follows the last record, if anything, is a hole.
        if let Some(last) = batches.last_mut() {
            last.next = self.next;
        }
        batches
    }
}

/// Nobody takes events any more, or the thread was told to stop.
struct Over;

impl Fetch {
    fn run(mut self) {
        for topic in &self.shared.inputs {
            // So that the first slice need not wait for it; if it fails now, it is asked for again then.
            let _ = self.consumer.fetch_metadata(Some(self.shared.core.name(*topic)), METADATA);
        }
        while self.round().is_ok() {}
    }

    fn round(&mut self) -> Result<(), Over> {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.obey(command)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(Over),
            }
        }
        let mut ended = BTreeSet::new();
        let mut wait = POLL;
        for _ in 0..ROUND {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    if let Some((slice, input)) =
                        take(&self.shared, &mut self.slices, &mut self.copier, &message)
                    {
                        self.hand_on(slice, input)?;
                        self.hold_back(slice, input)?;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition.cast_unsigned());
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return self.emit(Err(LogError::Backend(format!("records could not be read: {error}"))));
                }
                // librdkafka goes on by itself, and its log and statistics tell of it.
                Some(Err(_)) => {}
            }
            wait = Duration::ZERO;
        }
        let all: Vec<(u32, usize)> = self
            .slices
            .iter()
            .flat_map(|(slice, reading)| (0..reading.inputs.len()).map(|input| (*slice, input)))
            .collect();
        for (slice, input) in all {
            self.hand_on(slice, input)?;
        }
        self.tell_of_ends(&ended)
    }

    fn emit(&self, event: Result<Event, LogError>) -> Result<(), Over> {
        self.events.blocking_send(event).map_err(|_| Over)
    }

    fn obey(&mut self, command: Command) -> Result<(), Over> {
        match command {
            Command::Begin { slice, lease, positions } => {
                let inputs = positions.iter().map(|next| Input { next: *next, ..Input::default() }).collect();
                self.slices.insert(slice, Reading { lease, inputs });
                let offset = |input: usize| {
                    // Offsets come from the cluster, which counts in i64.
                    KafkaOffset::Offset(positions[input].cast_signed())
                };
                self.assign(slice, &offset)
            }
            Command::End { slice } => {
                if self.slices.remove(&slice).is_some() {
                    let list = self.list(slice, &|_| KafkaOffset::Invalid);
                    self.check(self.consumer.incremental_unassign(&list))?;
                }
                Ok(())
            }
            // What comes of a paused input is held here, until it is too much.
            Command::Pause { paused: true, .. } => Ok(()),
            Command::Pause { slice, input, paused: false } => self.let_go_on(slice, input),
            Command::Stop => Err(Over),
        }
    }

    fn assign(&self, slice: u32, offset: &dyn Fn(usize) -> KafkaOffset) -> Result<(), Over> {
        let list = self.list(slice, offset);
        self.check(self.consumer.incremental_assign(&list))?;
        // A pause outlives the assignment that it was made for.
        self.check(self.consumer.resume(&list))
    }

    /// A slice's partitions.
    fn list(&self, slice: u32, offset: &dyn Fn(usize) -> KafkaOffset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (input, topic) in self.shared.inputs.iter().enumerate() {
            let name = self.shared.core.name(*topic);
            list.add_partition_offset(name, slice.cast_signed(), offset(input))
                .expect("names of topics and offsets are valid");
        }
        list
    }

    fn check(&self, result: Result<(), KafkaError>) -> Result<(), Over> {
        match result {
            Ok(()) => Ok(()),
            Err(error) => self.emit(Err(LogError::Backend(format!("a slice could not be read: {error}")))),
        }
    }

    /// Stops an input that is paused and has much to hand on. It costs what the client has read ahead, which is read
    /// again afterwards: so short pauses are waited out.
    fn hold_back(&mut self, slice: u32, input: usize) -> Result<(), Over> {
        let Some(read) = self.slices.get_mut(&slice).map(|reading| &mut reading.inputs[input]) else {
            return Ok(());
        };
        if read.stopped || !read.holds_much() {
            return Ok(());
        }
        read.stopped = true;
        self.check(self.consumer.pause(&self.input(slice, input)))
    }

    fn let_go_on(&mut self, slice: u32, input: usize) -> Result<(), Over> {
        let Some(reading) = self.slices.get_mut(&slice) else { return Ok(()) };
        if std::mem::take(&mut reading.inputs[input].stopped) {
            self.check(self.consumer.resume(&self.input(slice, input)))?;
        }
        Ok(())
    }

    fn input(&self, slice: u32, input: usize) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(self.shared.core.name(self.shared.inputs[input]), slice.cast_signed());
        list
    }

    /// Emits what was read of an input, unless it is paused.
    fn hand_on(&mut self, slice: u32, input: usize) -> Result<(), Over> {
        let Some(reading) = self.slices.get_mut(&slice) else { return Ok(()) };
        let lease = reading.lease;
        let read = &mut reading.inputs[input];
        if read.is_empty() || self.shared.paused.contains(slice, input) {
            return Ok(());
        }
        let batches = read.batches(input);
        batches.into_iter().try_for_each(|batch| self.emit(Ok(Event::Batch { slice, lease, batch })))
    }

    /// A partition that was read to its end may end in offsets without records: markers of transactions, or what
    /// compaction left. The end's own event names no topic, so every input of the slice is looked at.
    fn tell_of_ends(&mut self, ended: &BTreeSet<u32>) -> Result<(), Over> {
        if ended.is_empty() {
            return Ok(());
        }
        let Ok(positions) = self.consumer.position() else { return Ok(()) };
        let mut reached = Vec::new();
        for (slice, reading) in self.slices.iter_mut().filter(|(slice, _)| ended.contains(slice)) {
            for (input, topic) in self.shared.inputs.iter().enumerate() {
                let found = positions.find_partition(self.shared.core.name(*topic), slice.cast_signed());
                let read = &mut reading.inputs[input];
                if let Some(KafkaOffset::Offset(position)) = found.map(|found| found.offset())
                    && position.cast_unsigned() > read.next
                    && read.is_empty()
                {
                    read.next = position.cast_unsigned();
                    reached.push(Event::Reached {
                        slice: *slice,
                        lease: reading.lease,
                        input,
                        next: read.next,
                    });
                }
            }
        }
        reached.into_iter().try_for_each(|event| self.emit(Ok(event)))
    }
}

/// Puts a message to its slice's input; which, if that has filled a batch.
fn take(
    shared: &Shared,
    slices: &mut BTreeMap<u32, Reading>,
    copier: &mut Copier,
    message: &BorrowedMessage<'_>,
) -> Option<(u32, usize)> {
    let slice = message.partition().cast_unsigned();
    let input = match shared.inputs[..] {
        // A message's topic is dear.
        [_] => 0,
        ref inputs => inputs.iter().position(|topic| shared.core.name(*topic) == message.topic())?,
    };
    let read = slices.get_mut(&slice)?.inputs.get_mut(input)?;
    read.take(copier.received(message)).then_some((slice, input))
}

fn size(record: &Received) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(input: &mut Input, records: usize, bytes: usize) -> usize {
        let value = Some(Bytes::from(vec![0; bytes]));
        let record = Received { offset: 0, appended_at_ms: 7, key: Bytes::new(), value, trace: None };
        let filled =
            (0..records).filter(|_| input.take(Received { offset: input.next, ..record.clone() })).count();
        assert_eq!(input.full.len(), filled);
        filled
    }

    #[test]
    fn what_a_paused_input_holds_comes_in_batches_one_after_the_other() {
        let mut input = Input { next: 100, ..Input::default() };
        assert_eq!(take(&mut input, 2 * BATCH_RECORDS + 3, 1), 2);
        let batches = input.batches(0);
        let firsts: Vec<_> = batches.iter().map(|batch| batch.records[0].offset).collect();
        let nexts: Vec<_> = batches.iter().map(|batch| batch.next).collect();
        assert_eq!((firsts, nexts), (vec![100, 4_100, 8_100], vec![4_100, 8_100, 8_103]));
        assert!(input.is_empty() && input.batches(0).is_empty());
    }

    #[test]
    fn a_batch_ends_with_the_record_that_brings_it_to_its_bytes() {
        let mut input = Input::default();
        assert_eq!(take(&mut input, 3, BATCH_BYTES / 2), 1);
        let sizes: Vec<_> = input.batches(0).iter().map(|batch| batch.records.len()).collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn an_input_holds_much_by_records_or_by_bytes_until_they_are_handed_on() {
        for (records, bytes) in [(HELD_RECORDS, 1), (4, HELD_BYTES / 4)] {
            let mut input = Input::default();
            take(&mut input, records - 1, bytes);
            assert!(!input.holds_much());
            input.take(Received {
                offset: input.next,
                appended_at_ms: 7,
                key: Bytes::new(),
                value: Some(vec![0; bytes].into()),
                trace: None,
            });
            assert!(input.holds_much());
            input.batches(0);
            assert!(!input.holds_much());
        }
    }
}
