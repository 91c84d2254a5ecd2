//! The ends of all partitions in memory, and those who wait for one to move.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use super::Core;
use crate::Offset;

/// The next offset of every slot, as committed.
pub(super) struct Ends {
    slots: Vec<Slot>,
    /// Held to write while several ends move, so that nobody sees a part of a commit.
    moving: RwLock<()>,
}

struct Slot {
    next: AtomicU64,
    waiting: Mutex<Vec<Arc<Notify>>>,
}

impl Ends {
    pub(super) fn new(ends: &[Offset]) -> Self {
        let slots =
            ends.iter().map(|next| Slot { next: AtomicU64::new(*next), waiting: Mutex::default() }).collect();
        Self { slots, moving: RwLock::default() }
    }

    pub(super) fn get(&self, slot: usize) -> Offset {
        let _still = self.moving.read().unwrap_or_else(PoisonError::into_inner);
        self.slots[slot].next.load(Ordering::Acquire)
    }

    /// Moves ends on and wakes whoever listens to one of them.
    pub(super) fn publish(&self, ends: &[(usize, Offset)]) {
        let moving = self.moving.write().unwrap_or_else(PoisonError::into_inner);
        for (slot, next) in ends {
            self.slots[*slot].next.fetch_max(*next, Ordering::AcqRel);
        }
        drop(moving);
        for (slot, _) in ends {
            for waiting in self.slots[*slot].waiting.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                waiting.notify_one();
            }
        }
    }
}

/// Hears of it when one of its slots' ends moves.
pub(super) struct Listener {
    core: Arc<Core>,
    slots: Vec<usize>,
    notify: Arc<Notify>,
}

impl Listener {
    pub(super) fn new(core: &Arc<Core>, slots: Vec<usize>) -> Self {
        let notify = Arc::new(Notify::new());
        for slot in &slots {
            let waiting = &core.ends.slots[*slot].waiting;
            waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&notify));
        }
        Self { core: Arc::clone(core), slots, notify }
    }

    /// Returns when an end has moved since the last return, perhaps once too often.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }

    /// What makes [`Listener::changed`] return.
    pub(super) fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.notify)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        for slot in &self.slots {
            let waiting = &self.core.ends.slots[*slot].waiting;
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.retain(|other| !Arc::ptr_eq(other, &self.notify));
        }
    }
}
