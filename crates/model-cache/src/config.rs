//! Owns what a cache must be told: where it lies and how it reaches the Hub. Reads nothing from the environment.

use std::path::PathBuf;

use crate::AccessToken;

/// Everything that a [`ModelCache`](crate::ModelCache) depends on.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// The directory that holds `models--owner--name` folders. Made on the first download.
    pub dir: PathBuf,
    /// The Hub or a mirror of it, as an `http://` or `https://` URL; `None` is `https://huggingface.co`.
    pub endpoint: Option<String>,
    /// Sent to the endpoint, and to no other host that the endpoint redirects to.
    pub token: Option<AccessToken>,
    /// Whether [`fetch`](crate::ModelCache::fetch) may download.
    pub network: Network,
}

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Missing models are downloaded.
    Online,
    /// Only what is in the cache is used; a missing model is [`CacheError::NotCached`](crate::CacheError::NotCached).
    Offline,
}
