//! The bounded queue between those who write and the writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::DatabaseError;
use crate::work::Work;

/// How much may wait, and how much goes into one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Works that may wait.
    pub(crate) waiting_works: usize,
    /// Bytes that they may hold.
    pub(crate) waiting_bytes: usize,
    /// Works in one transaction.
    pub(crate) group_works: usize,
    /// Bytes in one transaction.
    pub(crate) group_bytes: usize,
}

impl Limits {
    pub(crate) const USUAL: Self =
        Self { waiting_works: 20_000, waiting_bytes: 64 << 20, group_works: 1_000, group_bytes: 8 << 20 };
}

pub(crate) struct Job {
    pub(crate) bytes: usize,
    pub(crate) work: Box<dyn Work>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

pub(crate) struct Queue {
    limits: Limits,
    waiting: Mutex<Waiting>,
    /// Something came, or the queue was closed.
    changed: Condvar,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, waiting: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics half-way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the job back when it can't be taken. One job is taken whatever its size, so that none is too large for
    /// ever.
    pub(crate) fn push(&self, job: Job) -> Result<(), (DatabaseError, Job)> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err((DatabaseError::Closed, job));
        }
        let full = waiting.jobs.len() >= self.limits.waiting_works
            || (waiting.bytes + job.bytes > self.limits.waiting_bytes && !waiting.jobs.is_empty());
        if full {
            return Err((DatabaseError::Full, job));
        }
        waiting.bytes += job.bytes;
        waiting.jobs.push_back(job);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// The next group of jobs, waited for; `None` once the queue is closed and empty.
    pub(crate) fn pop_group(&self) -> Option<VecDeque<Job>> {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = VecDeque::new();
        let mut bytes = 0;
        while let Some(job) = waiting.jobs.front() {
            bytes += job.bytes;
            if !group.is_empty()
                && (group.len() >= self.limits.group_works || bytes > self.limits.group_bytes)
            {
                break;
            }
            waiting.bytes -= job.bytes;
            group.extend(waiting.jobs.pop_front());
        }
        Some(group)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Takes nothing more; what is waiting is still handed out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}
