//! Where a slice goes on: its positions and note as committed, once nothing is open that could still move them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};

use super::super::client::Use;
use super::super::ends::Bound;
use super::Shared;
use crate::{Cleanup, Offset, Topic};

/// How long to wait for the committed positions of all slices at once, or of one.
const ALL: Duration = Duration::from_secs(1);
const ONE: Duration = Duration::from_millis(200);
/// How long to wait until a transaction of a former owner is ended.
const FENCE: Duration = Duration::from_secs(2);
/// Between two complaints.
const COMPLAIN: Duration = Duration::from_secs(10);

/// A slice as it was last committed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) slice: u32,
    pub(super) positions: Vec<Offset>,
    pub(super) note: String,
}

/// What goes with the first input's offset: who committed it, so that the next owner can end what this one left open, and
/// the stage's note.
pub(super) fn metadata(owner: &str, note: &str) -> String {
    format!("{owner}\n{note}")
}

/// The transactional ids of an owner's producers.
pub(super) fn transactional_ids(owner: &str) -> [String; 2] {
    [owner.to_owned(), format!("{owner}+")]
}

/// The owner and the note.
fn split(metadata: &str) -> (&str, &str) {
    metadata.split_once('\n').unwrap_or(("", metadata))
}

/// Settles slices, again and again.
#[derive(Default)]
pub(super) struct Settler {
    failures: u32,
    complained: Option<Instant>,
}

impl Settler {
    /// Reads where these slices go on; those that can't be settled yet are left out, and tried again at the next call.
    pub(super) fn settle(
        &mut self,
        shared: &Shared,
        consumer: &BaseConsumer<impl rdkafka::consumer::ConsumerContext>,
        slices: &[u32],
    ) -> Vec<Settled> {
        let settled = match committed(shared, consumer, slices, ALL) {
            Ok(settled) => settled,
            Err(error) => {
                self.failed(shared, &error.to_string());
                let one = |slice: &u32| {
                    shared.ownership.beat();
                    committed(shared, consumer, &[*slice], ONE).ok()
                };
                slices.iter().filter_map(one).flatten().collect()
            }
        };
        if settled.len() == slices.len() {
            *self = Self::default();
        } else if self.failures > 1 {
            let open: Vec<u32> = slices
                .iter()
                .copied()
                .filter(|slice| settled.iter().all(|settled| settled.slice != *slice))
                .collect();
            self.fence(shared, &open);
        }
        skip_what_is_gone(shared, settled)
    }

    fn failed(&mut self, shared: &Shared, error: &str) {
        self.failures += 1;
        metrics::counter!("geopush_kafka_settle_retries_total", "stage" => shared.stage.clone()).increment(1);
        if self.failures > 1 && self.complained.is_none_or(|at| at.elapsed() > COMPLAIN) {
            self.complained = Some(Instant::now());
            tracing::warn!(
                error,
                stage = shared.stage,
                "where slices go on can't be read yet; it is tried again. If it lasts, look after the brokers"
            );
        }
    }

    /// Ends what former owners of these slices left open: a transaction whose owner was killed holds their positions
    /// back until its timeout, or until somebody takes its transactional id.
    fn fence(&self, shared: &Shared, slices: &[u32]) {
        let owners = match former_owners(shared, slices) {
            Ok(owners) => owners,
            Err(error) => {
                tracing::debug!(%error, stage = shared.stage, "former owners could not be read");
                return;
            }
        };
        let others = owners.iter().filter(|owner| !owner.is_empty() && **owner != shared.owner);
        for id in others.flat_map(|owner| transactional_ids(owner)) {
            shared.ownership.beat();
            let fenced = transactional(shared, &id)
                .create()
                .and_then(|producer: BaseProducer| producer.init_transactions(FENCE));
            metrics::counter!("geopush_kafka_fenced_total", "stage" => shared.stage.clone()).increment(1);
            match fenced {
                Ok(()) => tracing::info!(id, stage = shared.stage, "ended what a former owner left open"),
                Err(error) => tracing::debug!(%error, id, "a former owner could not be fenced yet"),
            }
        }
    }
}

