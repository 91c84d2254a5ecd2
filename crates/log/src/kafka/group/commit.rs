//! Commits: put together, as many as there are when the last ones have ended, by one thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use tokio::sync::oneshot;

use super::super::record::{place, size};
use super::Shared;
use super::transaction::{Failure, Transactions};
use crate::{Commit, Committer, LogError, Lost, Offset, Record};

/// One transaction takes no more than this many records,
const MOST_RECORDS: usize = 20_000;
/// or bytes: the broker and the client's queue have their limits.
const MOST_BYTES: usize = 16 << 20;
/// How long to wait for a rebalance to end that a transaction ran into.
const REBALANCE: Duration = Duration::from_secs(10);
/// How often a transaction may run into one.
const ATTEMPTS: usize = 5;

/// The [`Committer`] of a member.
pub(super) struct Commits {
    shared: Arc<Shared>,
    queue: Sender<Work>,
}

enum Work {
    Commit(Box<Queued>),
    Stop,
}

/// A commit that has passed the gate.
pub(super) struct Queued {
    slice: u32,
    lease: u64,
    pub(super) positions: Vec<Offset>,
    pub(super) note: String,
    /// Each with its partition.
    pub(super) outputs: Vec<(i32, Record)>,
    bytes: usize,
    done: oneshot::Sender<Result<(), Lost>>,
}

impl Queued {
    pub(super) fn slice(&self) -> u32 {
        self.slice
    }

    fn end(self, result: Result<(), Lost>) {
        // A commit happens whether or not anyone waits for it.
        let _ = self.done.send(result);
    }
}

/// Starts the thread.
pub(super) fn spawn(shared: &Arc<Shared>) -> Result<Commits, LogError> {
    let (queue, work) = channel();
    let thread =
        Thread { shared: Arc::clone(shared), work, transactions: Transactions::new(Arc::clone(shared)) };
    std::thread::Builder::new()
        .name(format!("{}-commit", shared.stage))
        .spawn(move || thread.run())
        .map_err(|error| LogError::Backend(format!("a thread could not be started: {error}")))?;
    Ok(Commits { shared: Arc::clone(shared), queue })
}

impl Commits {
    /// Ends the thread after what is queued.
    pub(super) fn stop(&self) {
        // A thread that has ended need not be told.
        let _ = self.queue.send(Work::Stop);
    }

    /// Checks a commit before it waits; fails with the reason.
    fn check(&self, commit: Commit, done: oneshot::Sender<Result<(), Lost>>) -> Result<Queued, String> {
        let Commit { slice, lease, positions, note, outputs } = commit;
        if slice >= self.shared.slices() {
            return Err(format!("there is no slice {slice}"));
        }
        if note.len() > Commit::MAX_NOTE {
            return Err(format!("a note of {} bytes; at most {} are kept", note.len(), Commit::MAX_NOTE));
        }
        if positions.len() != self.shared.inputs.len() {
            return Err(format!("{} positions for {} inputs", positions.len(), self.shared.inputs.len()));
        }
        let bytes = note.len() + outputs.iter().map(size).sum::<usize>();
        let outputs = outputs
            .into_iter()
            .map(|record| Ok((place(&self.shared.core, &record)?, record)))
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Queued { slice, lease, positions, note, outputs, bytes, done })
    }
}

impl Committer for Commits {
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), Lost>> {
        let (slice, lease) = (commit.slice, commit.lease);
        let ownership = &self.shared.ownership;
        let (done, ended) = oneshot::channel();
        let queued = match self.check(commit, done) {
            Ok(queued) => queued,
            Err(reason) => {
                ownership.lost(slice, lease);
                return ready(Err(Lost { reason })).boxed();
            }
        };
        if !ownership.admit(slice, lease) {
            let reason = format!("slice {slice} is no longer under this lease");
            return ready(Err(Lost { reason })).boxed();
        }
        if self.queue.send(Work::Commit(Box::new(queued))).is_err() {
            ownership.ended(slice);
        }
        async move { ended.await.unwrap_or_else(|_| Err(Lost { reason: "the member has left".to_owned() })) }
            .boxed()
    }

    fn holds(&self, slice: u32, lease: u64) -> bool {
        self.shared.ownership.holds(slice, lease)
    }
}

/// One thread's side of [`Commits`].
struct Thread {
    shared: Arc<Shared>,
    work: Receiver<Work>,
    transactions: Transactions,
}

impl Thread {
    fn run(mut self) {
        self.transactions.prepare();
        while let Ok(Work::Commit(first)) = self.work.recv() {
            let (batch, stop) = self.gather(*first);
            self.commit(batch);
            if stop {
                break;
            }
        }
        while let Ok(work) = self.work.try_recv() {
            if let Work::Commit(queued) = work {
                self.refuse(vec![*queued], "the member has left");
            }
        }
    }

