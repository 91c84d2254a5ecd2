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
mod tests;
