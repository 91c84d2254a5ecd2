//! One member of a group: a task that turns the coordinator's messages and the file's records into events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use geopush_embedded::DatabaseError;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{Notify, mpsc};

use super::Core;
use super::coordinator::{Joined, Lease, Message};
use super::ends::Listener;
use super::places::Place;
use super::read::{Chunk, chunk};
use crate::{Batch, Committer, Event, Given, Group, LogError, Offset, Topic};

/// Events read ahead.
const EVENTS: usize = 4;
/// Inputs of slices read at a time: bounds what a member holds to this many batches.
const READS: usize = 8;
/// The pause before a grant is tried again when the writer's queue is full.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// What a member, its task and its committer share.
pub(super) struct Membership {
    pub(super) core: Arc<Core>,
    pub(super) group: Arc<str>,
    pub(super) group_id: i64,
    pub(super) inputs: Vec<Topic>,
    /// By slice.
    pub(super) leases: Vec<Arc<Lease>>,
    member: u64,
    /// By slice, then input.
    paused: Vec<AtomicBool>,
}

impl Membership {
    fn paused(&self, slice: u32, input: usize) -> Option<&AtomicBool> {
        self.paused.get(slice as usize * self.inputs.len() + input)
    }
}

/// The [`Group`] of the embedded log.
pub(super) struct Member {
    membership: Arc<Membership>,
    events: mpsc::Receiver<Result<Event, LogError>>,
    resumed: Arc<Notify>,
}

/// [`crate::Log::join`].
pub(super) async fn join(core: &Arc<Core>, group: &str, inputs: &[Topic]) -> Result<Member, LogError> {
    let counts: Vec<u32> = inputs.iter().map(|topic| core.places.partitions(*topic)).collect();
    let Some(slices) = counts.first().copied().filter(|first| counts.iter().all(|count| count == first))
    else {
        return Err(LogError::Backend(format!(
            "the inputs of {group} differ in their numbers of partitions; this is a mistake in geopush"
        )));
    };
    let name = group.to_owned();
    let group_id = core.database.write(move |c| group_id(c, &name)).await?;
    let Joined { member, messages, leases } = core.coordinator.join(group, inputs, slices)?;
    let membership = Arc::new(Membership {
        core: Arc::clone(core),
        group: group.into(),
        group_id,
        inputs: inputs.to_vec(),
        leases,
        member,
        paused: (0..slices as usize * inputs.len()).map(|_| AtomicBool::new(false)).collect(),
    });
    let places = inputs.iter().flat_map(|topic| (0..slices).map(|slice| core.places.slot(*topic, slice)));
    let listener = Listener::new(core, places.collect());
    let resumed = listener.waker();
    let (sender, events) = mpsc::channel(EVENTS);
    let task = Task {
        membership: Arc::clone(&membership),
        messages,
        events: sender,
        listener,
        slices: BTreeMap::new(),
        turn: 0,
    };
    tokio::spawn(task.run());
    Ok(Member { membership, events, resumed })
}

fn group_id(c: &Connection, name: &str) -> rusqlite::Result<i64> {
    c.execute("INSERT OR IGNORE INTO log_groups (name) VALUES (?1)", [name])?;
    c.query_row("SELECT id FROM log_groups WHERE name = ?1", [name], |row| row.get(0))
}

#[async_trait]
impl Group for Member {
    async fn next(&mut self) -> Result<Event, LogError> {
        self.events.recv().await.unwrap_or(Err(LogError::Closed))
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::clone(&self.membership) as Arc<dyn Committer>
    }

    fn pause(&mut self, slice: u32, input: usize, paused: bool) {
        if let Some(flag) = self.membership.paused(slice, input) {
            flag.store(paused, Ordering::SeqCst);
            self.resumed.notify_one();
        }
    }

    fn closed(&mut self, slice: u32) {
        let Membership { core, group, member, .. } = &*self.membership;
        core.coordinator.closed(group, *member, slice);
    }

    fn reset(&mut self, slice: u32) {
        let Membership { core, group, member, .. } = &*self.membership;
        core.coordinator.reset(group, *member, slice);
    }

    async fn leave(self: Box<Self>) {
        // Dropping it leaves.
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Membership { core, group, member, .. } = &*self.membership;
        core.coordinator.leave(group, *member);
    }
}

/// Ends when the member has gone, or when the file fails it.
struct Task {
    membership: Arc<Membership>,
    messages: mpsc::UnboundedReceiver<Message>,
    events: mpsc::Sender<Result<Event, LogError>>,
    listener: Listener,
    slices: BTreeMap<u32, Owned>,
    /// Where to begin to look for records, so that a busy slice does not starve the others.
    turn: usize,
}

struct Owned {
    lease: u64,
    /// The next offset to read of each input.
    next: Vec<Offset>,
}

/// Records to read: an input of a slice, from and until.
struct Wanted {
    slice: u32,
    input: usize,
    place: Place,
    from: Offset,
    until: Offset,
}

/// Nobody listens any more.
struct Gone;

impl Task {
    async fn run(mut self) {
        if let Err(error) = self.work().await {
            // The receiver may be gone, which ends this too.
            let _ = self.events.send(Err(error)).await;
        }
    }

