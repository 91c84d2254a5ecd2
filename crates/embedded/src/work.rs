//! One piece of work on its way through the writer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::DatabaseError;

/// A piece of work, with its types erased.
pub(crate) trait Work: Send {
    /// Does it, once; says whether what it changed is to be kept.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells those who wait how it ended; `failed` when its transaction did not commit.
    fn settle(self: Box<Self>, failed: Option<&DatabaseError>);
}

/// Work, what to call once it is settled, and who waits for it.
pub(crate) struct Pending<T, W, S> {
    pub(crate) work: Option<W>,
    pub(crate) outcome: Option<Result<T, DatabaseError>>,
    pub(crate) settled: S,
    pub(crate) reply: oneshot::Sender<Result<T, DatabaseError>>,
}

impl<T, W, S> Work for Pending<T, W, S>
where
    T: Send,
    W: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    S: FnOnce(Result<&T, &DatabaseError>) + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        // A panic in one caller's work must not end the writer that all the others depend on.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .map_err(|panic| DatabaseError::Sqlite(panicked(&*panic)))
            .and_then(|result| result.map_err(DatabaseError::from));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn settle(self: Box<Self>, failed: Option<&DatabaseError>) {
        let this = *self;
        let outcome = match (failed, this.outcome) {
            (None, Some(outcome)) => outcome,
            // Its own failure says more than the transaction's.
            (Some(_), Some(Err(error))) => Err(error),
            (Some(error), _) => Err(error.clone()),
            (None, None) => Err(DatabaseError::Closed),
        };
        let settled = this.settled;
        let called = catch_unwind(AssertUnwindSafe(|| settled(outcome.as_ref())));
        if let Err(panic) = called {
            tracing::error!(reason = panicked(&*panic), "what follows a write panicked; please report this");
        }
        // Nobody may be waiting any more; the work is done all the same.
        let _ = this.reply.send(outcome);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    format!("a piece of work panicked: {text}")
}
