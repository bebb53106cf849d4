//! The cache against a Hub on loopback and against directories as they are found in the field.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod directories;
mod disk;
mod fetching;
mod hostile;
#[expect(dead_code, reason = "other programs use the rest")]
#[path = "../hub/mod.rs"]
mod hub;
mod leases;
mod manage;
mod manage_fetched;
mod python;
mod refreshing;
mod refusals;
mod resuming;
mod specs;
mod troubles;
mod troubles_met;
mod volumes;

use std::path::Path;
use std::time::Duration;

use model_cache::{CacheConfig, FetchLimits, ModelCache, ModelSpec, Network};

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
    CacheConfig { endpoint: Some(endpoint.to_owned()), limits: limits(), ..CacheConfig::new(dir) }
}

/// The patience of somebody who is in a hurry: a Hub on loopback that does not answer at once will not.
fn limits() -> FetchLimits {
    FetchLimits {
        stall: Duration::from_secs(1),
        retries: 4,
        first_delay: Duration::from_millis(10),
        longest_delay: Duration::from_secs(2),
        ..FetchLimits::default()
    }
}

/// Waits until something holds; false when it never does.
fn eventually(holds: impl Fn() -> bool) -> bool {
    (0..3000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        holds()
    })
}

fn spec(text: &str) -> ModelSpec {
    text.parse().unwrap()
}
