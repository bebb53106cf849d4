//! [`PostgresStores`]: connects to the database and hands out its stores.

use secrecy::SecretString;

use super::conversations::PostgresConversations;
use super::database::Database;
use super::decisions::PostgresDecisions;
use super::records::PostgresRecords;
use super::seeding;
use crate::error::StoreError;

/// The stores of one PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresStores {
    /// The patient records.
    pub records: PostgresRecords,
    /// The conversations.
    pub conversations: PostgresConversations,
    /// Who answers, as operators decided last.
    pub decisions: PostgresDecisions,
    database: Database,
}

impl PostgresStores {
    /// Connects to the database at `url` (`postgres://user:password@host:5432/database`, with
    /// libpq's parameters such as `sslmode=verify-full`), brings its schema up to date, and fills it
    /// with the synthetic patients when it has none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached, does not let the user in, or was
    /// written by a newer version.
    pub async fn open(url: &SecretString) -> Result<Self, StoreError> {
        let database = Database::open(url).await?;
        seeding::seed_when_empty(&database).await?;
        Ok(Self {
            records: PostgresRecords::new(database.clone()),
            conversations: PostgresConversations::new(database.clone()),
            decisions: PostgresDecisions::new(database.clone()),
            database,
        })
    }

    /// Whether the database at `url` lets its user in; it is not changed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn probe(url: &SecretString) -> Result<(), StoreError> {
        Database::probe(url).await
    }

    /// Closes the connections after what they are doing.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