    /// Everything that waits, within bounds; whether to stop after it.
    fn gather(&self, first: Queued) -> (Vec<Queued>, bool) {
        let (mut records, mut bytes) = (first.outputs.len(), first.bytes);
        let mut batch = vec![first];
        while records < MOST_RECORDS && bytes < MOST_BYTES {
            match self.work.try_recv() {
                Ok(Work::Commit(queued)) => {
                    records += queued.outputs.len();
                    bytes += queued.bytes;
                    batch.push(*queued);
                }
                Ok(Work::Stop) => return (batch, true),
                Err(_) => break,
            }
        }
        (batch, false)
    }

    fn commit(&mut self, mut batch: Vec<Queued>) {
        for _ in 0..ATTEMPTS {
            let ownership = &self.shared.ownership;
            let passes = |queued: &Queued| ownership.passes(queued.slice, queued.lease);
            let (passed, stopped) = batch.into_iter().partition(passes);
            batch = passed;
            self.refuse(stopped, "its slice was taken back");
            if batch.is_empty() {
                return;
            }
            let Some(standing) = ownership.standing() else {
                return self.lose(batch, "this process is no member of its group now");
            };
            match self.transactions.run(&batch, &standing) {
                Ok(()) => return self.succeed(batch),
                Err(Failure::Rebalancing) => ownership.wait_for_rebalance(standing.number, REBALANCE),
                Err(Failure::Broken(reason)) => return self.lose(batch, &reason),
            }
        }
        self.lose(batch, "the group kept rebalancing");
    }

    fn succeed(&self, batch: Vec<Queued>) {
        for queued in batch {
            let slice = queued.slice;
            queued.end(Ok(()));
            self.shared.ownership.ended(slice);
        }
    }

    /// Answers commits that did not happen and left nothing open.
    fn refuse(&self, batch: Vec<Queued>, reason: &str) {
        for queued in batch {
            let slice = queued.slice;
            queued.end(Err(Lost { reason: reason.to_owned() }));
            self.shared.ownership.ended(slice);
        }
    }

    /// Nobody knows what became of these. Their slices' gates close first; only when a new producer has ended what
    /// the old one left may their positions be read again.
    fn lose(&mut self, batch: Vec<Queued>, reason: &str) {
        let ownership = &self.shared.ownership;
        tracing::warn!(
            reason,
            stage = self.shared.stage,
            slices = batch.len(),
            "a transaction failed; its slices start again from their last commits"
        );
        for queued in &batch {
            ownership.lost(queued.slice, queued.lease);
        }
        let mut slices = Vec::new();
        for queued in batch {
            slices.push(queued.slice);
            queued.end(Err(Lost { reason: reason.to_owned() }));
        }
        self.transactions.start_over();
        for slice in slices {
            ownership.ended(slice);
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};

    use super::super::super::client::Use;
    use super::super::super::mock::{cluster, core, refuse_at_first};
    use super::super::Paused;
    use super::super::ownership::{Ownership, Standing};
    use super::*;
    use crate::Topic;

    /// This cluster, unlike a real one, checks the first sequence number of a transaction: nothing would be lost, but the
    /// transaction would fail.
    #[test]
    fn what_a_partition_refuses_at_first_is_in_the_transaction() {
        let mock = cluster();
        let core = core(&mock);
        let consumer: BaseConsumer = core.client(Use::Member).set("group.id", "g").create().unwrap();
        let standing = Standing { number: 0, metadata: Arc::new(consumer.group_metadata().unwrap()) };
        let shared = Arc::new(Shared {
            core: Arc::clone(&core),
            stage: "stage".to_owned(),
            owner: "g.1".to_owned(),
            group: "g".to_owned(),
            inputs: vec![Topic::Pings],
            ownership: Ownership::default(),
            paused: Paused::default(),
        });
        let commits = |slice: u32| Queued {
            slice,
            lease: 1,
            positions: vec![7],
            note: String::new(),
            outputs: (0..5)
                .map(|n| (slice.cast_signed(), Record::new(Topic::Transitions, "k", n.to_string()).at(slice)))
                .collect(),
            bytes: 0,
            done: oneshot::channel().0,
        };
        let mut transactions = Transactions::new(shared);
        transactions.prepare();
        refuse_at_first(&mock);
        let ran = transactions.run(&[commits(0), commits(1)], &standing);
        assert!(ran.is_ok());
        let ends = [0, 1].map(|partition| core.end(Topic::Transitions, partition));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ends = runtime.block_on(futures::future::try_join_all(ends)).unwrap();
        assert_eq!(ends, [5, 5]);
    }
}
