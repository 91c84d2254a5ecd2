//! A push's ticket for its lane: whether it still stands in line, and how its hand is told what became of it.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use geopush_log::Hold;
use geopush_model::{Push, UnixMillis};
use geopush_service::clock::Clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::event;
use super::lane::{Attempt, Errand, Lane, Outcome};
use super::progress::Place;
use super::tries::time_left;

/// How often a hand looks into its mailbox.
pub const LOOK: Duration = Duration::from_millis(5);
/// It is woken for more than this part of its pushes, or for so many.
const FEW: (usize, usize) = (4, 256);

/// It waits for its turn.
const IN_LINE: u8 = 0;
/// It is being sent.
const UNDER_WAY: u8 = 1;
/// Its hand was told.
const TOLD: u8 = 2;
/// Its hand wants to know nothing of it any more.
const LEFT: u8 = 3;

/// What a push's errand came to, as its hand is told.
#[derive(Debug)]
pub enum Told {
    /// Its lane tried, or could not.
    Lane(Outcome),
    /// Its time ran out in line.
    Expired,
    /// Another process may be sending it: it is not to be sent here.
    NotOurs,
}

/// One push's.
pub struct Ticket {
    place: Place,
    push: Arc<Push>,
    lane: Arc<Lane>,
    stage: AtomicU8,
    mailbox: Arc<Mailbox>,
}

/// Where a hand is told what became of its pushes. It is woken when that is a good part of them, and else looks by
/// itself every [`LOOK`]: to be woken for each costs as much as to send it.
pub struct Mailbox {
    told: Mutex<Vec<(Place, Told)>>,
    news: Notify,
    /// It is woken for more than so many.
    few: AtomicUsize,
    hold: Hold,
    clock: Arc<dyn Clock>,
}

impl Mailbox {
    /// An empty one, of whoever holds the slice.
    pub fn new(hold: Hold, clock: Arc<dyn Clock>) -> Self {
        Self { told: Mutex::default(), news: Notify::new(), few: AtomicUsize::new(0), hold, clock }
    }

    /// So many pushes are in hand now.
    pub fn expect(&self, pushes: usize) {
        self.few.store((pushes / FEW.0).min(FEW.1), Ordering::Relaxed);
    }

    /// When there is much in it. Safe to drop while waiting.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// What there is in it.
    pub fn take(&self) -> Vec<(Place, Told)> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, place: Place, told: Told) {
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((place, told));
        let much = all.len() > self.few.load(Ordering::Relaxed);
        drop(all);
        if much {
            self.news.notify_one();
        }
    }
}

impl Ticket {
    /// For a push that is about to stand in the lane's line.
    pub fn new(place: Place, push: Arc<Push>, lane: Arc<Lane>, mailbox: Arc<Mailbox>) -> Self {
        Self { place, push, lane, stage: AtomicU8::new(IN_LINE), mailbox }
    }

    /// Leaves the line. False if it is not there any more: what became of it will be told.
    pub fn leave(&self) -> bool {
        self.stage.compare_exchange(IN_LINE, LEFT, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Its hand is gone.
    pub fn forsake(&self) {
        self.stage.store(LEFT, Ordering::Release);
    }

    /// Is set off when there is another lane for its app.
    pub fn lane_replaced(&self) -> CancellationToken {
        self.lane.replaced()
    }

    fn tell(&self, told: Told) {
        if self.stage.swap(TOLD, Ordering::AcqRel) != LEFT {
            self.mailbox.put(self.place, told);
        } else if matches!(told, Told::Lane(Outcome::Tried(Attempt::Answered(_)))) {
            event::never_seen(self.push.provider);
        }
    }
}

impl Errand for Ticket {
    fn push(&self) -> &Push {
        &self.push
    }

    fn has_left(&self) -> bool {
        self.stage.load(Ordering::Acquire) == LEFT
    }

    fn begin(&self) -> Option<UnixMillis> {
        self.stage.compare_exchange(IN_LINE, UNDER_WAY, Ordering::AcqRel, Ordering::Acquire).ok()?;
        let now = UnixMillis(self.mailbox.clock.now_ms());
        if time_left(&self.push, now).is_none() {
            self.tell(Told::Expired);
        } else if !self.mailbox.hold.is_sure() {
            self.tell(Told::NotOurs);
        } else {
            return Some(now);
        }
        None
    }

    fn end(&self, outcome: Outcome) {
        self.tell(Told::Lane(outcome));
    }
}
