//! Owns `fetch-model pin` and `unpin`: the version that is meant is printed.

use model_cache::{ModelCache, ModelSpec};

use super::{Ended, Failure, print};

pub(super) fn pin(cache: &ModelCache, model: &ModelSpec) -> Result<Ended, Failure> {
    say(model, &cache.pin(model)?)
}

pub(super) fn unpin(cache: &ModelCache, model: &ModelSpec) -> Result<Ended, Failure> {
    say(model, &cache.unpin(model)?)
}

fn say(model: &ModelSpec, commit: &str) -> Result<Ended, Failure> {
    if let ModelSpec::Hub { repo, .. } = model {
        print(&format!("{repo}@{commit}"))?;
    }
    Ok(Ended::Well)
}
