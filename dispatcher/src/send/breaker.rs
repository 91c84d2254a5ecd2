//! When a lane goes out, and when it is tried again: the circuit breaker, pure.

use std::time::Duration;

use tokio::time::Instant;

/// So many failures with nothing good between them take a lane out.
const CONSECUTIVE: u32 = 10;
/// Or so many requests within [`WINDOW`], at least half of them failed.
const ENOUGH: u32 = 20;
/// How long a failure counts: two of these, the begun one included.
const WINDOW: Duration = Duration::from_secs(5);
/// A lane is out for as long as the first, doubling to the longest while it does not recover.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A lane that goes out again within this has not recovered.
const RECOVERY: Duration = Duration::from_secs(60);
/// However long a provider asks, it is asked again within an hour.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// What a request says of its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does its work, whatever it thinks of the push.
    Well,
    /// It takes no more for now: as many of these as of good answers take the lane out for this long. A single one may
    /// be about one message alone, and says nothing of the others.
    Limited(Duration),
    /// It failed; its Retry-After, if it gave one.
    Ill(Option<Duration>),
    /// A connection was cut.
    Cut,
}

/// Whether a request may go out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    Open,
    /// One is out that will tell.
    Probing,
    /// Not before this has passed.
    Out(Duration),
}

/// One lane's breaker.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    consecutive: u32,
    windows: [Window; 2],
    window_began: Instant,
    /// How often it went out without recovering.
    failures: u32,
    closed_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Out { until: Instant, why: Why },
    HalfOpen { probing: bool, why: Why },
}

/// Why a lane went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its provider failed, or asked for silence.
    Ill,
    /// Its provider takes no more for now.
    Limited,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    failed: u32,
    limited: u32,
    all: u32,
}

impl Breaker {
    /// Closed: requests may go.
    pub fn new(now: Instant) -> Self {
        Self {
            state: State::Closed,
            consecutive: 0,
            windows: [Window::default(); 2],
            window_began: now,
            failures: 0,
            closed_at: now,
        }
    }

    /// Whether a request may go out. Once a pause has passed, one may: the probe.
    pub fn gate(&mut self, now: Instant) -> Gate {
        match self.state {
            State::Closed => Gate::Open,
            State::Out { until, .. } if until > now => Gate::Out(until - now),
            State::Out { why, .. } => {
                self.state = State::HalfOpen { probing: false, why };
                Gate::Open
            }
            State::HalfOpen { probing: false, .. } => Gate::Open,
            State::HalfOpen { probing: true, .. } => Gate::Probing,
        }
    }

    /// A request goes out. True if it is the probe.
    pub fn begin(&mut self) -> bool {
        match &mut self.state {
            State::HalfOpen { probing, .. } => !std::mem::replace(probing, true),
            State::Closed | State::Out { .. } => false,
        }
    }

    /// The probe says nothing: it never went out. The next request is one.
    pub fn probe_lost(&mut self) {
        if let State::HalfOpen { probing, .. } = &mut self.state {
            *probing = false;
        }
    }

    /// A request has ended.
    pub fn report(&mut self, health: Health, probe: bool, now: Instant) {
        match self.state {
            State::Closed => self.count(health, now),
            State::HalfOpen { .. } if !probe => {}
            State::HalfOpen { why, .. } => match (health, why) {
                (Health::Well, _) => self.close(now),
                // It does its work again, and only this message has to wait.
                (Health::Limited(_), Why::Ill) => {
                    self.close(now);
                    self.count(health, now);
                }
                (Health::Limited(asked), Why::Limited) => self.open(asked, Why::Limited, now),
                (Health::Ill(asked), _) => self.open(asked.unwrap_or_default(), Why::Ill, now),
                (Health::Cut, _) => self.open(Duration::ZERO, Why::Ill, now),
            },
            // What was sent before comes in late; only a longer wish is heard, and of a limit only where it is the
            // lane's.
            State::Out { until, why } => {
                let asked = match (health, why) {
                    (Health::Limited(asked), Why::Limited) | (Health::Ill(Some(asked)), _) => asked,
                    _ => return,
                };
                self.state = State::Out { until: until.max(now + asked.min(LONGEST_ASKED)), why };
            }
        }
    }

    /// No connection is open and none could be opened: out at once.
    pub fn unreachable(&mut self, now: Instant) {
        if !matches!(self.state, State::Out { .. }) {
            self.open(Duration::ZERO, Why::Ill, now);
        }
    }

    /// The provider asked for silence.
    pub fn pause(&mut self, pause: Duration, now: Instant) {
        let asked = now + pause.min(LONGEST_ASKED);
        let until = match self.state {
            State::Out { until, .. } => until.max(asked),
            State::Closed | State::HalfOpen { .. } => asked,
        };
        self.state = State::Out { until, why: Why::Ill };
    }

    /// Whether it is out or being tried.
    pub fn is_out(&self) -> bool {
        self.state != State::Closed
    }

    fn count(&mut self, health: Health, now: Instant) {
        let passed = now.saturating_duration_since(self.window_began);
        if passed >= WINDOW {
            let before = if passed < WINDOW * 2 { self.windows[0] } else { Window::default() };
            self.windows = [Window::default(), before];
            self.window_began = now;
        }
        self.windows[0].all += 1;
        let asked = match health {
            Health::Well => {
                self.consecutive = 0;
                return;
            }
            Health::Limited(asked) => {
                self.windows[0].limited += 1;
                asked
            }
            Health::Ill(asked) => {
                self.consecutive += 1;
                asked.unwrap_or_default()
            }
            Health::Cut => {
                self.consecutive += 1;
                Duration::ZERO
            }
        };
        self.windows[0].failed += 1;
        let of_both = |count: fn(&Window) -> u32| self.windows.iter().map(count).sum::<u32>();
        let (all, failed, limited) = (of_both(|w| w.all), of_both(|w| w.failed), of_both(|w| w.limited));
        if self.consecutive < CONSECUTIVE && (all < ENOUGH || failed * 2 < all) {
            return;
        }
        match health {
            // The last straw may be about one message alone: how long it is to wait is not the lane's.
            Health::Limited(_) if limited * 2 < all => self.open(Duration::ZERO, Why::Ill, now),
            Health::Limited(_) => self.open(asked, Why::Limited, now),
            _ => self.open(asked, Why::Ill, now),
        }
    }

    fn open(&mut self, asked: Duration, why: Why, now: Instant) {
        if self.state == State::Closed && now.saturating_duration_since(self.closed_at) > RECOVERY {
            self.failures = 0;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.state = State::Out { until: now + pause.max(asked.min(LONGEST_ASKED)), why };
    }

    fn close(&mut self, now: Instant) {
        *self = Self { failures: self.failures, ..Self::new(now) };
    }
}

#[cfg(test)]
mod tests;
