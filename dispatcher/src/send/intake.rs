//! Records that a slice was given and has not taken in hand yet, by input: pushes as they come, retries when they are
//! due. Pure but for the slice's inputs, which it pauses: no more is held of a topic of retries than was read already.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use geopush_log::{Batch, Offset, Received, Slice, Topic};
use geopush_model::{Push, PushReader, Retry, UnixMillis, Wire as _};

use super::tries::Tries;
use super::wait::{TOPICS, Waits};

/// What the stage consumes: pushes, then the topics of retries.
pub const INPUTS: [Topic; 1 + TOPICS.len()] = {
    let [first, second, third] = TOPICS;
    [Topic::Pushes, first, second, third]
};

/// A push as it was read.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is sent.
    pub push: Arc<Push>,
    /// The attempts so far.
    pub tries: Tries,
    /// How often it was put off.
    pub deferrals: u32,
    /// Not before then.
    pub not_before: Option<UnixMillis>,
}

impl Item {
    /// How long ago it was decided on.
    pub fn age(&self, now: UnixMillis) -> Duration {
        Duration::from_millis(u64::try_from(now.since_ms(self.push.created_at)).unwrap_or(0))
    }

    fn read(reader: &PushReader, input: usize, received: &Received) -> Result<Self, String> {
        let value = received.value.as_ref().ok_or("a push must have a value")?;
        if input == 0 {
            let push = reader.read(value).map_err(|error| error.to_string())?;
            let push = Arc::new(push);
            return Ok(Self { push, tries: Tries::default(), deferrals: 0, not_before: None });
        }
        let retry = Retry::decode(value).map_err(|error| error.to_string())?;
        Ok(Self {
            push: Arc::new(retry.push),
            tries: Tries::resumed(retry.attempts, retry.failures),
            deferrals: retry.deferrals,
            not_before: Some(retry.not_before),
        })
    }
}

/// The next record of an input.
pub struct Head {
    /// As it came.
    pub received: Received,
    /// What it says; why not, if it can't be read.
    pub item: Result<Item, String>,
}

/// What waits to be taken.
pub struct Intake {
    waits: Waits,
    reader: Arc<PushReader>,
    queues: [Queue; INPUTS.len()],
}

#[derive(Default)]
struct Queue {
    records: VecDeque<Received>,
    /// Taken out of the records, and looked at.
    head: Option<Box<Head>>,
    /// The position when all of it has been taken.
    next: Offset,
}

impl Queue {
    fn front(&self) -> Option<&Received> {
        self.head.as_ref().map(|head| &head.received).or(self.records.front())
    }

    fn is_empty(&self) -> bool {
        self.front().is_none()
    }
}

impl Intake {
    /// Nothing has come yet.
    pub fn new(waits: Waits, reader: Arc<PushReader>) -> Self {
        Self { waits, reader, queues: Default::default() }
    }

    /// A batch comes. Of retries no more are asked for until these are taken.
    pub fn put(&mut self, batch: Batch, slice: &Slice) {
        let queue = &mut self.queues[batch.input];
        queue.records.extend(batch.records);
        queue.next = batch.next;
        if batch.input > 0 {
            slice.pause(batch.input, true);
        }
    }

    /// Whether more pushes are wanted.
    pub fn wants_pushes(&self) -> bool {
        self.queues[0].is_empty()
    }

    /// An input's next record, if it is due.
    pub fn head(&mut self, input: usize, now: UnixMillis) -> Option<&Head> {
        if self.due_at(input)? > now {
            return None;
        }
        let queue = &mut self.queues[input];
        if queue.head.is_none() {
            let received = queue.records.pop_front()?;
            let item = Item::read(&self.reader, input, &received);
            queue.head = Some(Box::new(Head { received, item }));
        }
        queue.head.as_deref()
    }

    /// Takes the record that [`Self::head`] showed, with the input's position after it.
    pub fn take(&mut self, input: usize, slice: &Slice) -> Option<(Offset, Head)> {
        let queue = &mut self.queues[input];
        let head = *queue.head.take()?;
        if !queue.is_empty() {
            return Some((head.received.offset + 1, head));
        }
        if input > 0 {
            slice.pause(input, false);
        }
        Some((queue.next, head))
    }

    /// For each topic of retries: everything before this is due, or was taken.
    pub fn due_until(&self, now: UnixMillis) -> impl Iterator<Item = (usize, Offset)> {
        (0..TOPICS.len()).filter_map(move |topic| {
            let queue = &self.queues[topic + 1];
            let is_due =
                |received: &Received| self.waits.due(topic, UnixMillis(received.appended_at_ms)) <= now;
            // They arrived in this order, or nearly so.
            let due = queue.records.partition_point(is_due);
            let last = due.checked_sub(1).map(|at| &queue.records[at]);
            let first = queue.front().filter(|first| is_due(first));
            last.into_iter().chain(first).map(|due| due.offset + 1).max().map(|until| (topic, until))
        })
    }

    /// When the next retry comes due.
    pub fn next_due(&self) -> Option<UnixMillis> {
        (1..INPUTS.len()).filter_map(|input| self.due_at(input)).min()
    }

    /// Pushes are due when they come.
    fn due_at(&self, input: usize) -> Option<UnixMillis> {
        let arrived = UnixMillis(self.queues[input].front()?.appended_at_ms);
        Some(input.checked_sub(1).map_or(UnixMillis(i64::MIN), |topic| self.waits.due(topic, arrived)))
    }
}
