//! [`SqliteStores`]: opens the file and hands out its stores.

use std::path::Path;

use super::conversations::SqliteConversations;
use super::database::Database;
use super::decisions::SqliteDecisions;
use super::records::SqliteRecords;
use super::seeding;
use crate::error::StoreError;

/// The stores of one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStores {
    /// The patient records.
    pub records: SqliteRecords,
    /// The conversations.
    pub conversations: SqliteConversations,
    /// Who answers, as operators decided last.
    pub decisions: SqliteDecisions,
    database: Database,
}

impl SqliteStores {
    /// Opens the file at `path`, making it and its folder when absent, brings its schema up to
    /// date, and fills it with the synthetic patients when it has none.
    ///
    /// A read-only file that is already filled opens too: reading works, writing is
    /// [`StoreError::Unavailable`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be opened, is locked, is no database, or was
    /// written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open(path).await?;
        seeding::seed_when_empty(&database).await?;
        Ok(Self {
            records: SqliteRecords::new(database.clone()),
            conversations: SqliteConversations::new(database.clone()),
            decisions: SqliteDecisions::new(database.clone()),
            database,
        })
    }

    /// Whether the file at `path` can be read as a database; it is not changed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot.
    pub async fn probe(path: &Path) -> Result<(), StoreError> {
        Database::probe(path).await
    }

    /// Closes the connections after what they are doing, so that the file is whole on disk.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
