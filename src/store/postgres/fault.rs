//! What can go wrong inside this engine, before it is told to anybody, and what to do about each kind.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::store::{OpenError, StoreError};

/// Constraints that two nodes can run into at once: the batch is loaded anew and then finds the other's row.
const RACED: [&str; 7] = [
    "users_email",
    "accounts_key",
    "accounts_pkey",
    "transactions_key",
    "chain_pkey",
    "records_key",
    "records_by_lookup",
];

/// A fault of the engine.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing was written, and the same batch may well succeed: a conflict with another node, a lost connection.
    #[error("{0}")]
    Transient(String),
    /// Somebody else wrote a row of the same unique name: loaded anew, the batch finds it.
    #[error("{0}")]
    Raced(String),
    /// The answer to a COMMIT was lost: whether it happened is not known.
    #[error("{0}")]
    Unknown(String),
    /// The database refuses what one of the commands wrote: its neighbours are tried without it.
    #[error("{0}")]
    Refused(String),
    /// A row is not what this program writes.
    #[error("{0}")]
    Damaged(String),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let told = describe(&error);
        let Some(state) = error.code() else { return Self::Transient(told) };
        let constraint = error.as_db_error().and_then(|error| error.constraint()).unwrap_or_default();
        if *state == SqlState::UNIQUE_VIOLATION && RACED.contains(&constraint) {
            return Self::Raced(told);
        }
        // Classes: 08 connection, 25 transaction state (read-only standby), 40 rollback, 53 resources, 55 object in
        // use, 57 operator intervention, 58 system error.
        match state.code().get(..2) {
            Some("08" | "25" | "40" | "53" | "55" | "57" | "58") => Self::Transient(told),
            _ => Self::Refused(told),
        }
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::from(error),
            PoolError::Timeout(_) => {
                Self::Transient("no connection to the database came free in time".into())
            }
            other => Self::Transient(other.to_string()),
        }
    }
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Transient(told) | Fault::Raced(told) | Fault::Refused(told) => Self::Unavailable(told),
            Fault::Unknown(told) => Self::OutcomeUnknown(told),
            Fault::Damaged(told) => Self::Damaged(told),
        }
    }
}

/// The whole message: the driver's own says no more than 'db error'. The server's `detail` is left out, since it repeats
/// the row's values.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(told) = error.as_db_error() {
        return format!("{} ({})", told.message(), told.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
