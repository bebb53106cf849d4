//! [`DbApi`]: one CarePath DB API, and whether it answers.

use std::time::Duration;

use super::transport::{Transport, upstream};
use crate::error::StoreError;
use crate::records::Document;

/// Most items that the DB API gives at once.
pub(super) const MAX_PAGE: u32 = 100;

/// Where a DB API is and how long to wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbApiConfig {
    /// For example `http://db-api:8001`; a path before the API's own paths is kept.
    pub base_url: String,
    /// Time for one request about records, from connecting to the last byte.
    pub timeout: Duration,
    /// Time for one request about conversations.
    pub chat_log_timeout: Duration,
}

impl DbApiConfig {
    /// CarePath's own times: 30 s for records, 10 s for conversations.
    pub fn new(base_url: impl Into<String>) -> Self {
        let seconds = Duration::from_secs;
        Self { base_url: base_url.into(), timeout: seconds(30), chat_log_timeout: seconds(10) }
    }
}

/// CarePath's DB API as both stores.
///
/// Requests go straight to it, never through a proxy of the environment, and follow no redirect:
/// they carry patients' words. None is repeated.
#[derive(Debug, Clone)]
pub struct DbApi {
    pub(super) records: Transport,
    pub(super) chat_logs: Transport,
}

impl DbApi {
    /// Prepares requests to the API; sends none.
    ///
    /// # Errors
    /// [`StoreError::Upstream`] when the base address is not one of HTTP.
    pub fn new(config: DbApiConfig) -> Result<Self, StoreError> {
        Ok(Self {
            records: Transport::new(&config.base_url, config.timeout)?,
            chat_logs: Transport::new(&config.base_url, config.chat_log_timeout)?,
        })
    }
}

/// Asks whether the API answers and has its database. An API without `/health/db` is asked for
/// `/health`.
pub(super) async fn ping(transport: &Transport) -> Result<(), StoreError> {
    let health: Option<Document> = match transport.get(&["health", "db"], &[]).await? {
        None => transport.get(&["health"], &[]).await?,
        found => found,
    };
    let health = health.ok_or_else(|| upstream("it has no health page"))?;
    match health.get("connected").and_then(serde_json::Value::as_bool) {
        Some(false) => Err(upstream("its database is not connected")),
        _ => Ok(()),
    }
}
