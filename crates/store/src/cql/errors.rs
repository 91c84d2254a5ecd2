//! What the driver and the database say when something fails, as what whoever runs this can do about it.

use scylla::errors::{DbError, ExecutionError, NewSessionError, PrepareError, RequestAttemptError};

use super::connect::{CqlOptions, REQUEST};
use crate::StoreError;

/// A session that could not be made.
pub(super) fn no_session(error: &NewSessionError, options: &CqlOptions) -> StoreError {
    let said = error.to_string();
    let to_do = if said.contains("uthenticat") || said.contains("credentials") || said.contains("password") {
        "check cql.username and cql.password"
    } else if said.contains("certificate") || said.contains("SSL") || said.contains("TLS") {
        "check that cql.ca is what signed the nodes' certificates, and that the nodes speak TLS"
    } else {
        "check cql.nodes and the network, and cql.ca where the nodes speak TLS alone"
    };
    StoreError::Unavailable(format!("no session with {}: {said}; {to_do}", options.nodes.join(", ")))
}

/// A request on a table that failed. A write may or may not have happened.
pub(super) fn failed(table: &str, error: &ExecutionError) -> StoreError {
    StoreError::Unavailable(match error {
        ExecutionError::RequestTimeout(_) => {
            format!("table {table}: no answer within {} s", REQUEST.as_secs())
        }
        ExecutionError::EmptyPlan => {
            format!("table {table}: no node of the datacenter is up; check the nodes and cql.datacenter")
        }
        ExecutionError::LastAttemptError(error) => attempt(table, error),
        ExecutionError::PrepareError(error) => unprepared_text(table, error),
        other => format!("table {table}: {other}"),
    })
}

/// A statement on a table that could not be prepared.
pub(super) fn unprepared(table: &str, error: &PrepareError) -> StoreError {
    StoreError::Unavailable(unprepared_text(table, error))
}

fn unprepared_text(table: &str, error: &PrepareError) -> String {
    match error {
        PrepareError::AllAttemptsFailed { first_attempt } => attempt(table, first_attempt),
        other => format!("table {table}: {other}"),
    }
}

fn attempt(table: &str, error: &RequestAttemptError) -> String {
    let RequestAttemptError::DbError(error, message) = error else {
        return format!("table {table}: {error}");
    };
    match error {
        DbError::Unavailable { consistency, required, alive } => format!(
            "table {table}: {consistency} needs {required} replicas and {alive} are up; check the nodes, and that \
             the keyspace has no more replicas than the datacenter has nodes (cql.replication)"
        ),
        DbError::Invalid if message.contains("exist") || message.contains("nconfigured") => {
            format!("table {table} is not there, or not as declared: {message}; run `geopush migrate`")
        }
        DbError::Unauthorized => {
            format!(
                "table {table}: {message}; grant the user of cql.username SELECT and MODIFY on the keyspaces"
            )
        }
        DbError::Overloaded | DbError::RateLimitReached { .. } => {
            format!("table {table}: a node has too much to do: {message}")
        }
        DbError::ReadTimeout { consistency, required, received, .. }
        | DbError::WriteTimeout { consistency, required, received, .. } => format!(
            "table {table}: {received} of {required} replicas that {consistency} needs answered in time"
        ),
        other => format!("table {table}: {other}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: DbError, message: &str) -> String {
        let error = RequestAttemptError::DbError(error, message.to_owned());
        failed("zones", &ExecutionError::LastAttemptError(error)).to_string()
    }

    #[test]
    fn a_missing_table_asks_for_the_migration() {
        for message in ["unconfigured table zones", "keyspace geopush_config does not exist"] {
            assert!(said(DbError::Invalid, message).contains("geopush migrate"), "{message}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        assert!(said(DbError::Unauthorized, "no").contains("grant"));
        let late = failed("zones", &ExecutionError::RequestTimeout(REQUEST)).to_string();
        assert!(late.contains("no answer within 5 s") && late.contains("try again"), "{late}");
    }
}
