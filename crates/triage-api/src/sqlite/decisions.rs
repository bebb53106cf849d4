//! [`SqliteDecisions`]: the last decision in SQLite, in one row.

use futures_util::future::BoxFuture;
use llm_client::Routing;
use sqlx::types::Json;

use super::database::Database;
use super::failure::store_error;
use crate::decisions::{Decision, Decisions};
use crate::error::StoreError;

/// The last decision in an SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteDecisions {
    database: Database,
}

impl SqliteDecisions {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn select(&self) -> sqlx::Result<Option<Decision>> {
        let row: Option<(String, Json<Routing>)> =
            sqlx::query_as("SELECT llm_mode, routing FROM decisions").fetch_optional(self.database.readers()).await?;
        Ok(row.map(|(llm_mode, Json(routing))| Decision { llm_mode, routing }))
    }

    async fn replace(&self, decision: Option<Decision>) -> sqlx::Result<()> {
        let mut transaction = self.database.begin_write().await?;
        sqlx::query("DELETE FROM decisions").execute(&mut *transaction).await?;
        if let Some(Decision { llm_mode, routing }) = decision {
            sqlx::query("INSERT INTO decisions (id, llm_mode, routing) VALUES (1, ?1, ?2)")
                .bind(llm_mode)
                .bind(Json(routing))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}

impl Decisions for SqliteDecisions {
    fn read(&self) -> BoxFuture<'_, Result<Option<Decision>, StoreError>> {
        Box::pin(async move { self.select().await.map_err(failed) })
    }

    fn write(&self, decision: Option<Decision>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.replace(decision).await.map_err(failed) })
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    store_error("decisions", &error)
}
