//! [`migrator`]: brings the schema of a database up to date.

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Does steps, each a name and its statements, in their order and once. The database remembers them: one that has been
/// released must not change. In place of sqlx's macro, which compiles its databases twice.
pub(crate) fn migrator(steps: &[(&'static str, &'static str)]) -> Migrator {
    let step = |(version, (name, statements)): (i64, &(&'static str, &'static str))| {
        Migration::new(version, (*name).into(), MigrationType::Simple, SqlStr::from_static(statements), false)
    };
    Migrator::with_migrations((1..).zip(steps).map(step).collect())
}
