//! What can go wrong inside this engine, before it is told to anybody.

use crate::store::{OpenError, StoreError};

/// A fault of the engine. After one, nothing in memory is believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// `SQLite` reported it before the commit: nothing was written.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// `SQLite` reported it at the commit: whether it was written is not known.
    #[error("{0}")]
    Commit(rusqlite::Error),
    /// A row is not what this program writes.
    #[error("{0}")]
    Damaged(String),
    /// Our own bug: the decision or the engine panicked; nothing was written.
    #[error("a command could not be decided")]
    Panicked,
}

impl Fault {
    /// Whether a single command may be to blame, so that its neighbours should be tried without it.
    pub(super) fn may_be_one_command(&self) -> bool {
        match self {
            Self::Panicked => true,
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            Self::Commit(_) | Self::Damaged(_) => false,
        }
    }
}

impl From<&Fault> for StoreError {
    fn from(fault: &Fault) -> Self {
        match fault {
            Fault::Sqlite(_) | Fault::Panicked => Self::Unavailable(fault.to_string()),
            Fault::Commit(_) => Self::OutcomeUnknown(fault.to_string()),
            Fault::Damaged(_) => Self::Damaged(fault.to_string()),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::from(&fault)
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        Self::Unusable(fault.to_string())
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}
