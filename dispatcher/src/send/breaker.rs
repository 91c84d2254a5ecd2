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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const ILL: Health = Health::Ill(None);

    /// Whether these take a lane out.
    fn reports(breaker: &mut Breaker, now: Instant, healths: impl IntoIterator<Item = Health>) -> bool {
        healths.into_iter().any(|health| {
            breaker.report(health, false, now);
            breaker.is_out()
        })
    }

    fn out(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(now);
        assert!(reports(&mut breaker, now, [ILL; 10]));
        breaker
    }

    #[test]
    fn ten_failures_in_a_row_take_a_lane_out_and_nine_do_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        assert!(!reports(&mut breaker, now, [ILL; 9]));
        assert!(!reports(&mut breaker, now, [Health::Well; 12]));
        assert_eq!(breaker.gate(now), Gate::Open);
        assert_eq!(out(now).gate(now), Gate::Out(FIRST_PAUSE));
    }

    #[test]
    fn half_of_twenty_failed_takes_a_lane_out_and_a_tenth_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        let tenth = (0..10_000).map(|n| if n % 10 == 0 { ILL } else { Health::Well });
        assert!(!reports(&mut breaker, now, tenth));
        let mut breaker = Breaker::new(now);
        let half = |n| (0..n).map(|n| if n % 2 == 0 { Health::Well } else { ILL });
        assert!(!reports(&mut breaker, now, half(19)));
        assert!(reports(&mut breaker, now, [ILL]));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for n in 0..60 {
            // One of each every four seconds: never twenty within ten.
            let at = now + S(4 * n);
            assert!(!reports(&mut breaker, at, [Health::Well, ILL]), "after {n}");
        }
    }

    #[test]
    fn a_provider_that_limits_everything_is_left_alone_for_as_long_as_it_asks() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        assert!(reports(&mut breaker, now, [Health::Limited(S(30)); 20]));
        assert_eq!(breaker.gate(now), Gate::Out(S(30)));
        breaker.report(Health::Limited(S(7200)), false, now);
        assert_eq!(breaker.gate(now), Gate::Out(LONGEST_ASKED));
    }

    #[test]
    fn after_the_pause_one_request_tells() {
        let now = Instant::now();
        for (health, expected) in
            [(Health::Well, Gate::Open), (ILL, Gate::Out(S(2))), (Health::Ill(Some(S(9))), Gate::Out(S(9)))]
        {
            let mut breaker = out(now);
            let later = now + FIRST_PAUSE;
            assert_eq!(breaker.gate(later), Gate::Open);
            assert!(breaker.begin());
            assert_eq!(breaker.gate(later), Gate::Probing);
            // What was sent before the lane went out says nothing of now.
            breaker.report(Health::Well, false, later);
            assert_eq!(breaker.gate(later), Gate::Probing);
            breaker.report(health, true, later);
            assert_eq!(breaker.gate(later), expected, "{health:?}");
            assert!(!breaker.begin() || expected != Gate::Open);
        }
    }

    #[test]
    fn a_limit_of_one_message_holds_no_lane_that_is_out_for_another_reason() {
        let now = Instant::now();
        let hour = Health::Limited(S(3_600));
        // It comes in late, while the lane is out.
        let mut breaker = out(now);
        breaker.report(hour, false, now);
        assert_eq!(breaker.gate(now), Gate::Out(FIRST_PAUSE));
        // It is the probe: the provider answers again.
        let later = now + FIRST_PAUSE;
        assert_eq!(breaker.gate(later), Gate::Open);
        assert!(breaker.begin());
        breaker.report(hour, true, later);
        assert_eq!(breaker.gate(later), Gate::Open);
        assert!(!breaker.is_out());
        // It is the last of many failures.
        let mut breaker = Breaker::new(now);
        let half = (0..19).map(|n| if n % 2 == 0 { Health::Well } else { ILL });
        assert!(!reports(&mut breaker, now, half));
        assert!(reports(&mut breaker, now, [hour]));
        assert_eq!(breaker.gate(now), Gate::Out(FIRST_PAUSE));
    }

    #[test]
    fn a_lane_that_is_limited_is_tried_again_and_left_alone_again() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        assert!(reports(&mut breaker, now, [Health::Limited(S(30)); 20]));
        let later = now + S(30);
        assert_eq!(breaker.gate(later), Gate::Open);
        assert!(breaker.begin());
        breaker.report(Health::Limited(S(40)), true, later);
        assert_eq!(breaker.gate(later), Gate::Out(S(40)));
    }

    #[test]
    fn a_probe_that_never_went_out_is_made_again() {
        let now = Instant::now();
        let mut breaker = out(now);
        assert_eq!(breaker.gate(now + S(1)), Gate::Open);
        assert!(breaker.begin());
        breaker.probe_lost();
        assert_eq!(breaker.gate(now + S(1)), Gate::Open);
        assert!(breaker.begin());
    }

    #[test]
    fn pauses_double_until_the_lane_has_recovered() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            breaker.unreachable(now);
            assert_eq!(breaker.gate(now), Gate::Out(S(seconds)));
            now += S(seconds);
            assert_eq!(breaker.gate(now), Gate::Open);
        }
        assert!(breaker.begin());
        breaker.report(Health::Well, true, now);
        assert!(!breaker.is_out());
        // It failed again too soon, and then after it was well for long.
        breaker.unreachable(now + S(5));
        assert_eq!(breaker.gate(now + S(5)), Gate::Out(S(60)));
        now += S(65);
        assert_eq!(breaker.gate(now), Gate::Open);
        assert!(breaker.begin());
        breaker.report(Health::Well, true, now);
        breaker.unreachable(now + S(61));
        assert_eq!(breaker.gate(now + S(61)), Gate::Out(S(1)));
    }

    #[test]
    fn a_pause_is_never_shortened() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        breaker.pause(S(300), now);
        breaker.pause(S(2), now);
        breaker.unreachable(now);
        assert_eq!(breaker.gate(now), Gate::Out(S(300)));
    }

    fn health() -> impl Strategy<Value = Health> {
        prop_oneof![
            3 => Just(Health::Well),
            3 => Just(ILL),
            1 => (0..100u64).prop_map(|s| Health::Limited(S(s))),
            1 => (0..100u64).prop_map(|s| Health::Ill(Some(S(s)))),
        ]
    }

    proptest! {
        /// Whatever happens: while a lane is out nothing goes, there is one probe at a time, and a lane that is asked
        /// again and again comes back once its provider is well.
        #[test]
        fn one_probe_at_a_time_and_always_a_way_back(
            steps in proptest::collection::vec((health(), 0..3_000u64, any::<bool>()), 0..200),
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(now);
            let mut probing = false;
            for (health, ms, lost) in steps {
                now += Duration::from_millis(ms);
                match breaker.gate(now) {
                    Gate::Open => {
                        let probe = breaker.begin();
                        prop_assert!(!(probe && probing));
                        probing |= probe;
                        if probe && lost {
                            breaker.probe_lost();
                            probing = false;
                        } else if !probe {
                            breaker.report(health, false, now);
                        }
                    }
                    Gate::Probing => {
                        prop_assert!(probing);
                        breaker.report(health, true, now);
                        probing = false;
                    }
                    Gate::Out(left) => prop_assert!(!left.is_zero() && left <= LONGEST_ASKED),
                }
            }
            now += LONGEST_ASKED;
            if breaker.gate(now) == Gate::Open && breaker.begin() || probing {
                breaker.report(Health::Well, true, now);
            }
            prop_assert!(!breaker.is_out());
            prop_assert_eq!(breaker.gate(now), Gate::Open);
        }
    }
}
