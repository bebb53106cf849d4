//! Owns `fetch-model import` and `export`: a model goes in or out without a network, and its path is printed.

use std::path::Path;

use model_cache::{ModelCache, ModelSpec, RepoId};

use super::{Ended, Failure, print};
use crate::progress::Display;

pub(super) fn import(cache: &ModelCache, source: &Path, repo: &RepoId, display: &Display) -> Result<Ended, Failure> {
    let files = cache.import(source, repo, &|event| display.show(event))?;
    display.close();
    print(&files.path.display().to_string())?;
    Ok(Ended::Well)
}

pub(super) fn export(
    cache: &ModelCache,
    model: &ModelSpec,
    target: &Path,
    display: &Display,
) -> Result<Ended, Failure> {
    let exported = cache.export(model, target, &|event| display.show(event))?;
    display.close();
    print(&exported.path.display().to_string())?;
    Ok(Ended::Well)
}
