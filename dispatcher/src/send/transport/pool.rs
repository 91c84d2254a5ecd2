//! Which of a lane's connections carries the next request, when there should be more of them and when fewer: pure.

use std::time::Duration;

use tokio::time::Instant;

/// Work that has waited this long for a stream is worth a further connection.
const PATIENCE: Duration = Duration::from_millis(20);
/// After a further connection failed none is tried for this long, doubling to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How much is open at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// Streams of a connection, whatever more its server allows.
    pub streams: usize,
    /// Streams of a connection until one of its requests was accepted, whatever more its server allows.
    pub first_streams: usize,
}

/// One connection of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(u64);

/// Whether to open connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// What there is will do.
    Enough,
    /// Ask again after this, if work still waits.
    Later(Duration),
    /// So many.
    Open(usize),
}

/// A lane's connections, known by handles `C`.
#[derive(Debug)]
pub struct Pool<C> {
    limits: Limits,
    open: Vec<Entry<C>>,
    connecting: usize,
    in_use: usize,
    /// The most streams that were in use at once since [`Pool::shrink`].
    busiest: usize,
    failures: u32,
    failed_until: Option<Instant>,
    next: u64,
}

#[derive(Debug)]
struct Entry<C> {
    id: Id,
    handle: C,
    in_use: usize,
    /// What the server allows, once it has said so.
    announced: Option<usize>,
    /// One of its requests was accepted.
    proven: bool,
}

impl<C> Entry<C> {
    fn capacity(&self, limits: &Limits) -> usize {
        // Until the server has said how many, one is safe.
        let announced = self.announced.unwrap_or(1).min(limits.streams);
        if self.proven { announced } else { announced.min(limits.first_streams) }
    }

    fn is_warming_up(&self, limits: &Limits) -> bool {
        self.announced.is_none() || (!self.proven && limits.first_streams < limits.streams)
    }
}

impl<C: Clone> Pool<C> {
    /// Nothing is open.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Vec::new(),
            connecting: 0,
            in_use: 0,
            busiest: 0,
            failures: 0,
            failed_until: None,
            next: 0,
        }
    }

    /// Whether a stream is free.
    pub fn has_stream(&self) -> bool {
        self.open.iter().any(|entry| entry.in_use < entry.capacity(&self.limits))
    }

    /// A stream of the connection that has the fewest in use.
    pub fn take(&mut self) -> Option<(Id, C)> {
        let limits = self.limits;
        let free = self.open.iter_mut().filter(|entry| entry.in_use < entry.capacity(&limits));
        let entry = free.min_by_key(|entry| entry.in_use)?;
        entry.in_use += 1;
        self.in_use += 1;
        self.busiest = self.busiest.max(self.in_use);
        Some((entry.id, entry.handle.clone()))
    }

    /// A stream is free again. `accepted`: the provider took a request on it.
    pub fn give_back(&mut self, id: Id, accepted: bool) {
        if let Some(entry) = self.entry(id) {
            entry.in_use -= 1;
            entry.proven |= accepted;
            self.in_use -= 1;
        }
    }

    /// A connection's server allows so many streams.
    pub fn announced(&mut self, id: Id, streams: usize) {
        if let Some(entry) = self.entry(id) {
            entry.announced = Some(streams);
        }
    }

    /// Nothing new goes out on a connection. False if that was known.
    pub fn retire(&mut self, id: Id) -> bool {
        let Some(at) = self.open.iter().position(|entry| entry.id == id) else { return false };
        self.in_use -= self.open.swap_remove(at).in_use;
        true
    }

    /// Whether to open connections for `waiting` pushes, the first of which has waited for this long.
    pub fn growth(&self, waiting: usize, waited: Duration, now: Instant) -> Growth {
        if waiting == 0 || self.has_stream() {
            return Growth::Enough;
        }
        if self.open.is_empty() {
            return if self.connecting == 0 { Growth::Open(1) } else { Growth::Enough };
        }
        let room = self.limits.connections.saturating_sub(self.open.len() + self.connecting);
        if room == 0 {
            return Growth::Enough;
        }
        let each = self.streams_each();
        let warming_up = self.open.iter().filter(|entry| entry.is_warming_up(&self.limits)).count();
        let promised = (self.connecting + warming_up).saturating_mul(each);
        let missing = waiting.saturating_sub(promised).div_ceil(each);
        // At most twice as many as have shown what they can.
        let in_the_making = self.connecting + warming_up;
        let warm = self.open.len() - warming_up;
        let wanted = missing.min(warm.saturating_sub(in_the_making)).min(room);
        if wanted == 0 {
            return Growth::Enough;
        }
        let failed = self.failed_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let later = failed.max(PATIENCE.saturating_sub(waited));
        if later.is_zero() { Growth::Open(wanted) } else { Growth::Later(later) }
    }

    /// So many connections are being opened.
    pub fn connecting(&mut self, count: usize) {
        self.connecting += count;
    }

    /// One of those is open.
    pub fn opened(&mut self, handle: C) -> Id {
        self.connecting -= 1;
        (self.failures, self.failed_until) = (0, None);
        let id = Id(self.next);
        self.next += 1;
        self.open.push(Entry { id, handle, in_use: 0, announced: None, proven: false });
        id
    }

    /// One of those failed. True if nothing is left: no connection, nor hope of one.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.connecting -= 1;
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.failed_until = Some(now + pause);
        self.open.is_empty() && self.connecting == 0
    }

    /// Retires what the busiest moment since the last call had no need of; one connection stays.
    pub fn shrink(&mut self) -> usize {
        let busiest = std::mem::replace(&mut self.busiest, self.in_use);
        let needed = busiest.div_ceil(self.streams_each()).max(1);
        let before = self.open.len();
        // The emptiest go first, and what is under way on them ends well.
        self.open.sort_by_key(|entry| std::cmp::Reverse(entry.in_use));
        self.open.truncate(needed);
        self.in_use = self.open.iter().map(|entry| entry.in_use).sum();
        before - self.open.len()
    }

    /// What a connection that is warm carries here.
    fn streams_each(&self) -> usize {
        let announced = self.open.iter().filter_map(|entry| entry.announced).max();
        announced.unwrap_or(self.limits.streams).clamp(1, self.limits.streams.max(1))
    }

    fn entry(&mut self, id: Id) -> Option<&mut Entry<C>> {
        self.open.iter_mut().find(|entry| entry.id == id)
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(
                take(&mut pool, 2_000).len() + expected,
                (announced.saturating_add(5)).min(configured)
            );
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
}
