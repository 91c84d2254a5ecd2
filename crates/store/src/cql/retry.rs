//! When the driver asks again.

use scylla::errors::{DbError, RequestAttemptError};
use scylla::policies::retry::{DefaultRetryPolicy, RequestInfo, RetryDecision, RetryPolicy, RetrySession};

/// How often a node that does not know a statement is given it once more.
const UNPREPARED: u32 = 5;

/// The driver's own rules, and one more: a node that says it does not know a statement has not run it, so it is asked
/// again, whatever the statement does.
///
/// The driver prepares such a statement once more and runs it, and gives up when it is gone again in between. A node
/// forgets the statements of a table at each change of that table, so a migration beside full load would fail writes.
#[derive(Debug)]
pub(super) struct Retries;

impl RetryPolicy for Retries {
    fn new_session(&self) -> Box<dyn RetrySession> {
        Box::new(Request { unprepared: 0, rules: DefaultRetryPolicy::new().new_session() })
    }
}

/// One request and what has been tried for it.
struct Request {
    unprepared: u32,
    rules: Box<dyn RetrySession>,
}

impl RetrySession for Request {
    fn decide_should_retry(&mut self, request: RequestInfo) -> RetryDecision {
        match request.error {
            RequestAttemptError::DbError(DbError::Unprepared { .. }, _) if self.unprepared < UNPREPARED => {
                self.unprepared += 1;
                RetryDecision::RetrySameTarget(None)
            }
            _ => self.rules.decide_should_retry(request),
        }
    }

    fn reset(&mut self) {
        self.unprepared = 0;
        self.rules.reset();
    }
}
