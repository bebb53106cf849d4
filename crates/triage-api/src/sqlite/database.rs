//! [`Database`]: the connections to the file and its schema; knows nothing of what is stored.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, Sqlite, Transaction};

use super::failure::{lost_a_race, store_error};
use crate::error::StoreError;
use crate::sql_failure::unavailable;
use crate::sql_migrations::migrator;

/// How long a statement waits for a lock that another process holds, and a caller for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// Connections that read; the write-ahead log lets them read while one writes.
const READERS: u32 = 4;
/// What failures of the file as a whole are called.
const STORE: &str = "sqlite";

const MIGRATIONS: [(&str, &str); 3] = [
    ("records", include_str!("../../migrations/sqlite/0001_records.sql")),
    ("conversations", include_str!("../../migrations/sqlite/0002_conversations.sql")),
    ("decisions", include_str!("../../migrations/sqlite/0003_decisions.sql")),
];

/// An open database file; clones share its connections.
#[derive(Debug, Clone)]
pub(super) struct Database {
    readers: SqlitePool,
    /// One connection: SQLite has one writer at a time anyway, and its queue here is fair, where
    /// SQLite's own waiting is not.
    writer: SqlitePool,
}

impl Database {
    /// Opens the file, making it when absent, and brings its schema up to date.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| unavailable(STORE, format!("its folder cannot be made: {}", error.kind())))?;
        }
        let started = Instant::now();
        loop {
            match Self::connect(path).await {
                // Two processes that start with a new file at once get in each other's way: SQLite
                // does not wait for its first change to the write-ahead log, and the migrations
                // take no lock. The one that lost finds the work done.
                Err(error) if lost_a_race(&error) && started.elapsed() < BUSY_TIMEOUT => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                opened => return opened.map_err(|error| store_error(STORE, &error)),
            }
        }
    }

    async fn connect(path: &Path) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(BUSY_TIMEOUT);
        // A transaction that could not be ended, on a disk that is full, must not be the next one's beginning.
        let writer =
            pool(1).before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }));
        let writer = writer.connect_with(options.clone()).await?;
        migrator(&MIGRATIONS).run(&writer).await?;
        let readers = pool(READERS).connect_with(options).await?;
        Ok(Self { readers, writer })
    }

    /// Reads from the file, without bringing its schema up to date.
    pub(super) async fn probe(path: &Path) -> Result<(), StoreError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let read = async {
            let mut connection = options.connect().await?;
            sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut connection).await?;
            connection.close().await
        };
        read.await.map_err(|error| store_error(STORE, &error))
    }

    /// Connections for reading.
    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Starts a transaction that holds the write lock from its first statement, so that what it
    /// reads cannot change before it writes.
    pub(super) async fn begin_write(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Reads from the file, to see whether that works.
    pub(super) async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&self.readers).await?;
        Ok(())
    }

    /// Closes all connections after what they are doing.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
