//! A slice at work: what has come is taken in hand as there is room, and how far it has come is committed.

use std::sync::Arc;
use std::time::Duration;

use geopush_log::{Batch, Offset, Slice, StageError, Topic, rejected};
use geopush_model::UnixMillis;
use tokio::time::Instant;

use super::event;
use super::hand::{Hand, Happened, Tools};
use super::intake::{Head, INPUTS, Intake};
use super::ledger::{Ledger, Note};
use super::progress::{Place, Progress};
use super::share::{LaneKey, PATIENCE, PATIENCE_OF_RETRIES, Room};
use super::tries::time_left;
use super::wait::Overflow;

/// The deliveries' end is looked up no more often than this.
const LOOK: Duration = Duration::from_millis(100);
/// When a push has to wait for room, how long until that is judged anew.
const JUDGE: Duration = Duration::from_millis(250);
/// However far away the next thing to do is, the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// A slice at work.
pub struct Work {
    tools: Tools,
    room: usize,
    /// What it has in hand.
    pub hand: Hand,
    intake: Intake,
    progress: Progress,
    ledger: Ledger,
    /// Of each topic of retries: before this, its records may be sent.
    taken: Vec<Offset>,
    committed: (Vec<Offset>, Note),
    looked_at: Option<Instant>,
    /// Which input is asked first.
    turn: usize,
}

/// What is to be done with the next record of an input.
enum Next {
    Send(LaneKey),
    PutOff(Duration),
    Expire,
    /// There is nothing to do any more, or it can't be read.
    Pass,
}

impl Work {
    /// As it was restored. `taken`: of each topic of retries, before which offset owners before may have sent.
    pub fn new(
        tools: Tools,
        room: usize,
        progress: Progress,
        ledger: Ledger,
        taken: Vec<Offset>,
        slice: &Slice,
    ) -> Self {
        let note = Note { ledger_from: progress.ledger_from(), taken: taken.clone() };
        let committed = (slice.positions().to_vec(), note);
        let (hand, intake) =
            (Hand::new(tools.clone(), room), Intake::new(tools.waits, Arc::clone(&tools.reader)));
        Self { tools, room, hand, intake, progress, ledger, taken, committed, looked_at: None, turn: 0 }
    }

    /// A batch comes.
    pub fn put(&mut self, batch: Batch, slice: &Slice) {
        self.intake.put(batch, slice);
    }

    /// Whether there is room for more batches.
    pub fn wants_more(&self) -> bool {
        self.intake.wants_pushes() && self.has_room()
    }

    fn has_room(&self) -> bool {
        self.progress.in_hand() < self.room
    }

    /// Takes what there is room for and what is due; when to do so again, if nothing happens before.
    ///
    /// # Errors
    /// When the log fails, or a commit is lost.
    pub async fn admit(&mut self, slice: &mut Slice) -> Result<Instant, StageError> {
        let now = self.now();
        self.say_what_may_be_sent(now, slice).await?;
        let (mut again_in, mut looked) = (LONGEST_SLEEP, false);
        self.turn = (self.turn + 1) % INPUTS.len();
        for n in 0..INPUTS.len() {
            let input = (self.turn + n) % INPUTS.len();
            while self.has_room() && !self.hand.has_many_to_put_off() {
                let Some(head) = self.intake.head(input, now) else { break };
                let place = Place { input, offset: head.received.offset };
                if !std::mem::replace(&mut looked, true) {
                    self.look(LOOK).await?;
                }
                let Some(next) = self.next(place, now) else {
                    again_in = JUDGE;
                    break;
                };
                self.take(place, next, slice);
            }
        }
        if !self.progress.is_replaying() {
            self.ledger.close();
        }
        self.hand.append()?;
        if self.hand.has_many_to_put_off() || (self.hand.puts_off() && !self.has_room()) {
            self.commit(slice).await?;
            return Ok(Instant::now());
        }
        if let Some(due) = self.intake.next_due() {
            // What is due and was not taken waits for room.
            let left_ms = u64::try_from(due.since_ms(self.now())).ok().filter(|left| *left > 0);
            again_in = again_in.min(left_ms.map_or(JUDGE, Duration::from_millis));
        }
        Ok(Instant::now() + again_in)
    }

