use super::*;

const SOON: Duration = Duration::from_secs(5);
const NOW: Duration = Duration::ZERO;

#[test]
fn a_commit_passes_under_the_newest_lease_alone() {
    let ownership = Ownership::default();
    ownership.grant([3]);
    assert!(!ownership.admit(3, 0));
    let first = ownership.open(3);
    assert!(ownership.admit(3, first));
    ownership.lost(3, first);
    assert!(!ownership.passes(3, first) && !ownership.admit(3, first));
    assert_eq!(ownership.take_lost(), [3]);
    assert!(ownership.unsettled().is_empty(), "its failed commit is not settled yet");
    ownership.ended(3);
    assert_eq!(ownership.unsettled(), [3]);
    let second = ownership.open(3);
    ownership.lost(3, first);
    assert!(ownership.admit(3, second), "what an old lease lost touches no new one");
}

#[test]
fn a_slice_that_is_asked_back_may_commit_until_it_is_given_back_and_its_commits_have_ended() {
    let ownership = Arc::new(Ownership::default());
    ownership.grant([0, 1]);
    let lease = ownership.open(0);
    assert_eq!(ownership.ask_back(&[0, 1]), [0], "nobody has the other one yet");
    assert!(ownership.admit(0, lease));
    let returned = std::thread::spawn({
        let ownership = Arc::clone(&ownership);
        move || ownership.wait_for_return(&[0, 1], SOON)
    });
    ownership.closed(0);
    assert!(ownership.passes(0, lease));
    assert!(!ownership.wait_for_idle(&[0], NOW));
    ownership.ended(0);
    returned.join().unwrap();
    assert_eq!(ownership.remove(&[0, 1]), [0]);
    assert!(!ownership.passes(0, lease));
}

#[test]
fn a_member_that_was_stopped_holds_nothing_until_its_slices_have_started_again() {
    let start = Moment::now();
    let ownership = Ownership::new(start);
    ownership.grant([0]);
    let lease = ownership.open(0);
    let later = |by: Duration| Moment(start.0 + by, start.1 + by);
    assert_eq!(ownership.beat_at(later(DOUBT)), 0);
    assert!(ownership.holds_at(0, lease, later(2 * DOUBT)));
    // The machine slept: one clock alone shows it.
    let woken = Moment(start.0 + DOUBT, start.1 + 3 * DOUBT);
    assert!(!ownership.holds_at(0, lease, woken), "nobody has looked after it yet");
    assert_eq!(ownership.beat_at(woken), 1);
    assert!(!ownership.holds_at(0, lease, woken) && !ownership.passes(0, lease));
    assert_eq!(ownership.take_lost(), [0]);
}

#[test]
fn who_leaves_takes_no_more() {
    let ownership = Ownership::default();
    ownership.grant([0]);
    let lease = ownership.open(0);
    ownership.leave();
    assert!(!ownership.admit(0, lease) && ownership.passes(0, lease));
}
