//! Where partitions begin and end: many questions at once become one.
//!
//! A question is answered by a request that was sent after it was asked, or the read barrier would promise too much:
//! what comes while a request is under way waits for the next.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::sync::oneshot;

use super::client::Use;
use super::context::Context;
use super::options::unusable;
use super::{Core, KafkaOptions};
use crate::{LogError, Offset, Topic};

/// A question is answered within twice this, or fails.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between attempts, when a partition is moving.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the client is looked after while nobody asks.
const IDLE: Duration = Duration::from_secs(5);

/// Which offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bound {
    /// The first that is kept.
    First,
    /// Behind the last that no open transaction may still take back.
    Stable,
    /// Behind the last of all.
    High,
}

/// Asks.
#[derive(Clone)]
pub(super) struct Ends {
    /// A client sees what its isolation level lets it see, so there are two.
    committed: Sender<Question>,
    uncommitted: Sender<Question>,
}

struct Question {
    bound: Bound,
    topic: String,
    partition: i32,
    answer: oneshot::Sender<Result<Offset, LogError>>,
}

impl Ends {
    pub(super) fn start(options: &KafkaOptions) -> Result<Self, LogError> {
        Ok(Self {
            committed: spawn(options, "read_committed")?,
            uncommitted: spawn(options, "read_uncommitted")?,
        })
    }

    /// Asks; the answer comes.
    pub(super) fn ask(
        &self,
        bound: Bound,
        topic: &str,
        partition: u32,
    ) -> oneshot::Receiver<Result<Offset, LogError>> {
        let (answer, receiver) = oneshot::channel();
        let question =
            Question { bound, topic: topic.to_owned(), partition: partition.cast_signed(), answer };
        let thread = if bound == Bound::Stable { &self.committed } else { &self.uncommitted };
        // Without its thread the question is dropped, and the receiver hears of that.
        let _ = thread.send(question);
        receiver
    }

    /// Asks and waits.
    pub(super) async fn get(&self, bound: Bound, topic: &str, partition: u32) -> Result<Offset, LogError> {
        self.ask(bound, topic, partition).await.unwrap_or(Err(LogError::Closed))
    }
}

impl Core {
    /// [`crate::Log::end`]. No transaction ever writes to `zones`, `campaigns` and `config`, so that the one who
    /// asks for the read barrier waits for none.
    pub(super) async fn end(&self, topic: Topic, partition: u32) -> Result<Offset, LogError> {
        let bound = match topic {
            Topic::Zones | Topic::Campaigns | Topic::Config => Bound::High,
            _ => Bound::Stable,
        };
        self.ends.get(bound, self.name(topic), partition).await
    }
}

fn spawn(options: &KafkaOptions, isolation: &str) -> Result<Sender<Question>, LogError> {
    let mut config = options.client(Use::Read);
    config.set("isolation.level", isolation);
    let client: BaseConsumer<Context> =
        config.create_with_context(Context::new(Use::Read)).map_err(unusable)?;
    let (sender, questions) = mpsc::channel();
    std::thread::Builder::new()
        .name("kafka-ends".to_owned())
        .spawn(move || serve(&client, &questions))
        .map_err(|error| LogError::Backend(format!("no thread could be started: {error}")))?;
    Ok(sender)
}

fn serve(client: &BaseConsumer<Context>, questions: &Receiver<Question>) {
    loop {
        match questions.recv_timeout(IDLE) {
            Ok(first) => answer(client, std::iter::once(first).chain(questions.try_iter())),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Statistics and log lines come this way.
        client.poll(Duration::ZERO);
    }
}

fn answer(client: &BaseConsumer<Context>, questions: impl Iterator<Item = Question>) {
    let mut by_bound = HashMap::<Bound, Vec<Question>>::new();
    for question in questions {
        by_bound.entry(question.bound).or_default().push(question);
    }
    for (bound, questions) in by_bound {
        let found = query(client, bound, &questions);
        for question in questions {
            let offset = match &found {
                Ok(found) => found.get(&question.topic, question.partition),
                Err(error) => Err(error.to_string()),
            };
            let answer = offset.map_err(|error| {
                LogError::Backend(format!(
                    "the end of {} {} is not to be had: {error}; it is tried again",
                    question.topic, question.partition
                ))
            });
            // Who asked may have gone away.
            let _ = question.answer.send(answer);
        }
    }
}

struct Found(TopicPartitionList);

impl Found {
    fn get(&self, topic: &str, partition: i32) -> Result<Offset, String> {
        let element = self.0.find_partition(topic, partition).ok_or("no answer")?;
        element.error().map_err(|error| error.to_string())?;
        match element.offset() {
            rdkafka::Offset::Offset(offset) => Ok(offset.cast_unsigned()),
            _ => Err("no offset".to_owned()),
        }
    }
}

/// One request to each leader.
fn query(client: &BaseConsumer<Context>, bound: Bound, questions: &[Question]) -> Result<Found, KafkaError> {
    // Kafka's ListOffsets takes these in the place of a time.
    let wanted = if bound == Bound::First { rdkafka::Offset::Beginning } else { rdkafka::Offset::End };
    let mut list = TopicPartitionList::with_capacity(questions.len());
    for Question { topic, partition, .. } in questions {
        if list.find_partition(topic, *partition).is_none() {
            list.add_partition_offset(topic, *partition, wanted)?;
        }
    }
    let began = Instant::now();
    loop {
        let left = PATIENCE.saturating_sub(began.elapsed());
        let found = client.offsets_for_times(list.clone(), left.max(PAUSE)).map(Found);
        let settled = match &found {
            Ok(found) => found.0.elements().iter().all(|element| element.error().is_ok()),
            Err(_) => false,
        };
        if settled || left <= PAUSE {
            return found;
        }
        metrics::counter!("geopush_kafka_end_retries_total").increment(1);
        std::thread::sleep(PAUSE);
    }
}