    /// Commits how far retries are due before any of them is sent, so that whoever restores knows what may have been.
    async fn say_what_may_be_sent(&mut self, now: UnixMillis, slice: &mut Slice) -> Result<(), StageError> {
        for (topic, until) in self.intake.due_until(now) {
            self.taken[topic] = self.taken[topic].max(until);
        }
        if self.taken == self.committed.1.taken {
            return Ok(());
        }
        self.commit(slice).await
    }

    fn next(&mut self, place: Place, now: UnixMillis) -> Option<Next> {
        let is_retry = place.input > 0;
        if is_retry && place.offset >= self.taken[place.input - 1] {
            return None;
        }
        let Ok(item) = &self.intake.head(place.input, now)?.item else { return Some(Next::Pass) };
        if self.progress.may_have_been_sent(place) && self.ledger.has_settled(item.push.id, item.deferrals) {
            return Some(Next::Pass);
        }
        let lane = LaneKey::of(&item.push);
        let patience = if is_retry { PATIENCE_OF_RETRIES } else { PATIENCE };
        let weight = || self.tools.lanes.weight(item.push.tenant);
        match self.hand.shares.room(&lane, weight, patience, Instant::now()) {
            Room::Free => Some(Next::Send(lane)),
            Room::Soon => None,
            Room::Stuck(drains_in) => {
                let Some(left) = time_left(&item.push, now) else { return Some(Next::Expire) };
                match self.tools.waits.overflow(drains_in, item.age(now), left) {
                    Overflow::PutOff(wait) => Some(Next::PutOff(wait)),
                    Overflow::Expired => Some(Next::Expire),
                    Overflow::Stay => None,
                }
            }
        }
    }

    fn take(&mut self, place: Place, next: Next, slice: &Slice) {
        let Some((position, Head { received, item })) = self.intake.take(place.input, slice) else { return };
        self.progress.take(place, position);
        let trace = received.trace;
        match (next, item) {
            (_, Err(reason)) => {
                event::rejected(received.offset, &reason);
                let record = rejected(INPUTS[place.input], self.tools.partition, &received, &reason);
                self.hand.write(place, record);
            }
            (Next::Pass, Ok(_)) => self.progress.finish(place),
            (Next::Send(lane), Ok(item)) => {
                if self.progress.may_have_been_sent(place) {
                    event::uncertain(&item.push);
                }
                self.hand.send(place, item, lane, trace);
            }
            (Next::PutOff(wait), Ok(item)) => self.hand.put_off(place, item, wait, trace),
            (Next::Expire, Ok(item)) => self.hand.expire(place, &item, trace),
        }
    }

    /// Something happened to what is in hand.
    ///
    /// # Errors
    /// When ends could not be written.
    pub fn apply(&mut self, happened: Happened) -> Result<(), StageError> {
        for place in self.hand.apply(happened)? {
            self.progress.finish(place);
        }
        Ok(())
    }

    /// Commits how far the slice has come, with what is to be put off, if that is further than before.
    ///
    /// # Errors
    /// When the log fails, or the commit is lost.
    pub async fn commit(&mut self, slice: &mut Slice) -> Result<(), StageError> {
        self.hand.sweep();
        self.hand.tell();
        let deferrals = self.hand.take_put_off();
        for deferral in &deferrals {
            self.progress.finish(deferral.place);
        }
        let positions = self.progress.positions();
        if deferrals.is_empty() && positions == self.committed.0 && self.taken == self.committed.1.taken {
            return Ok(());
        }
        if self.progress.in_hand() == 0 {
            self.look(Duration::ZERO).await?;
        }
        let note = Note { ledger_from: self.progress.ledger_from(), taken: self.taken.clone() };
        let outputs = deferrals.into_iter().flat_map(|deferral| deferral.records).collect();
        slice.commit(positions.clone(), note.to_string(), outputs).await?;
        self.committed = (positions, note);
        Ok(())
    }

    /// Looks where the deliveries end, unless that was done a moment ago.
    async fn look(&mut self, at_most_every: Duration) -> Result<(), StageError> {
        if self.looked_at.is_none_or(|at| at.elapsed() >= at_most_every) {
            let end = self.tools.log.end(Topic::Deliveries, self.tools.partition).await?;
            self.progress.saw_deliveries(end);
            self.looked_at = Some(Instant::now());
        }
        Ok(())
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.tools.clock.now_ms())
    }
}
