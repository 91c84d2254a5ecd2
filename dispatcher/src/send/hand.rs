//! What a slice has in hand: pushes that are sent or wait, ends that are being written, and pushes to be put off.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use geopush_log::{AppendError, Hold, Record, SharedLog, StageError, Topic, TraceId};
use geopush_model::{UnixMillis, Wire as _};
use geopush_service::clock::Clock;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::append::append;
use super::deferral::Deferral;
use super::deliver::{Delivered, Waiting, deliver, time_left};
use super::event;
use super::hand_event::{self, Held, Holdings, PutOff};
use super::intake::Item;
use super::lanes::Lanes;
use super::progress::Place;
use super::share::{LaneKey, Shares};
use super::tries::Ending;
use super::wait::{TOPICS, Waits, Where};

/// The most ends that are appended at once.
const MAX_APPEND: usize = 1_000;
/// What is put off in one commit, about: large ones would hold up everybody's.
const MAX_DEFERRED: usize = 500;
const MAX_DEFERRED_BYTES: usize = 1 << 20;

/// What a hand works with.
#[derive(Clone)]
pub struct Tools {
    /// By which pushes are sent.
    pub lanes: Arc<Lanes>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where pushes wait.
    pub waits: Waits,
    /// Where ends are written.
    pub log: SharedLog,
    /// Whose they are: a process that stood still must not send what others were given, nor write down ends that are
    /// theirs.
    pub hold: Hold,
    /// The slice.
    pub partition: u32,
}

/// What a slice has in hand.
pub struct Hand {
    tools: Tools,
    /// Who has how much of it.
    pub shares: Shares,
    pushes: HashMap<Place, InHand>,
    tasks: JoinSet<Done>,
    by_task: HashMap<Id, Place>,
    /// Ends that are not being written yet.
    ended: Vec<(Place, Record)>,
    appending: Option<BoxFuture<'static, Result<Vec<Place>, AppendError>>>,
    writing: usize,
    /// To be put off with the next commit.
    deferring: Vec<Deferral>,
    deferring_bytes: usize,
    /// Set off to send those who wait away.
    stop: CancellationToken,
    held: Held,
}

/// A push that was taken.
struct InHand {
    item: Item,
    lane: LaneKey,
    trace: Option<TraceId>,
}

/// What a push's task came to.
pub enum Done {
    /// It was sent, or could not be.
    Delivered(Delivered),
    /// It has waited for its retry.
    Waited,
}

/// Something that happened to what is in hand.
pub enum Happened {
    /// A task has ended.
    Task(Result<(Id, Done), JoinError>),
    /// Ends were written, or not.
    Append(Result<Vec<Place>, AppendError>),
}

impl Hand {
    /// An empty one, with room for so many pushes.
    pub fn new(tools: Tools, room: usize) -> Self {
        Self {
            tools,
            shares: Shares::new(room),
            pushes: HashMap::new(),
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
            ended: Vec::new(),
            appending: None,
            writing: 0,
            deferring: Vec::new(),
            deferring_bytes: 0,
            stop: CancellationToken::new(),
            held: Held::default(),
        }
    }

    /// Takes a push in hand and sends it; if it is not to be sent yet, after a while.
    pub fn send(&mut self, place: Place, item: Item, lane: LaneKey, trace: Option<TraceId>) {
        self.shares.take(&lane);
        let rest = item.not_before.and_then(|at| u64::try_from(at.since_ms(self.now())).ok()).unwrap_or(0);
        let push = InHand { item, lane, trace };
        if rest == 0 {
            self.deliver(place, push);
        } else {
            self.wait(place, push, Duration::from_millis(rest), None, PutOff::NotYet);
        }
    }

    /// Puts a push off that was not taken in hand.
    pub fn put_off(&mut self, place: Place, item: Item, wait: Duration, trace: Option<TraceId>) {
        self.defer(place, item, wait, PutOff::Overflow, trace);
    }

