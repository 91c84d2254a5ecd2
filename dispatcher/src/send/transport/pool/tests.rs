//! What a pool does, case by case and whatever happens.

use proptest::prelude::*;

use super::*;

const FCM: Limits = Limits { connections: 8, streams: 1_000, first_streams: 1_000 };
const APNS: Limits = Limits { connections: 8, streams: 1_000, first_streams: 1 };
const LONG: Duration = Duration::from_secs(1);

impl Pool<usize> {
    fn len(&self) -> usize {
        self.open.len()
    }
}

/// A pool with so many connections, whose server allows so many streams.
fn pool(limits: Limits, connections: usize, streams: usize) -> (Pool<usize>, Vec<Id>) {
    let mut pool = Pool::new(limits);
    let ids = (0..connections)
        .map(|n| {
            pool.connecting(1);
            let id = pool.opened(n);
            pool.announced(id, streams);
            id
        })
        .collect();
    (pool, ids)
}

fn take(pool: &mut Pool<usize>, count: usize) -> Vec<(Id, usize)> {
    (0..count).map_while(|_| pool.take()).collect()
}

#[test]
fn requests_are_spread_over_the_connections() {
    let (mut pool, _) = pool(FCM, 4, 100);
    let mut carried = [0; 4];
    take(&mut pool, 40).iter().for_each(|(_, connection)| carried[*connection] += 1);
    assert_eq!(carried, [10; 4]);
}

#[test]
fn no_connection_carries_more_than_its_server_allows_nor_than_is_configured() {
    for (announced, configured, expected) in
        [(100, 1_000, 100), (usize::MAX, 500, 500), (3, 1_000, 3), (0, 9, 0)]
    {
        let (mut pool, ids) = pool(Limits { streams: configured, ..FCM }, 1, announced);
        assert_eq!(take(&mut pool, 2_000).len(), expected, "{announced} {configured}");
        pool.announced(ids[0], announced.saturating_add(5));
        assert_eq!(take(&mut pool, 2_000).len() + expected, (announced.saturating_add(5)).min(configured));
    }
}

#[test]
fn one_request_goes_out_until_the_server_has_said_how_many_may() {
    let mut pool = Pool::new(FCM);
    pool.connecting(1);
    let id = pool.opened(0);
    assert_eq!(take(&mut pool, 9).len(), 1);
    pool.announced(id, 7);
    assert_eq!(take(&mut pool, 9).len(), 6);
}

#[test]
fn apns_has_one_request_under_way_until_it_has_accepted_one() {
    let (mut pool, ids) = pool(APNS, 1, 1_000);
    assert_eq!(take(&mut pool, 9).len(), 1);
    pool.give_back(ids[0], false);
    assert_eq!(take(&mut pool, 9).len(), 1);
    pool.give_back(ids[0], true);
    assert_eq!(take(&mut pool, 2_000).len(), 1_000);
}

#[test]
fn a_pool_grows_when_all_streams_are_busy_and_work_waits() {
    let now = Instant::now();
    let (mut pool, _) = pool(FCM, 1, 100);
    assert_eq!(pool.growth(500, LONG, now), Growth::Enough);
    take(&mut pool, 100);
    assert_eq!(pool.growth(0, LONG, now), Growth::Enough);
    assert_eq!(pool.growth(500, Duration::from_millis(5), now), Growth::Later(Duration::from_millis(15)));
    // Twice as many at most; and not again while that is being tried.
    assert_eq!(pool.growth(500, LONG, now), Growth::Open(1));
    pool.connecting(1);
    assert_eq!(pool.growth(500, LONG, now), Growth::Enough);
    let second = pool.opened(1);
    take(&mut pool, 1);
    assert_eq!(pool.growth(500, LONG, now), Growth::Enough);
    pool.announced(second, 100);
    take(&mut pool, 99);
    assert_eq!(pool.growth(500, LONG, now), Growth::Open(2));
    assert_eq!(pool.growth(30, LONG, now), Growth::Open(1));
}

#[test]
fn the_first_connection_is_opened_at_once_and_once() {
    let now = Instant::now();
    let mut pool: Pool<usize> = Pool::new(FCM);
    assert_eq!(pool.growth(1_000, Duration::ZERO, now), Growth::Open(1));
    pool.connecting(1);
    assert_eq!(pool.growth(1_000, LONG, now), Growth::Enough);
    assert!(pool.failed(now));
}