    async fn work(&mut self) -> Result<(), LogError> {
        loop {
            while let Ok(message) = self.messages.try_recv() {
                if self.handle(message).await?.is_err() {
                    return Ok(());
                }
            }
            let wanted = self.wanted();
            if !wanted.is_empty() {
                if self.read(wanted).await?.is_err() {
                    return Ok(());
                }
                continue;
            }
            tokio::select! {
                message = self.messages.recv() => {
                    let Some(message) = message else { return Ok(()) };
                    if self.handle(message).await?.is_err() {
                        return Ok(());
                    }
                }
                () = self.listener.changed() => {}
            }
        }
    }

    async fn emit(&self, event: Event) -> Result<(), Gone> {
        self.events.send(Ok(event)).await.map_err(|_| Gone)
    }

    async fn handle(&mut self, message: Message) -> Result<Result<(), Gone>, LogError> {
        let event = match message {
            Message::Closing(slices) => Event::Closing(slices),
            Message::Taken(slices) => {
                for slice in &slices {
                    self.slices.remove(slice);
                }
                Event::Taken(slices)
            }
            Message::Give(slices) => {
                let given = self.grant(slices).await?;
                for Given { slice, lease, positions, .. } in &given {
                    for input in 0..self.membership.inputs.len() {
                        if let Some(paused) = self.membership.paused(*slice, input) {
                            paused.store(false, Ordering::SeqCst);
                        }
                    }
                    self.slices.insert(*slice, Owned { lease: *lease, next: positions.clone() });
                }
                Event::Given(given)
            }
        };
        Ok(self.emit(event).await)
    }

    /// Makes the leases valid and reads what was committed, in the writer's order: no commit under an older lease
    /// comes after this.
    async fn grant(&self, slices: Vec<(u32, u64)>) -> Result<Vec<Given>, LogError> {
        loop {
            let (membership, slices) = (Arc::clone(&self.membership), slices.clone());
            let work = move |c: &Connection| {
                slices.iter().map(|(slice, lease)| grant_one(c, &membership, *slice, *lease)).collect()
            };
            match self.membership.core.database.write(work).await {
                Err(DatabaseError::Full) => tokio::time::sleep(FULL_PAUSE).await,
                other => return Ok(other?),
            }
        }
    }

    /// What there is to read, some of it.
    fn wanted(&mut self) -> Vec<Wanted> {
        let Membership { core, inputs, .. } = &*self.membership;
        let mut wanted: Vec<Wanted> = Vec::new();
        for (slice, owned) in &self.slices {
            for (input, (topic, from)) in inputs.iter().zip(&owned.next).enumerate() {
                let until = core.ends.get(core.places.slot(*topic, *slice));
                let paused =
                    self.membership.paused(*slice, input).is_some_and(|paused| paused.load(Ordering::SeqCst));
                if *from < until && !paused {
                    let place = core.places.place(*topic, *slice);
                    wanted.push(Wanted { slice: *slice, input, place, from: *from, until });
                }
            }
        }
        if wanted.len() > READS {
            let turn = self.turn % wanted.len();
            wanted.rotate_left(turn);
            wanted.truncate(READS);
            self.turn += READS;
        }
        wanted
    }

    async fn read(&mut self, wanted: Vec<Wanted>) -> Result<Result<(), Gone>, LogError> {
        let query = move |c: &Connection| -> rusqlite::Result<Vec<(Wanted, Chunk)>> {
            wanted.into_iter().map(|w| chunk(c, w.place, w.from, w.until).map(|chunk| (w, chunk))).collect()
        };
        for (Wanted { slice, input, .. }, Chunk { records, next }) in
            self.membership.core.database.read(query).await?
        {
            let Some(owned) = self.slices.get_mut(&slice) else { continue };
            owned.next[input] = next;
            let lease = owned.lease;
            if records.is_empty() {
                let reached = Event::Reached { slice, lease, input, next };
                if self.emit(reached).await.is_err() {
                    return Ok(Err(Gone));
                }
            } else {
                let batch = Batch { input, records, next };
                if self.emit(Event::Batch { slice, lease, batch }).await.is_err() {
                    return Ok(Err(Gone));
                }
            }
        }
        Ok(Ok(()))
    }
}

fn grant_one(c: &Connection, membership: &Membership, slice: u32, lease: u64) -> rusqlite::Result<Given> {
    let Membership { core, group_id, inputs, leases, .. } = membership;
    leases[slice as usize].advance(lease);
    let mut position = c.prepare_cached(
        "SELECT next FROM log_positions WHERE group_id = ?1 AND slice = ?2 AND topic_id = ?3",
    )?;
    let positions = inputs
        .iter()
        .map(|topic| {
            let key = params![group_id, slice, core.places.topic_id(*topic)];
            let next: Option<i64> = position.query_row(key, |row| row.get(0)).optional()?;
            Ok(next.unwrap_or(0).cast_unsigned())
        })
        .collect::<rusqlite::Result<_>>()?;
    let note: Option<String> = c
        .prepare_cached("SELECT note FROM log_notes WHERE group_id = ?1 AND slice = ?2")?
        .query_row(params![group_id, slice], |row| row.get(0))
        .optional()?;
    Ok(Given { slice, positions, note: note.unwrap_or_default(), lease })
}
