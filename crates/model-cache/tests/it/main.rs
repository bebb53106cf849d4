//! The cache against a Hub on loopback and against directories as they are found in the field.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod directories;
mod fetching;
mod hub;
mod refusals;
mod sample;
mod specs;

use std::path::Path;

use model_cache::{CacheConfig, ModelCache, ModelSpec, Network};

/// A cache without a Hub: any request would fail.
fn offline(dir: &Path) -> ModelCache {
    cache(CacheConfig { network: Network::Offline, ..config(dir, "http://127.0.0.1:1") })
}

fn online(dir: &Path, hub: &hub::Hub) -> ModelCache {
    cache(config(dir, &hub.url()))
}

fn cache(config: CacheConfig) -> ModelCache {
    ModelCache::new(config).unwrap()
}

fn config(dir: &Path, endpoint: &str) -> CacheConfig {
    CacheConfig { dir: dir.to_owned(), endpoint: Some(endpoint.to_owned()), token: None, network: Network::Online }
}

fn spec(text: &str) -> ModelSpec {
    text.parse().unwrap()
}
