//! Which slices this member has and how far each is in coming and going: the gate that every commit passes.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;

use super::moment::Moment;

/// A membership that has not looked after itself for so long may be over without its knowing: a process that was
/// stopped, or a machine that slept. The group waits longer before it gives slices to others (`session.timeout.ms`,
/// 6 s after the last heartbeat).
const DOUBT: Duration = Duration::from_secs(4);
/// How often whoever waits on the membership's thread looks up.
const LOOK: Duration = Duration::from_millis(100);

/// A slice of this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The group gave it; where it goes on is still to be read.
    Settling,
    /// Its task has it.
    Open { lease: u64 },
    /// Its task was asked to give it back, and may still commit.
    Closing { lease: u64 },
    /// Its task has given it back; what it committed last may be under way.
    Closed { lease: u64 },
    /// A commit failed, or it was reset: its task is still to be told.
    Lost,
}

impl Phase {
    /// The lease under which commits pass.
    fn lease(self) -> Option<u64> {
        match self {
            Self::Open { lease } | Self::Closing { lease } | Self::Closed { lease } => Some(lease),
            Self::Settling | Self::Lost => None,
        }
    }
}

/// What the group knows this member by, since its last rebalance.
#[derive(Clone)]
pub(super) struct Standing {
    /// Counts rebalances.
    pub(super) number: u64,
    /// Goes with the offsets of a transaction, so that the broker refuses those of a member that is one no more.
    pub(super) metadata: Arc<ConsumerGroupMetadata>,
}

/// Shared by the member, its threads and its committer.
pub(super) struct Ownership {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// When the membership last looked after itself.
    beat: Moment,
    standing: Option<Standing>,
    rebalances: u64,
    slices: BTreeMap<u32, Phase>,
    /// Commits asked for whose end is not known and settled yet, by slice.
    pending: BTreeMap<u32, usize>,
    last_lease: u64,
    leaving: bool,
}

impl Default for Ownership {
    fn default() -> Self {
        Self::new(Moment::now())
    }
}

