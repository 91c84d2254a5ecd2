//! How long a connection's requests are waited for. All of them have equally long, so one timer looks after all: one for
//! each would cost more than to read its answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// So many times within the time that a request has it is looked at: it may end that much late.
const LOOKS: u32 = 20;
/// However long that is.
const LONGEST: Duration = Duration::from_millis(250);
const SHORTEST: Duration = Duration::from_millis(1);

/// A connection's.
pub struct Patience {
    limit: Duration,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    places: Vec<Option<Place>>,
    free: Vec<usize>,
}

struct Place {
    until: Instant,
    waker: Waker,
    over: bool,
}

/// One who waits.
pub struct Patient<'a> {
    patience: &'a Patience,
    until: Instant,
    place: Option<usize>,
}

impl Patience {
    /// For `limit`.
    pub fn new(limit: Duration) -> Self {
        Self { limit, waiting: Mutex::default() }
    }

    /// How long.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// How often to call [`Patience::look`].
    pub fn period(&self) -> Duration {
        (self.limit / LOOKS).clamp(SHORTEST, LONGEST)
    }

    /// Begins to wait.
    pub fn begin(&self, now: Instant) -> Patient<'_> {
        Patient { patience: self, until: now + self.limit, place: None }
    }

    /// Wakes those who have waited long enough.
    pub fn look(&self, now: Instant) {
        for place in self.lock().places.iter_mut().flatten().filter(|place| place.until <= now) {
            place.over = true;
            place.waker.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Patient<'_> {
    /// Ready when its time is over.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.patience.lock();
        if let Some(place) = self.place.and_then(|at| waiting.places[at].as_mut()) {
            place.waker.clone_from(cx.waker());
            return if place.over { Poll::Ready(()) } else { Poll::Pending };
        }
        let place = Some(Place { until: self.until, waker: cx.waker().clone(), over: false });
        self.place = Some(match waiting.free.pop() {
            Some(at) => {
                waiting.places[at] = place;
                at
            }
            None => {
                waiting.places.push(place);
                waiting.places.len() - 1
            }
        });
        Poll::Pending
    }
}

impl Drop for Patient<'_> {
    fn drop(&mut self) {
        if let Some(at) = self.place {
            let mut waiting = self.patience.lock();
            waiting.places[at] = None;
            waiting.free.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_has_waited_long_enough_is_woken_and_nobody_else() {
        const LIMIT: Duration = Duration::from_secs(10);
        let (patience, now) = (Patience::new(LIMIT), Instant::now());
        let woken: Vec<_> = (0..3).map(|_| Arc::new(Woken::default())).collect();
        let mut patients: Vec<_> = (0..3).map(|n| patience.begin(now + Duration::from_secs(n))).collect();
        let poll = |patients: &mut Vec<Patient<'_>>, n: usize| {
            let waker = Arc::clone(&woken[n]).into();
            patients[n].poll_over(&mut Context::from_waker(&waker))
        };
        (0..3).for_each(|n| assert!(poll(&mut patients, n).is_pending()));
        patience.look(now + LIMIT + Duration::from_secs(1));
        let told: Vec<_> = woken.iter().map(|woken| woken.0.load(Ordering::Relaxed)).collect();
        assert_eq!(told, [1, 1, 0]);
        assert!(poll(&mut patients, 0).is_ready() && poll(&mut patients, 1).is_ready());
        assert!(poll(&mut patients, 2).is_pending());
        drop(patients);
        // Places are used again.
        let mut another = patience.begin(now);
        let waker = Arc::clone(&woken[0]).into();
        assert!(another.poll_over(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(patience.lock().places.len(), 3);
    }
}
