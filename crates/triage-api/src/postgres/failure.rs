//! What PostgreSQL's errors mean to a caller, in words that never hold content: the server's own
//! messages can quote values, and its address names it.

use sqlx::migrate::MigrateError;

use crate::error::StoreError;

/// What failures of the database as a whole are called.
pub(super) const STORE: &str = "postgres";

/// The error of a store that did not do its work.
pub(super) fn store_error(store: &'static str, error: &sqlx::Error) -> StoreError {
    if error.as_database_error().is_some_and(|error| error.is_unique_violation()) {
        return StoreError::Conflict;
    }
    unavailable(store, reason(error))
}

/// [`StoreError::Unavailable`] for a reason without content.
pub(super) fn unavailable(store: &'static str, reason: impl Into<String>) -> StoreError {
    StoreError::Unavailable { store, reason: reason.into() }
}

fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => sql_state(error.code().as_deref()),
        sqlx::Error::PoolTimedOut => "it does not answer, or is busy".to_owned(),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => "it is closed".to_owned(),
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => "a stored row is unreadable".to_owned(),
        sqlx::Error::Io(error) => format!("the connection failed: {}", error.kind()),
        sqlx::Error::Tls(_) => "no secure connection can be made".to_owned(),
        sqlx::Error::Migrate(error) => match error.as_ref() {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => reason(error),
            _ => "it was written by another version of this service".to_owned(),
        },
        _ => "a statement failed".to_owned(),
    }
}

/// The meaning of a code, by its class (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn sql_state(code: Option<&str>) -> String {
    let Some(code) = code else { return "PostgreSQL failed".to_owned() };
    let meaning = match (code.get(..2), code) {
        (Some("08"), _) => "the connection failed",
        (Some("28"), _) => "it does not let this user in",
        (_, "3D000") => "there is no database of that name",
        (_, "42501") => "this user may not do that",
        (_, "22021") => "it cannot hold a character of that text",
        (_, "25006") => "it is read-only",
        (_, "53100") => "its disk is full",
        (_, "53300") => "it has too many connections",
        (_, "57014") => "it took too long",
        (Some("57"), _) => "it is starting or stopping",
        _ => return format!("PostgreSQL's code {code}"),
    };
    meaning.to_owned()
}

#[cfg(test)]
mod tests {
    use super::sql_state;

    #[test]
    fn codes_are_worded_without_postgresqls_own_message() {
        assert_eq!(sql_state(Some("28P01")), "it does not let this user in");
        assert_eq!(sql_state(Some("57P01")), "it is starting or stopping");
        assert_eq!(sql_state(Some("53100")), "its disk is full");
        assert_eq!(sql_state(Some("XX000")), "PostgreSQL's code XX000");
        assert_eq!(sql_state(None), "PostgreSQL failed");
    }
}
