//! The membership: which slices are this member's.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::oneshot;

use super::super::client::Use;
use super::super::context::Context;
use super::super::native;
use super::commit::Commits;
use super::fetch::Command;
use super::settle::{Settled, Settler};
use super::{Events, Shared};
use crate::{Event, Given, LogError};

/// How long to wait for the group before looking at the slices.
const POLL: Duration = Duration::from_millis(20);
/// How long a slice's task may take to give it back. The whole group waits for it.
const CLOSING: Duration = Duration::from_secs(10);
/// How long commits may take that were under way when the slices went.
const DRAIN: Duration = Duration::from_secs(15);

/// Starts the thread; what it returns answers when the member has left.
pub(super) fn spawn(
    shared: &Arc<Shared>,
    events: Events,
    fetch: Sender<Command>,
    commits: &Arc<Commits>,
) -> Result<oneshot::Receiver<()>, LogError> {
    let context = MemberContext {
        client: Context::new(Use::Member),
        shared: Arc::clone(shared),
        events: events.clone(),
        fetch: fetch.clone(),
    };
    let consumer: BaseConsumer<MemberContext> = shared
        .core
        .client(Use::Member)
        .set("group.id", &shared.group)
        .create_with_context(context)
        .map_err(|error| LogError::Backend(format!("a member could not be made: {error}")))?;
    consumer
        .subscribe(&[shared.core.name(shared.inputs[0])])
        .map_err(|error| LogError::Backend(format!("a group could not be joined: {error}")))?;
    let (left, has_left) = oneshot::channel();
    let (shared, commits) = (Arc::clone(shared), Arc::clone(commits));
    std::thread::Builder::new()
        .name(format!("{}-member", shared.stage))
        .spawn(move || {
            let mut membership = Membership { shared, consumer, events, fetch, settler: Settler::default() };
            membership.run();
            membership.leave(&commits);
            // Closing the consumer tells the group.
            drop(membership);
            let _ = left.send(());
        })
        .map_err(|error| LogError::Backend(format!("a thread could not be started: {error}")))?;
    Ok(has_left)
}

struct Membership {
    shared: Arc<Shared>,
    consumer: BaseConsumer<MemberContext>,
    events: Events,
    fetch: Sender<Command>,
    settler: Settler,
}

impl Membership {
    fn run(&mut self) {
        let core = Arc::clone(&self.shared.core);
        while !self.shared.ownership.is_leaving() && !core.closed.is_cancelled() {
            self.beat();
            // No partition is read here; what librdkafka can't do yet it tries again.
            if let Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) = self.consumer.poll(POLL) {
                let lost = LogError::Backend(format!("the group threw this member out: {error}"));
                // Whoever no longer listens has left anyway.
                let _ = self.events.blocking_send(Err(lost));
                return;
            }
            if self.tell_lost().and_then(|()| self.settle()).is_err() {
                return;
            }
        }
    }

    fn beat(&self) {
        let slices = self.shared.ownership.beat();
        if slices > 0 {
            metrics::counter!("geopush_kafka_doubts_total", "stage" => self.shared.stage.clone())
                .increment(1);
            tracing::warn!(
                slices,
                stage = self.shared.stage,
                "this process stood still for seconds; its slices start again from their last commits"
            );
        }
    }

    /// Tells tasks that they lost their slices.
    fn tell_lost(&self) -> Result<(), Gone> {
        let lost = self.shared.ownership.take_lost();
        if lost.is_empty() {
            return Ok(());
        }
        for slice in &lost {
            self.fetch.send(Command::End { slice: *slice }).map_err(|_| Gone)?;
        }
        self.events.blocking_send(Ok(Event::Taken(lost))).map_err(|_| Gone)
    }

    /// Gives slices to the stage whose positions are known.
    fn settle(&mut self) -> Result<(), Gone> {
        let slices = self.shared.ownership.unsettled();
        if slices.is_empty() {
            return Ok(());
        }
        let settled = self.settler.settle(&self.shared, &self.consumer, &slices);
        if settled.is_empty() {
            return Ok(());
        }
        let given: Vec<Given> = settled
            .into_iter()
            .map(|Settled { slice, positions, note }| {
                self.shared.paused.forget(slice);
                let lease = self.shared.ownership.open(slice);
                Given { slice, positions, note, lease }
            })
            .collect();
        let begin: Vec<Command> = given
            .iter()
            .map(|Given { slice, lease, positions, .. }| Command::Begin {
                slice: *slice,
                lease: *lease,
                positions: positions.clone(),
            })
            .collect();
        self.events.blocking_send(Ok(Event::Given(given))).map_err(|_| Gone)?;
        begin.into_iter().try_for_each(|command| self.fetch.send(command)).map_err(|_| Gone)
    }

    /// Lets what was committed come to its end, then closes the gate.
    fn leave(&self, commits: &Commits) {
        let ownership = &self.shared.ownership;
        ownership.leave();
        let all = ownership.all();
        if !ownership.wait_for_idle(&all, DRAIN) {
            tracing::warn!(
                stage = self.shared.stage,
                "commits did not end in time; their slices go on from where the next owner finds them"
            );
        }
        ownership.remove(&all);
        // Threads that have ended need not be told.
        let _ = self.fetch.send(Command::Stop);
        commits.stop();
    }
}

