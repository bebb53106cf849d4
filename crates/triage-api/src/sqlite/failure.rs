//! What SQLite's errors mean to a caller, in words that never hold content: SQLite's own messages
//! can quote values and name the file.

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use crate::error::StoreError;
use crate::sql_failure;

/// The error of a store that did not do its work.
pub(super) fn store_error(store: &'static str, error: &sqlx::Error) -> StoreError {
    sql_failure::store_error(store, error, own)
}

/// Whether another process may just have done the same: the file is locked, or what was to be
/// made is there (result code 1 or a key that is taken).
pub(super) fn lost_a_race(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Migrate(error) => match error.as_ref() {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => lost_a_race(error),
            _ => false,
        },
        sqlx::Error::Database(error) => matches!(primary_code(error.as_ref()), Some(1 | 5 | 6 | 19)),
        _ => false,
    }
}

/// What only SQLite's errors say.
fn own(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(error) => Some(result_code(primary_code(error.as_ref()))),
        sqlx::Error::PoolTimedOut => Some("it is busy".to_owned()),
        sqlx::Error::Io(error) => Some(format!("input or output failed: {}", error.kind())),
        _ => None,
    }
}

/// The low byte of a result code (<https://sqlite.org/rescode.html>).
fn primary_code(error: &dyn DatabaseError) -> Option<u32> {
    error.code()?.parse().ok().map(|code: u32| code & 0xff)
}

fn result_code(primary: Option<u32>) -> String {
    let meaning = match primary {
        Some(5 | 6) => "it is locked by another process",
        Some(8) => "it is read-only",
        Some(10) => "reading or writing the disk failed",
        Some(11 | 26) => "the file is not a whole database",
        Some(13) => "the disk is full",
        Some(14) => "it cannot be opened",
        Some(primary) => return format!("SQLite's result code {primary}"),
        None => "SQLite failed",
    };
    meaning.to_owned()
}

#[cfg(test)]
mod tests {
    use super::result_code;

    #[test]
    fn codes_are_worded_without_sqlites_own_message() {
        assert_eq!(result_code(Some(5)), "it is locked by another process");
        assert_eq!(result_code(Some(8)), "it is read-only");
        assert_eq!(result_code(Some(13)), "the disk is full");
        assert_eq!(result_code(Some(1)), "SQLite's result code 1");
        assert_eq!(result_code(None), "SQLite failed");
    }
}
