//! A stage's membership of a group: slices come and go, batches arrive, commits leave.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{LogError, Offset, Received, Record};

/// A slice that this member now owns, as it was last committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its number: the partition of every input.
    pub slice: u32,
    /// The next offset to consume of each input, in the order of the inputs at join.
    pub positions: Vec<Offset>,
    /// The note of the last commit; empty if there was none.
    pub note: String,
    /// Ownership under this lease only: a commit under an older one is lost.
    pub lease: u64,
}

/// Records of one input of one slice, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The index of the input, as given at join.
    pub input: usize,
    /// At least one.
    pub records: Vec<Received>,
    /// The position to commit once all of them have had their effect.
    pub next: Offset,
}

/// What happened to this member.
#[derive(Debug)]
pub enum Event {
    /// These slices are this member's from now on.
    Given(Vec<Given>),
    /// These slices are asked back: finish the batch in hand, commit it, then call [`Group::closed`] for each.
    Closing(Vec<u32>),
    /// These slices are no longer this member's; their state must be dropped. They may be given again at once.
    Taken(Vec<u32>),
    /// Records of a slice that is owned under this lease.
    Batch {
        /// The slice.
        slice: u32,
        /// The lease that it was read under.
        lease: u64,
        /// The records.
        batch: Batch,
    },
    /// Everything of an input before this offset has been in batches: what lies between are holes, as compaction and
    /// transactions leave them. A backend that has no holes at its ends need not say so.
    Reached {
        /// The slice.
        slice: u32,
        /// The lease that it was read under.
        lease: u64,
        /// The index of the input.
        input: usize,
        /// The first offset that is not known to be a hole.
        next: Offset,
    },
}

/// What a stage did: it becomes visible at once and whole, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The slice.
    pub slice: u32,
    /// The lease under which it was given.
    pub lease: u64,
    /// The new position of each input; they may be as they were (a timer's commit).
    pub positions: Vec<Offset>,
    /// At most [`Commit::MAX_NOTE`] bytes.
    pub note: String,
    /// The records to publish, to any topics and partitions.
    pub outputs: Vec<Record>,
}

impl Commit {
    /// The longest note, in bytes: Kafka keeps it in the offsets' metadata, which brokers limit to 4,096.
    pub const MAX_NOTE: usize = 3_500;
}

/// A commit did not happen, or nobody knows whether it did. The slice's state must be dropped and restored: the
/// group takes the slice back ([`Event::Taken`]) and gives it again once it is settled what was committed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a commit was lost, so the slice starts again from its last commit: {reason}")]
pub struct Lost {
    /// What happened.
    pub reason: String,
}

/// One member of a group.
#[async_trait]
pub trait Group: Send {
    /// The next thing that happens. Safe to drop while waiting.
    ///
    /// # Errors
    /// When the backend fails for good; the member is out of the group then.
    async fn next(&mut self) -> Result<Event, LogError>;

    /// What commits for this group's slices, from any task.
    fn committer(&self) -> Arc<dyn Committer>;

    /// Stops or resumes the batches of one input of a slice. What was read already may still come.
    fn pause(&mut self, slice: u32, input: usize, paused: bool);

    /// Gives back a slice that was asked for by [`Event::Closing`].
    fn closed(&mut self, slice: u32);

    /// Starts a slice again from its last commit, as after a lost commit: [`Event::Taken`], then [`Event::Given`].
    fn reset(&mut self, slice: u32);

    /// Leaves the group; the slices go to the others.
    async fn leave(self: Box<Self>);
}

/// Commits for a group's slices, from any task.
pub trait Committer: Send + Sync {
    /// Publishes a slice's outputs, positions and note atomically. Commits of one slice happen in the order of the
    /// calls; concurrent slices' commits are put together. The commit happens even if the future is dropped.
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), Lost>>;

    /// Whether a slice is surely still owned under this lease. A process that was stopped for a while does not know
    /// what others were given meanwhile: it holds nothing then, before anything else has told it so. For what must not
    /// be done twice and is no commit.
    fn holds(&self, slice: u32, lease: u64) -> bool;
}