#[test]
fn a_further_connection_that_failed_is_not_tried_again_at_once() {
    let now = Instant::now();
    let (mut pool, _) = pool(FCM, 1, 10);
    take(&mut pool, 10);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        pool.connecting(1);
        assert!(!pool.failed(now), "one is open");
        assert_eq!(pool.growth(50, LONG, now), Growth::Later(Duration::from_secs(seconds)));
    }
    assert_eq!(pool.growth(50, LONG, now + Duration::from_secs(60)), Growth::Open(1));
}

#[test]
fn a_pool_shrinks_to_what_its_busiest_moment_needed() {
    let (mut pool, _) = pool(FCM, 8, 100);
    let taken = take(&mut pool, 250);
    for (id, _) in &taken[..240] {
        pool.give_back(*id, true);
    }
    assert_eq!((pool.shrink(), pool.len()), (5, 3));
    assert_eq!((pool.shrink(), pool.len()), (2, 1));
    for (id, _) in &taken[240..] {
        pool.give_back(*id, true);
    }
    pool.shrink();
    assert_eq!((pool.shrink(), pool.len()), (0, 1));
}

#[test]
fn a_retired_connection_carries_nothing_new_and_what_it_carries_does_not_count() {
    let (mut pool, ids) = pool(FCM, 2, 10);
    take(&mut pool, 10);
    assert!(pool.retire(ids[0]) && !pool.retire(ids[0]));
    assert!(take(&mut pool, 20).iter().all(|(id, connection)| *id == ids[1] && *connection == 1));
    pool.give_back(ids[0], true);
    pool.retire(ids[1]);
    assert_eq!(pool.take(), None);
    assert_eq!(pool.in_use, 0);
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Take,
    GiveBack(usize, bool),
    Announce(usize, usize),
    Retire(usize),
    Grow(usize),
    Opened,
    Failed,
    Shrink,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Take),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(at, accepted)| Act::GiveBack(at, accepted)),
        2 => (any::<usize>(), 0..20usize).prop_map(|(at, streams)| Act::Announce(at, streams)),
        1 => any::<usize>().prop_map(Act::Retire),
        3 => (0..100usize).prop_map(Act::Grow),
        3 => Just(Act::Opened),
        1 => Just(Act::Failed),
        1 => Just(Act::Shrink),
    ]
}

proptest! {
    /// Whatever happens: no more connections than configured, no stream beyond a server's word, and the count of
    /// what is in use is the count.
    #[test]
    fn limits_hold_and_counts_add_up(acts in proptest::collection::vec(act(), 0..300)) {
        let now = Instant::now();
        let limits = Limits { connections: 4, streams: 10, first_streams: 1 };
        let mut pool: Pool<usize> = Pool::new(limits);
        let (mut leases, mut ids, mut connecting) = (Vec::new(), Vec::new(), 0);
        for act in acts {
            match act {
                Act::Take => leases.extend(pool.take().map(|(id, _)| id)),
                Act::GiveBack(at, accepted) if !leases.is_empty() => {
                    pool.give_back(leases.swap_remove(at % leases.len()), accepted);
                }
                Act::Announce(at, streams) if !ids.is_empty() => {
                    pool.announced(ids[at % ids.len()], streams);
                }
                Act::Retire(at) if !ids.is_empty() => {
                    pool.retire(ids[at % ids.len()]);
                }
                Act::Grow(waiting) => {
                    if let Growth::Open(count) = pool.growth(waiting, LONG, now + 2 * LONGEST_PAUSE) {
                        prop_assert!(count > 0);
                        pool.connecting(count);
                        connecting += count;
                    }
                }
                Act::Opened if connecting > 0 => {
                    connecting -= 1;
                    ids.push(pool.opened(ids.len()));
                }
                Act::Failed if connecting > 0 => {
                    connecting -= 1;
                    pool.failed(now);
                }
                Act::Shrink => {
                    pool.shrink();
                }
                _ => {}
            }
            prop_assert!(pool.len() + connecting <= limits.connections);
            prop_assert_eq!(pool.in_use, pool.open.iter().map(|entry| entry.in_use).sum::<usize>());
            for entry in &pool.open {
                let held = leases.iter().filter(|id| **id == entry.id).count();
                prop_assert_eq!(held, entry.in_use);
            }
        }
    }
}
