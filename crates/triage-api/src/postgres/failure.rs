//! What PostgreSQL's errors mean to a caller, in words that never hold content: the server's own
//! messages can quote values, and its address names it.

use crate::error::StoreError;
use crate::sql_failure;

/// What failures of the database as a whole are called.
pub(super) const STORE: &str = "postgres";

/// The error of a store that did not do its work.
pub(super) fn store_error(store: &'static str, error: &sqlx::Error) -> StoreError {
    sql_failure::store_error(store, error, own)
}

/// What only PostgreSQL's errors say.
fn own(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(error) => Some(sql_state(error.code().as_deref())),
        sqlx::Error::PoolTimedOut => Some("it does not answer, or is busy".to_owned()),
        sqlx::Error::Io(error) => Some(format!("the connection failed: {}", error.kind())),
        sqlx::Error::Tls(_) => Some("no secure connection can be made".to_owned()),
        _ => None,
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
