//! What a slice has in hand: pushes that are sent or wait, ends that are being written, and pushes to be put off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use geopush_log::{AppendError, Hold, Record, SharedLog, StageError, Topic, TraceId};
use geopush_model::{DeviceKey, PushReader, UnixMillis, Wire as _};
use geopush_service::clock::Clock;
use hashbrown::HashMap;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::append::Ends;
use super::decision::jitter;
use super::deferral::{Deferral, Deferrals};
use super::event::{self, EndMeters};
use super::hand_event::{self, Held, Holdings, PutOff};
use super::intake::Item;
use super::lane::Outcome;
use super::lanes::Lanes;
use super::progress::Place;
use super::provider::NoLane;
use super::share::{LaneKey, Shares};
use super::ticket::{LOOK, Mailbox, Ticket, Told};
use super::tries::{Ending, Step, time_left};
use super::wait::{TOPICS, Waits, Where};
use super::waiting::{Waited, Waiting};

/// Those in line whose time has run out are looked for this often.
const SWEEP: Duration = Duration::from_secs(1);

/// What a hand works with.
#[derive(Clone)]
pub struct Tools {
    /// By which pushes are sent.
    pub lanes: Arc<Lanes>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where pushes wait.
    pub waits: Waits,
    /// By which pushes are read.
    pub reader: Arc<PushReader>,
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
    /// Where lanes tell what became of them.
    mailbox: Arc<Mailbox>,
    looks: Interval,
    swept_at: Instant,
    waiting: Waiting,
    ends: Ends,
    deferrals: Deferrals,
    held: Held,
    meters: EndMeters,
}

/// A push that was taken.
struct InHand {
    item: Item,
    lane: LaneKey,
    trace: Option<TraceId>,
    /// While its lane has it.
    ticket: Option<Arc<Ticket>>,
}

/// Something that happened to what is in hand.
pub enum Happened {
    /// Lanes have told something.
    Told,
    /// A push's waiting has ended.
    Waited(Place, Waited),
    /// Ends were written, or not.
    Append(Result<Vec<Place>, AppendError>),
}

