//! [`PostgresDecisions`]: the last decision in PostgreSQL, in one row.

use futures_util::future::BoxFuture;
use llm_client::Routing;
use sqlx::types::Json;

use super::database::{Database, json};
use super::failure::store_error;
use crate::decisions::{Decision, Decisions};
use crate::error::StoreError;

/// The last decision in a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresDecisions {
    database: Database,
}

impl PostgresDecisions {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn select(&self) -> sqlx::Result<Option<Decision>> {
        let row: Option<(String, Json<Routing>)> = sqlx::query_as("SELECT llm_mode, routing::json FROM decisions")
            .fetch_optional(self.database.pool())
            .await?;
        Ok(row.map(|(llm_mode, Json(routing))| Decision { llm_mode, routing }))
    }

    async fn replace(&self, decision: Option<Decision>) -> sqlx::Result<()> {
        let statement = match decision {
            None => sqlx::query("DELETE FROM decisions"),
            Some(Decision { llm_mode, routing }) => sqlx::query(
                "INSERT INTO decisions (id, llm_mode, routing) VALUES (1, $1, $2)
                 ON CONFLICT (id) DO UPDATE SET llm_mode = excluded.llm_mode, routing = excluded.routing",
            )
            .bind(llm_mode)
            .bind(json(&routing)?),
        };
        statement.execute(self.database.pool()).await?;
        Ok(())
    }
}

impl Decisions for PostgresDecisions {
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
