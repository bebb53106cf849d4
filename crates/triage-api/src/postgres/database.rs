//! [`Database`]: the connections to the server and the schema; knows nothing of what is stored.

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Postgres, Transaction};

use super::failure::{STORE, store_error};
use crate::error::StoreError;
use crate::sql_failure::unavailable;
use crate::sql_migrations::migrator;

/// How long a caller waits for a connection, a new one included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the server works on a statement, or waits for a lock of another transaction.
const STATEMENT_TIMEOUT: &str = "10s";
/// Connections of one server to the database.
const CONNECTIONS: u32 = 8;

const MIGRATIONS: [(&str, &str); 3] = [
    ("records", include_str!("../../migrations/postgres/0001_records.sql")),
    ("conversations", include_str!("../../migrations/postgres/0002_conversations.sql")),
    ("decisions", include_str!("../../migrations/postgres/0003_decisions.sql")),
];

/// An open database; clones share its connections.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pool: PgPool,
}

impl Database {
    /// Connects, and brings the schema up to date; servers that start at once wait for each other.
    pub(super) async fn open(url: &SecretString) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT_TIMEOUT);
        let options = options(url)?;
        let opened = async {
            let pool = pool.connect_with(options).await?;
            migrator(&MIGRATIONS).run(&pool).await?;
            Ok(Self { pool })
        };
        opened.await.map_err(|error| store_error(STORE, &error))
    }

    /// Connects once, without bringing the schema up to date.
    pub(super) async fn probe(url: &SecretString) -> Result<(), StoreError> {
        let options = options(url)?;
        let connected = async { options.connect().await?.close().await };
        let timely = tokio::time::timeout(CONNECT_TIMEOUT, connected).await;
        timely.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| store_error(STORE, &error))
    }

    /// Connections for whoever needs one.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.pool.begin().await
    }

    /// Asks for nothing, to see whether that works.
    pub(super) async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes all connections after what they are doing.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A value as it is stored. (`sqlx::types::Json` would be bound as jsonb, which changes it.)
pub(super) fn json(value: &impl Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// What a `postgres://` address says; its errors would quote it, with its password.
fn options(url: &SecretString) -> Result<PgConnectOptions, StoreError> {
    let url = url.expose_secret();
    // sqlx takes any scheme.
    let has_scheme = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let options = has_scheme.then(|| PgConnectOptions::from_str(url).ok()).flatten();
    let options = options
        .ok_or_else(|| unavailable(STORE, "its address is not like postgres://user:password@host:5432/database"))?;
    // Statements hold what patients say, and are not logged.
    Ok(options
        .application_name("chat-server")
        .options([("statement_timeout", STATEMENT_TIMEOUT)])
        .disable_statement_logging())
}