impl Hand {
    /// An empty one, with room for so many pushes.
    pub fn new(tools: Tools, room: usize) -> Self {
        let mailbox = Arc::new(Mailbox::new(tools.hold.clone(), Arc::clone(&tools.clock)));
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            tools,
            shares: Shares::new(room),
            pushes: HashMap::new(),
            mailbox,
            looks,
            swept_at: Instant::now(),
            waiting: Waiting::default(),
            ends: Ends::default(),
            deferrals: Deferrals::default(),
            held: Held::default(),
            meters: EndMeters::new(),
        }
    }

    /// Takes a push in hand and sends it; if it is not to be sent yet, after a while.
    pub fn send(&mut self, place: Place, item: Item, lane: LaneKey, trace: Option<TraceId>) {
        self.shares.take(&lane);
        let rest = item.not_before.and_then(|at| u64::try_from(at.since_ms(self.now())).ok()).unwrap_or(0);
        let push = InHand { item, lane, trace, ticket: None };
        if rest == 0 {
            self.deliver(place, push, false);
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
        self.ends.put(place, record);
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.tools.clock.now_ms())
    }

    /// Gives a push to its lane. `caught_up`: no app is unknown any more that anybody could know.
    fn deliver(&mut self, place: Place, mut push: InHand, caught_up: bool) {
        if self.waiting.is_stopped() {
            // It stays unfinished, and comes again.
            return;
        }
        if time_left(&push.item.push, self.now()).is_none() {
            return self.expire_in_hand(place, &push);
        }
        // One that breaks down takes nobody along.
        let found = catch_unwind(AssertUnwindSafe(|| self.tools.lanes.lane(&push.item.push)));
        let Ok(lane) = found else { return self.break_in_hand(place, &push) };
        match lane {
            Ok(lane) => {
                let (what, mailbox) = (Arc::clone(&push.item.push), Arc::clone(&self.mailbox));
                let ticket = Arc::new(Ticket::new(place, what, Arc::clone(&lane), mailbox));
                push.ticket = Some(Arc::clone(&ticket));
                self.pushes.insert(place, push);
                lane.carry(ticket);
            }
            // Another process may have told the planner of an app that this one has not heard of yet.
            Err(NoLane::NoApp) if !caught_up => {
                self.waiting.catch_up(place, Arc::clone(&self.tools.lanes));
                self.pushes.insert(place, push);
            }
            Err(NoLane::NoApp) => {
                let ending = push.item.tries.no_app();
                self.end_in_hand(place, &push, ending);
            }
            Err(NoLane::Unusable(_) | NoLane::BadUrl(_) | NoLane::UrlNotAllowed) => {
                let ending = push.item.tries.unusable_app();
                self.end_in_hand(place, &push, ending);
            }
        }
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
                self.waiting.rest(place, wait, lane_out);
                self.pushes.insert(place, push);
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
        self.meters.ended(&item.push, &delivery);
        hand_event::dead_letter(&delivery);
        if let Some(trace) = trace {
            let outcome = delivery.outcome.as_str();
            tracing::debug!(trace_id = %trace, push = %item.push.id, outcome, "a push has ended");
        }
        // Beside the push itself, so that the ledger of this slice is this partition.
        let key = DeviceKey::bytes_of(delivery.tenant, &delivery.device);
        let record = Record::new(Topic::Deliveries, key, delivery.encode());
        self.ends.put(place, record.at(self.tools.partition).traced(trace));
    }

    fn defer(&mut self, place: Place, item: Item, wait: Duration, why: PutOff, trace: Option<TraceId>) {
        let now = self.now();
        let topic = self.tools.waits.longest_within(wait);
        hand_event::deferred(&item.push, TOPICS[topic], why, item.deferrals);
        let not_before = now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let deferral = Deferral::new(place, item, topic, not_before, now, self.tools.partition, trace);
        self.deferrals.put(deferral);
    }

    /// Whether anything is to be put off with the next commit.
    pub fn puts_off(&self) -> bool {
        self.deferrals.len() > 0
    }

    /// Whether as much is to be put off as one commit should hold.
    pub fn has_many_to_put_off(&self) -> bool {
        self.deferrals.are_many()
    }

    /// What is to be put off with the next commit, which is being made.
    pub fn take_put_off(&mut self) -> Vec<Deferral> {
        self.deferrals.take()
    }

    /// The next thing that happens to what is in hand. Safe to drop while waiting.
    pub async fn event(&mut self) -> Happened {
        self.mailbox.expect(self.pushes.len());
        tokio::select! {
            () = self.mailbox.news() => Happened::Told,
            _ = self.looks.tick(), if !self.pushes.is_empty() => Happened::Told,
            appended = self.ends.appended() => Happened::Append(appended),
            (place, waited) = self.waiting.next(), if !self.waiting.is_empty() => Happened::Waited(place, waited),
        }
    }

    /// What follows from it: the places that are finished, durably.
    ///
    /// # Errors
    /// When ends could not be written.
    pub fn apply(&mut self, happened: Happened) -> Result<Vec<Place>, StageError> {
        let mut finished = Vec::new();
        match happened {
            Happened::Told => {
                for (place, told) in self.mailbox.take() {
                    self.told(place, told);
                }
            }
            Happened::Waited(place, waited) => {
                self.waited(place, &waited);
                while let Some((place, waited)) = self.waiting.try_next() {
                    self.waited(place, &waited);
                }
            }
            Happened::Append(appended) => {
                finished = appended.map_err(|error| StageError::Dependency(error.to_string()))?;
            }
        }
        self.append()?;
        Ok(finished)
    }

    fn waited(&mut self, place: Place, waited: &Waited) {
        let Some(push) = self.pushes.remove(&place) else { return };
        match waited {
            Waited::Due => {
                self.shares.waits(&push.lane, false);
                self.deliver(place, push, false);
            }
            Waited::CaughtUp => self.deliver(place, push, true),
            // It stays unfinished, and comes again.
            Waited::Stopped => {}
            Waited::Broken => self.break_in_hand(place, &push),
        }
    }

    fn told(&mut self, place: Place, told: Told) {
        let Some(mut push) = self.pushes.remove(&place) else { return };
        let ticket = push.ticket.take();
        let attempt = match told {
            Told::Lane(Outcome::Tried(attempt)) => attempt,
            Told::Lane(Outcome::Replaced) => return self.deliver(place, push, false),
            Told::Lane(Outcome::Broken) => return self.break_in_hand(place, &push),
            Told::Expired => return self.expire_in_hand(place, &push),
            // It stays unfinished, and comes again.
            Told::NotOurs => return,
        };
        match push.item.tries.after(attempt, jitter) {
            Step::End(ending) => self.end_in_hand(place, &push, ending),
            Step::Again => self.deliver(place, push, false),
            Step::Wait(wait) => self.wait(place, push, wait, None, PutOff::Retry),
            Step::LaneOut(wait) => {
                let replaced = ticket.map(|ticket| ticket.lane_replaced());
                self.wait(place, push, wait, replaced, PutOff::LaneOut);
            }
        }
    }

    fn break_in_hand(&mut self, place: Place, push: &InHand) {
        hand_event::poison(&push.item.push);
        self.end_in_hand(place, push, push.item.tries.broken());
    }

    /// Ends those whose time has run out in line.
    pub fn sweep(&mut self) {
        if self.swept_at.elapsed() < SWEEP {
            return;
        }
        self.swept_at = Instant::now();
        let now = self.now();
        let over = self.pushes.extract_if(|_, push| {
            time_left(&push.item.push, now).is_none() && push.ticket.as_ref().is_some_and(|own| own.leave())
        });
        for (place, push) in over.collect::<Vec<_>>() {
            self.expire_in_hand(place, &push);
        }
    }

    /// Writes the ends that there are.
    ///
    /// # Errors
    /// When this process may not write any more.
    pub fn append(&mut self) -> Result<(), StageError> {
        self.ends.append(&self.tools.log, &self.tools.hold)
    }

    /// Sends those who wait away: they have no end, and come again.
    pub fn stop(&mut self) {
        self.waiting.stop();
        self.pushes.retain(|_, push| !push.ticket.as_ref().is_some_and(|ticket| ticket.leave()));
    }

    /// Whether nothing is sent, waits, or is being appended.
    pub fn is_still(&self) -> bool {
        self.pushes.is_empty() && self.ends.len() == 0
    }

    /// How many are sent or wait.
    pub fn pushes(&self) -> usize {
        self.pushes.len()
    }

    /// Tells the gauges.
    pub fn tell(&mut self) {
        let waiting = self.shares.waiting();
        let writing = self.ends.len() + self.deferrals.len();
        self.held.is(Holdings { sending: self.pushes.len().saturating_sub(waiting), waiting, writing });
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        for ticket in self.pushes.values().filter_map(|push| push.ticket.as_ref()) {
            ticket.forsake();
        }
    }
}
