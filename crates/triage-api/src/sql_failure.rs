//! What sqlx's errors mean to a caller, as far as that is the same for every database; in words that
//! never hold content.

use sqlx::migrate::MigrateError;

use crate::error::StoreError;

/// The error of a store that did not do its work; `own` words what differs between databases.
pub(crate) fn store_error(
    store: &'static str,
    error: &sqlx::Error,
    own: fn(&sqlx::Error) -> Option<String>,
) -> StoreError {
    if error.as_database_error().is_some_and(|error| error.is_unique_violation()) {
        return StoreError::Conflict;
    }
    unavailable(store, reason(error, own))
}

/// [`StoreError::Unavailable`] for a reason without content.
pub(crate) fn unavailable(store: &'static str, reason: impl Into<String>) -> StoreError {
    StoreError::Unavailable { store, reason: reason.into() }
}

fn reason(error: &sqlx::Error, own: fn(&sqlx::Error) -> Option<String>) -> String {
    if let Some(reason) = own(error) {
        return reason;
    }
    let reason = match error {
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => "it is closed",
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => "a stored row is unreadable",
        sqlx::Error::Migrate(error) => match error.as_ref() {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => return reason(error, own),
            _ => "it was written by another version of this service",
        },
        _ => "a statement failed",
    };
    reason.to_owned()
}
