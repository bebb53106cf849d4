//! Owns `fetch-model [MODEL]`: the model is there afterwards, and its path is printed.

use anyhow::Context;
use model_cache::{CacheError, ModelCache};

use super::{Ended, Failure, print, usage};
use crate::progress::Display;
use crate::settings::FetchSettings;

pub(super) fn run(settings: FetchSettings, display: &Display) -> Result<Ended, Failure> {
    let FetchSettings { model, cache, lock } = settings;
    let cache = ModelCache::new(cache).map_err(usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let fetched: Result<_, CacheError> = runtime.block_on(cache.fetch(&model, &|event| display.show(event)));
    let files = fetched?;
    display.close();
    if let Some(lock) = lock {
        lock.update(&model, cache.lock_entry(&model)?)?;
    }
    print(&files.path.display().to_string())?;
    Ok(Ended::Well)
}
