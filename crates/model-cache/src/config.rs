//! Owns what a cache must be told: where it lies and how it reaches the Hub. Reads nothing from the environment.

use std::path::PathBuf;
use std::time::Duration;

use crate::{AccessToken, AllowList, FetchLimits, ModelsLock, Selection};

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
    /// When a branch that is in the cache is asked for again.
    pub refresh: Refresh,
    /// Which repositories may be used at all.
    pub allowed: AllowList,
    /// Which files of a checkpoint are fetched.
    pub selection: Selection,
    /// How long a download may take.
    pub limits: FetchLimits,
    /// The commits and digests that models must have; `None` takes what the Hub has.
    pub lock: Option<ModelsLock>,
}

impl CacheConfig {
    /// A cache in `dir` that downloads from the Hub itself, without a token, what is missing and nothing else.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            endpoint: None,
            token: None,
            network: Network::Online,
            refresh: Refresh::Never,
            allowed: AllowList::default(),
            selection: Selection::default(),
            limits: FetchLimits::default(),
            lock: None,
        }
    }
}

/// When a branch or tag that is in the cache is compared with the Hub's. A commit never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Not at all: what is there is used.
    Never,
    /// When the last comparison is longer ago than this.
    After(Duration),
    /// Each time.
    Always,
}

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Missing models are downloaded.
    Online,
    /// Only what is in the cache is used; a missing model is [`CacheError::NotCached`](crate::CacheError::NotCached).
    Offline,
}
