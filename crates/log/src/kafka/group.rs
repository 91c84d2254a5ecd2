//! A member of a group.
//!
//! Three threads serve it. The *membership* polls a consumer that takes part in the group and reads nothing: the
//! group shares the partitions of the stage's first input, cooperatively, and a slice is the same partition of every
//! input. The *fetch* polls a second consumer, of no group, that reads the slices which the membership has settled.
//! The *commits* go through transactions, as many in one as there are. Between them stands the
//! [`Ownership`]: the gate that a commit passes or is lost.

mod commit;
mod fetch;
mod membership;
mod moment;
mod ownership;
mod settle;
mod transaction;

use std::collections::BTreeSet;
use std::sync::mpsc as threads;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::Core;
use crate::{Committer, Event, Group, LogError, Topic};
use commit::Commits;
use ownership::Ownership;

/// Events read ahead.
const EVENTS: usize = 4;

/// What happened, on its way to the stage.
type Events = mpsc::Sender<Result<Event, LogError>>;

/// What a member's threads share.
struct Shared {
    core: Arc<Core>,
    /// The stage's name.
    stage: String,
    /// The group's name in the cluster.
    group: String,
    inputs: Vec<Topic>,
    /// The name of this membership, and of no other.
    owner: String,
    ownership: Ownership,
    paused: Paused,
}

impl Shared {
    /// How many slices there are.
    fn slices(&self) -> u32 {
        self.core.partitions(self.inputs[0])
    }
}

/// Inputs of slices that are held back. Heeded from the call on, while the consumer is told a moment later.
#[derive(Default)]
struct Paused(Mutex<BTreeSet<(u32, usize)>>);

impl Paused {
    fn all(&self) -> MutexGuard<'_, BTreeSet<(u32, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, slice: u32, input: usize, paused: bool) {
        let mut all = self.all();
        if paused {
            all.insert((slice, input))
        } else {
            all.remove(&(slice, input))
        };
    }

    fn contains(&self, slice: u32, input: usize) -> bool {
        self.all().contains(&(slice, input))
    }

    /// A new lease begins with nothing held back.
    fn forget(&self, slice: u32) {
        self.all().retain(|(other, _)| *other != slice);
    }
}

/// The [`Group`] of the Kafka log.
struct Member {
    shared: Arc<Shared>,
    events: mpsc::Receiver<Result<Event, LogError>>,
    fetch: threads::Sender<fetch::Command>,
    committer: Arc<Commits>,
    /// Answers when the membership has ended.
    left: oneshot::Receiver<()>,
}

/// [`crate::Log::join`].
pub(super) async fn join(
    core: &Arc<Core>,
    stage: &str,
    inputs: &[Topic],
) -> Result<Box<dyn Group>, LogError> {
    let Some(first) = inputs.first() else {
        return Err(LogError::Backend(format!("{stage} has no inputs; this is a mistake in geopush")));
    };
    if inputs.iter().any(|topic| core.partitions(*topic) != core.partitions(*first)) {
        return Err(LogError::Backend(format!(
            "the inputs of {stage} differ in their numbers of partitions; this is a mistake in geopush"
        )));
    }
    let group = format!("{}geopush.{stage}", core.options.prefix);
    let shared = Arc::new(Shared {
        core: Arc::clone(core),
        stage: stage.to_owned(),
        owner: format!("{group}.{}", uuid::Uuid::new_v4()),
        group,
        inputs: inputs.to_vec(),
        ownership: Ownership::default(),
        paused: Paused::default(),
    });
    let (events, received) = mpsc::channel(EVENTS);
    let fetch = fetch::spawn(&shared, events.clone())?;
    let committer = Arc::new(commit::spawn(&shared)?);
    let left = membership::spawn(&shared, events, fetch.clone(), &committer)?;
    Ok(Box::new(Member { shared, events: received, fetch, committer, left }))
}

#[async_trait]
impl Group for Member {
    async fn next(&mut self) -> Result<Event, LogError> {
        self.events.recv().await.unwrap_or(Err(LogError::Closed))
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::clone(&self.committer) as Arc<dyn Committer>
    }

    fn pause(&mut self, slice: u32, input: usize, paused: bool) {
        self.shared.paused.set(slice, input, paused);
        // Without its thread nothing is read.
        let _ = self.fetch.send(fetch::Command::Pause { slice, input, paused });
    }

    fn closed(&mut self, slice: u32) {
        self.shared.ownership.closed(slice);
    }

    fn reset(&mut self, slice: u32) {
        self.shared.ownership.reset(slice);
    }

    async fn leave(mut self: Box<Self>) {
        self.shared.ownership.leave();
        // Nobody takes events any more, so that no thread waits to hand one over.
        self.events.close();
        while self.events.recv().await.is_some() {}
        let _ = (&mut self.left).await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.ownership.leave();
    }
}