impl Ownership {
    fn new(beat: Moment) -> Self {
        let state = State {
            beat,
            standing: None,
            rebalances: 0,
            slices: BTreeMap::new(),
            pending: BTreeMap::new(),
            last_lease: 0,
            leaving: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = work(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `done`, at most until `deadline`; whether it came.
    fn wait(&self, deadline: Instant, done: impl Fn(&State) -> bool) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |state| !done(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }

    // What the membership does.

    /// The membership looks after itself. If it had not for too long, its slices start again from their last commits:
    /// how many.
    pub(super) fn beat(&self) -> usize {
        self.beat_at(Moment::now())
    }

    fn beat_at(&self, now: Moment) -> usize {
        let mut state = self.lock();
        let doubtful = state.is_doubtful(now);
        state.beat = now;
        if !doubtful {
            return 0;
        }
        let held = state.slices.values_mut().filter(|phase| phase.lease().is_some());
        let lost = held.map(|phase| *phase = Phase::Lost).count();
        drop(state);
        self.changed.notify_all();
        lost
    }

    /// Waits on the membership's thread, which goes on looking after itself.
    fn wait_beating(&self, timeout: Duration, done: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            self.beat();
            let now = Instant::now();
            if self.wait(deadline.min(now + LOOK), &done) {
                return true;
            }
            if now >= deadline {
                return false;
            }
        }
    }

    /// A rebalance: what the group knows this member by from now on; `None` when it was thrown out.
    pub(super) fn stand(&self, metadata: Option<ConsumerGroupMetadata>) {
        self.change(|state| {
            state.rebalances += 1;
            let number = state.rebalances;
            state.standing = metadata.map(|metadata| Standing { number, metadata: Arc::new(metadata) });
        });
    }

    /// The group gave these slices.
    pub(super) fn grant(&self, slices: impl IntoIterator<Item = u32>) {
        self.change(|state| state.slices.extend(slices.into_iter().map(|slice| (slice, Phase::Settling))));
    }

    /// Slices whose positions are to be read, and of which nothing is under way that could still move them.
    pub(super) fn unsettled(&self) -> Vec<u32> {
        let state = self.lock();
        let settling = state.slices.iter().filter(|(_, phase)| **phase == Phase::Settling);
        settling.map(|(slice, _)| *slice).filter(|slice| !state.pending.contains_key(slice)).collect()
    }

    /// Opens a settled slice under a new lease.
    pub(super) fn open(&self, slice: u32) -> u64 {
        self.change(|state| {
            state.last_lease += 1;
            let lease = state.last_lease;
            state.slices.insert(slice, Phase::Open { lease });
            lease
        })
    }

    /// The slices whose tasks are to be told that they lost them; they settle again.
    pub(super) fn take_lost(&self) -> Vec<u32> {
        self.change(|state| {
            let lost = state.slices.iter_mut().filter(|(_, phase)| **phase == Phase::Lost);
            lost.map(|(slice, phase)| {
                *phase = Phase::Settling;
                *slice
            })
            .collect()
        })
    }

    /// Marks slices as asked for; which of them a task has.
    pub(super) fn ask_back(&self, slices: &[u32]) -> Vec<u32> {
        self.change(|state| {
            let mut asked = Vec::new();
            for slice in slices {
                if let Some(phase) = state.slices.get_mut(slice)
                    && let Phase::Open { lease } = *phase
                {
                    *phase = Phase::Closing { lease };
                    asked.push(*slice);
                }
            }
            asked
        })
    }

    /// Waits until the tasks have given these slices back and what they committed has ended.
    pub(super) fn wait_for_return(&self, slices: &[u32], timeout: Duration) {
        self.wait_beating(timeout, |state| {
            state.leaving
                || slices.iter().all(|slice| {
                    !matches!(state.slices.get(slice), Some(Phase::Closing { .. }))
                        && !state.pending.contains_key(slice)
                })
        });
    }

    /// These slices are the group's again: no commit passes from now on. Which of them a task had.
    pub(super) fn remove(&self, slices: &[u32]) -> Vec<u32> {
        self.change(|state| {
            let had = |slice: &&u32| state.slices.remove(slice).is_some_and(|phase| phase != Phase::Settling);
            slices.iter().filter(had).copied().collect()
        })
    }

    /// Waits until nothing is under way for these slices; whether that came.
    pub(super) fn wait_for_idle(&self, slices: &[u32], timeout: Duration) -> bool {
        self.wait_beating(timeout, |state| slices.iter().all(|slice| !state.pending.contains_key(slice)))
    }

    /// All slices.
    pub(super) fn all(&self) -> Vec<u32> {
        self.lock().slices.keys().copied().collect()
    }

    // What the stage does.

    /// Gives a slice back that was asked for.
    pub(super) fn closed(&self, slice: u32) {
        self.change(|state| {
            if let Some(phase) = state.slices.get_mut(&slice)
                && let Phase::Closing { lease } = *phase
            {
                *phase = Phase::Closed { lease };
            }
        });
    }

    /// Starts a slice again from its last commit.
    pub(super) fn reset(&self, slice: u32) {
        self.change(|state| {
            if let Some(phase) = state.slices.get_mut(&slice).filter(|phase| phase.lease().is_some()) {
                *phase = Phase::Lost;
            }
        });
    }

    /// No new commits from now on; the membership ends.
    pub(super) fn leave(&self) {
        self.change(|state| state.leaving = true);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.lock().leaving
    }

    // What commits do.

    /// Lets a commit in, if its lease is the slice's; it must be ended by [`Ownership::ended`].
    pub(super) fn admit(&self, slice: u32, lease: u64) -> bool {
        self.change(|state| {
            let passes = !state.leaving && state.passes(slice, lease);
            if passes {
                *state.pending.entry(slice).or_default() += 1;
            }
            passes
        })
    }

    /// Whether this lease is surely the slice's still.
    pub(super) fn holds(&self, slice: u32, lease: u64) -> bool {
        self.holds_at(slice, lease, Moment::now())
    }

    fn holds_at(&self, slice: u32, lease: u64, now: Moment) -> bool {
        let state = self.lock();
        state.passes(slice, lease) && !state.is_doubtful(now)
    }

    /// Whether a commit that was let in may still go on.
    pub(super) fn passes(&self, slice: u32, lease: u64) -> bool {
        self.lock().passes(slice, lease)
    }

    /// A commit under this lease failed: nothing more passes under it.
    pub(super) fn lost(&self, slice: u32, lease: u64) {
        self.change(|state| {
            if state.passes(slice, lease) {
                state.slices.insert(slice, Phase::Lost);
            }
        });
    }

    /// A commit that was let in has ended, and it is settled how.
    pub(super) fn ended(&self, slice: u32) {
        self.change(|state| {
            if let Some(count) = state.pending.get_mut(&slice) {
                *count -= 1;
                if *count == 0 {
                    state.pending.remove(&slice);
                }
            }
        });
    }

    pub(super) fn standing(&self) -> Option<Standing> {
        self.lock().standing.clone()
    }

    /// Waits for the rebalance after this one.
    pub(super) fn wait_for_rebalance(&self, number: u64, timeout: Duration) {
        self.wait(Instant::now() + timeout, |state| state.leaving || state.rebalances > number);
    }
}

impl State {
    fn is_doubtful(&self, now: Moment) -> bool {
        self.beat.until(now) > DOUBT
    }

    fn passes(&self, slice: u32, lease: u64) -> bool {
        self.slices.get(&slice).and_then(|phase| phase.lease()) == Some(lease)
    }
}

#[cfg(test)]
mod tests;