    /// Ends a push that was not taken in hand: its time runs out before its lane would come to it.
    pub fn expire(&mut self, place: Place, item: &Item, trace: Option<TraceId>) {
        self.end(place, item, item.tries.expired(), trace);
    }

    /// Writes a record of another topic, and finishes the place by it.
    pub fn write(&mut self, place: Place, record: Record) {
        self.ended.push((place, record));
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.tools.clock.now_ms())
    }

    fn deliver(&mut self, place: Place, push: InHand) {
        let Tools { lanes, clock, hold, .. } = self.tools.clone();
        let (what, tries, stop) = (Arc::clone(&push.item.push), push.item.tries.clone(), self.stop.clone());
        self.spawn(place, push, async move {
            Done::Delivered(deliver(&what, tries, &lanes, &*clock, &stop, || hold.is_sure()).await)
        });
    }

    fn spawn(&mut self, place: Place, push: InHand, work: impl Future<Output = Done> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.by_task.insert(task.id(), place);
        self.pushes.insert(place, push);
    }

    /// A push in hand is tried again later: in memory, or on the log.
    fn wait(
        &mut self,
        place: Place,
        push: InHand,
        wait: Duration,
        lane_out: Option<CancellationToken>,
        why: PutOff,
    ) {
        let now = self.now();
        let Some(left) = time_left(&push.item.push, now) else { return self.expire_in_hand(place, &push) };
        let waits = match why {
            PutOff::NotYet => self.tools.waits.for_a_rest(),
            _ => self.tools.waits,
        };
        match waits.place(wait, left, self.shares.may_wait(&push.lane, lane_out.is_some())) {
            Where::Expired => self.expire_in_hand(place, &push),
            Where::Memory => {
                event::retry(&push.item.push, wait);
                self.shares.waits(&push.lane, true);
                let stop = self.stop.clone();
                self.spawn(place, push, async move {
                    let replaced = async {
                        match &lane_out {
                            Some(replaced) => replaced.cancelled().await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => Done::Delivered(Delivered::Stopped),
                        () = replaced => Done::Waited,
                        () = tokio::time::sleep(wait) => Done::Waited,
                    }
                });
            }
            Where::Topic(_) => {
                let age = push.item.age(now);
                let wait = if lane_out.is_some() {
                    wait.max(waits.while_lane_is_out(age).min(left / 2))
                } else {
                    wait
                };
                self.shares.give_back(&push.lane);
                self.defer(place, push.item, wait, why, push.trace);
            }
        }
    }

    fn expire_in_hand(&mut self, place: Place, push: &InHand) {
        let ending = push.item.tries.expired();
        self.end_in_hand(place, push, ending);
    }

    fn end_in_hand(&mut self, place: Place, push: &InHand, ending: Ending) {
        self.shares.give_back(&push.lane);
        self.end(place, &push.item, ending, push.trace);
    }

    fn end(&mut self, place: Place, item: &Item, ending: Ending, trace: Option<TraceId>) {
        let delivery = ending.delivery(&item.push, item.deferrals, self.now());
        event::ended(&item.push, &delivery);
        hand_event::dead_letter(&delivery);
        if let Some(trace) = trace {
            let outcome = delivery.outcome.as_str();
            tracing::debug!(trace_id = %trace, push = %item.push.id, outcome, "a push has ended");
        }
        // Beside the push itself, so that the ledger of this slice is this partition.
        let record = Record::new(Topic::Deliveries, delivery.key().to_bytes(), delivery.encode());
        self.ended.push((place, record.at(self.tools.partition).traced(trace)));
    }

    fn defer(&mut self, place: Place, item: Item, wait: Duration, why: PutOff, trace: Option<TraceId>) {
        let now = self.now();
        let topic = self.tools.waits.longest_within(wait);
        hand_event::deferred(&item.push, TOPICS[topic], why, item.deferrals);
        let not_before = now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let deferral = Deferral::new(place, item, topic, not_before, now, self.tools.partition, trace);
        self.deferring_bytes += deferral.bytes();
        self.deferring.push(deferral);
    }

    /// Whether anything is to be put off with the next commit.
    pub fn puts_off(&self) -> bool {
        !self.deferring.is_empty()
    }

    /// Whether as much is to be put off as one commit should hold.
    pub fn has_many_to_put_off(&self) -> bool {
        self.deferring.len() >= MAX_DEFERRED || self.deferring_bytes >= MAX_DEFERRED_BYTES
    }

    /// What is to be put off with the next commit, which is being made.
    pub fn take_put_off(&mut self) -> Vec<Deferral> {
        self.deferring_bytes = 0;
        std::mem::take(&mut self.deferring)
    }

    /// The next thing that happens to what is in hand. Safe to drop while waiting.
    pub async fn event(&mut self) -> Happened {
        let appending = async {
            match &mut self.appending {
                Some(appending) => appending.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            appended = appending => Happened::Append(appended),
            Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => Happened::Task(done),
            else => std::future::pending().await,
        }
    }

    /// What follows from it: the places that are finished, durably.
    ///
    /// # Errors
    /// When ends could not be written.
    pub fn apply(&mut self, happened: Happened) -> Result<Vec<Place>, StageError> {
        let mut finished = Vec::new();
        match happened {
            Happened::Task(done) => {
                self.done(done);
                while let Some(done) = self.tasks.try_join_next_with_id() {
                    self.done(done);
                }
            }
            Happened::Append(appended) => {
                self.appending = None;
                self.writing = 0;
                finished = appended.map_err(|error| StageError::Dependency(error.to_string()))?;
            }
        }
        self.append()?;
        Ok(finished)
    }

    fn done(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(place) = self.by_task.remove(&id) else { return };
        let Some(mut push) = self.pushes.remove(&place) else { return };
        match done {
            Ok((_, Done::Waited)) => {
                self.shares.waits(&push.lane, false);
                self.deliver(place, push);
            }
            Ok((_, Done::Delivered(Delivered::Ended(ending)))) => self.end_in_hand(place, &push, ending),
            Ok((_, Done::Delivered(Delivered::Waits(Waiting { tries, wait, lane_out })))) => {
                push.item.tries = tries;
                let why = if lane_out.is_some() { PutOff::LaneOut } else { PutOff::Retry };
                self.wait(place, push, wait, lane_out, why);
            }
            // It stays unfinished, and comes again.
            Ok((_, Done::Delivered(Delivered::Stopped))) => {}
            Err(_) => {
                hand_event::poison(&push.item.push);
                let ending = push.item.tries.broken();
                self.end_in_hand(place, &push, ending);
            }
        }
    }

    /// One append at a time: what ends meanwhile goes together with the next.
    ///
    /// # Errors
    /// When this process may not write any more.
    pub fn append(&mut self) -> Result<(), StageError> {
        if self.appending.is_some() || self.ended.is_empty() {
            return Ok(());
        }
        let Tools { log, hold, .. } = &self.tools;
        if !hold.is_sure() {
            return Err(StageError::Dependency(
                "this process stood still, and others may have its pushes; what they know comes first"
                    .to_owned(),
            ));
        }
        let (places, records): (Vec<_>, Vec<_>) =
            self.ended.drain(..self.ended.len().min(MAX_APPEND)).unzip();
        self.writing = places.len();
        self.appending = Some(Box::pin(append(log.clone(), hold.clone(), places, records)));
        Ok(())
    }

    /// Sends those who wait away: they have no end, and come again.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether nothing is sent, waits, or is being appended.
    pub fn is_still(&self) -> bool {
        self.tasks.is_empty() && self.appending.is_none() && self.ended.is_empty()
    }

    /// How many are sent or wait.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Tells the gauges.
    pub fn tell(&mut self) {
        let waiting = self.shares.waiting();
        let writing = self.writing + self.ended.len() + self.deferring.len();
        self.held.is(Holdings { sending: self.tasks.len().saturating_sub(waiting), waiting, writing });
    }
}