/// Nobody takes events any more.
struct Gone;

/// Hears of rebalances, on the membership's thread, within its polls.
struct MemberContext {
    client: Context,
    shared: Arc<Shared>,
    events: Events,
    fetch: Sender<Command>,
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let slices: Vec<u32> =
            list.elements().iter().map(|found| found.partition().cast_unsigned()).collect();
        metrics::counter!("geopush_kafka_rebalances_total", "stage" => self.shared.stage.clone())
            .increment(1);
        // The group is told that the change is taken note of; nothing is read by this consumer.
        let none = TopicPartitionList::new();
        let done = if error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.take_standing(consumer);
            self.shared.ownership.grant(slices);
            consumer.incremental_assign(&none)
        } else {
            let may_commit = !consumer.assignment_lost() && self.take_standing(consumer);
            self.give_back(&slices, may_commit);
            unassign(consumer, &none)
        };
        if let Err(error) = done {
            tracing::warn!(%error, stage = self.shared.stage, "a rebalance could not be finished; the group repeats it");
        }
    }
}

fn unassign(consumer: &BaseConsumer<MemberContext>, none: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(none),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

impl MemberContext {
    /// Takes what the group knows this member by. It belongs to the slices as they are now: were it taken when a
    /// commit is made, a member that was thrown out and joined again would get a slice's old commits through. Whether
    /// this is a member at all.
    fn take_standing(&self, consumer: &BaseConsumer<Self>) -> bool {
        let metadata = consumer.group_metadata();
        // Asked in this order: a member now was one then, as it can't join again before this callback has returned.
        let metadata = metadata.filter(|_| native::is_member(consumer));
        let is_member = metadata.is_some();
        self.shared.ownership.stand(metadata);
        is_member
    }

    fn give_back(&self, slices: &[u32], may_commit: bool) {
        let ownership = &self.shared.ownership;
        if may_commit && !ownership.is_leaving() {
            let asked = ownership.ask_back(slices);
            if !asked.is_empty() && self.events.blocking_send(Ok(Event::Closing(asked))).is_ok() {
                ownership.wait_for_return(slices, CLOSING);
            }
        } else if !may_commit {
            ownership.stand(None);
            metrics::counter!("geopush_kafka_evictions_total", "stage" => self.shared.stage.clone())
                .increment(1);
            tracing::warn!(
                stage = self.shared.stage,
                "the group gave this member's slices to others, as it had not been heard of; it joins again"
            );
        }
        let had = ownership.remove(slices);
        if may_commit {
            // What passed the gate before it closed is still under way.
            ownership.wait_for_idle(slices, DRAIN);
        }
        for slice in &had {
            // A thread that has ended reads nothing.
            let _ = self.fetch.send(Command::End { slice: *slice });
        }
        if !had.is_empty() {
            let _ = self.events.blocking_send(Ok(Event::Taken(had)));
        }
    }
}

impl ClientContext for MemberContext {
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
