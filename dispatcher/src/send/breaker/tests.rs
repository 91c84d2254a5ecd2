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
