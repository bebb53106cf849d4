//! [`OpenDatabase`]: where records, conversations and decisions are, once it is opened.

use std::sync::Arc;

use anyhow::Context;
use triage_api::Stores;
use triage_api::decisions::Decisions;
use triage_api::postgres::PostgresStores;
use triage_api::remote::{DbApi, DbApiConfig};
use triage_api::sqlite::SqliteStores;

use crate::settings::StoreSettings;

/// Name of the SQLite file under the data folder.
pub(crate) const DATABASE_FILE: &str = "carepath.db";

/// The database, or the service that has one.
pub(crate) enum OpenDatabase {
    Sqlite(SqliteStores),
    Postgres(PostgresStores),
    DbApi(Arc<DbApi>),
}

impl OpenDatabase {
    /// Opens what the settings name.
    pub(crate) async fn open(settings: &StoreSettings) -> anyhow::Result<Self> {
        match settings {
            StoreSettings::Sqlite(folder) => {
                let path = folder.join(DATABASE_FILE);
                let stores = SqliteStores::open(&path).await.with_context(|| format!("opening {}", path.display()))?;
                Ok(Self::Sqlite(stores))
            }
            StoreSettings::Postgres(url) => {
                Ok(Self::Postgres(PostgresStores::open(url).await.context("DATABASE_URL")?))
            }
            StoreSettings::DbApi(url) => {
                Ok(Self::DbApi(Arc::new(DbApi::new(DbApiConfig::new(url)).context("DB_API_BASE_URL")?)))
            }
        }
    }

    /// Its records and conversations.
    pub(crate) fn stores(&self) -> Stores {
        match self {
            Self::Sqlite(stores) => Stores {
                records: Arc::new(stores.records.clone()),
                conversations: Arc::new(stores.conversations.clone()),
                kind: "sqlite",
            },
            Self::Postgres(stores) => Stores {
                records: Arc::new(stores.records.clone()),
                conversations: Arc::new(stores.conversations.clone()),
                kind: "postgres",
            },
            Self::DbApi(api) => Stores { records: api.clone(), conversations: api.clone(), kind: "db-api" },
        }
    }

    /// What operators decided, where that is kept.
    pub(crate) fn decisions(&self) -> Option<Arc<dyn Decisions>> {
        match self {
            Self::Sqlite(stores) => Some(Arc::new(stores.decisions.clone())),
            Self::Postgres(stores) => Some(Arc::new(stores.decisions.clone())),
            Self::DbApi(_) => None,
        }
    }

    /// Ends its connections after what they are doing.
    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(stores) => stores.close().await,
            Self::Postgres(stores) => stores.close().await,
            Self::DbApi(_) => {}
        }
    }
}