/// The settings of a producer with this transactional id.
pub(super) fn transactional(shared: &Shared, transactional_id: &str) -> ClientConfig {
    let mut config = shared.core.client(Use::Commit);
    config.set("transactional.id", transactional_id);
    config
}

/// Moves positions over what retention has removed, and says so: those records were never consumed.
fn skip_what_is_gone(shared: &Shared, mut settled: Vec<Settled>) -> Vec<Settled> {
    let ask = |topic: Topic, slice| shared.core.ends.ask(Bound::First, shared.core.name(topic), slice);
    let asked: Vec<_> = settled
        .iter()
        .flat_map(|settled| shared.inputs.iter().map(|topic| ask(*topic, settled.slice)))
        .collect();
    let positions = settled.iter_mut().flat_map(|Settled { slice, positions, .. }| {
        positions.iter_mut().zip(&shared.inputs).map(|(position, topic)| (*slice, *topic, position))
    });
    for ((slice, topic, position), first) in positions.zip(asked) {
        // Whoever reads from a position that is gone begins at the first that is kept, too.
        let Ok(Ok(first)) = first.blocking_recv() else { continue };
        if first > *position {
            if *position > 0 && matches!(topic.cleanup(), Cleanup::After(_)) {
                let (skipped, topic) = (first - *position, topic.name());
                metrics::counter!("geopush_kafka_skipped_records_total", "topic" => topic).increment(skipped);
                tracing::error!(
                    skipped,
                    topic,
                    slice,
                    stage = shared.stage,
                    "records were removed before they were consumed; raise the topic's retention, or add processes"
                );
            }
            *position = first;
        }
    }
    settled
}

fn partitions(shared: &Shared, slices: &[u32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for slice in slices {
        for topic in &shared.inputs {
            list.add_partition(shared.core.name(*topic), slice.cast_signed());
        }
    }
    list
}

/// What is committed. Fails while a transaction is open that would move it: the consumer reads what is stable.
fn committed(
    shared: &Shared,
    consumer: &BaseConsumer<impl rdkafka::consumer::ConsumerContext>,
    slices: &[u32],
    timeout: Duration,
) -> KafkaResult<Vec<Settled>> {
    let list = consumer.committed_offsets(partitions(shared, slices), timeout)?;
    slices
        .iter()
        .map(|slice| {
            let mut settled = Settled { slice: *slice, positions: Vec::new(), note: String::new() };
            for (input, topic) in shared.inputs.iter().enumerate() {
                let found = list.find_partition(shared.core.name(*topic), slice.cast_signed());
                let Some(found) = found else {
                    settled.positions.push(0);
                    continue;
                };
                found.error()?;
                let position = match found.offset() {
                    KafkaOffset::Offset(offset) => offset.cast_unsigned(),
                    _ => 0,
                };
                settled.positions.push(position);
                if input == 0 {
                    settled.note = split(found.metadata()).1.to_owned();
                }
            }
            Ok(settled)
        })
        .collect()
}

/// Who committed these slices last, whether or not that is stable.
fn former_owners(shared: &Shared, slices: &[u32]) -> KafkaResult<BTreeSet<String>> {
    let consumer: BaseConsumer = shared
        .core
        .client(Use::Member)
        .set("group.id", &shared.group)
        .set("isolation.level", "read_uncommitted")
        .create()?;
    let list = consumer.committed_offsets(partitions(shared, slices), ALL)?;
    let first = shared.core.name(shared.inputs[0]);
    Ok(list.elements_for_topic(first).iter().map(|found| split(found.metadata()).0.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_as_it_was_whatever_is_in_it() {
        for note in ["", "a note", "two\nlines", "\n"] {
            assert_eq!(split(&metadata("geopush.plan.7", note)), ("geopush.plan.7", note));
        }
        assert_eq!(split(""), ("", ""));
    }
}
