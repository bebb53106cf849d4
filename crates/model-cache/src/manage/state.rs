//! Owns the judgement on one version in the cache: is it a model, and is it whole? Must not know what is done about it.

use std::collections::BTreeSet;
use std::path::Path;

use super::contents::{Bytes, Content};
use crate::listing::Listing;
use crate::resolve::resolve;
use crate::{AllowList, CacheConfig, CacheError, Fault, ModelSpec, Network, Problem, RepoId, weight_file};

const OUTSIDE: &str = "it is a link out of its repository";

/// What a version in the cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelState {
    /// A checkpoint with all its files.
    Whole,
    /// No checkpoint, but one or more GGUF files.
    GgufOnly,
    /// Files are missing or broken.
    Incomplete(Vec<Fault>),
}

/// Judges a snapshot by the names, lengths and headers of its files.
pub(super) fn of_snapshot(
    config: &CacheConfig,
    repo: &RepoId,
    commit: &str,
    contents: &[Content],
    listing: &Listing,
) -> Result<ModelState, CacheError> {
    let mut faults = Vec::new();
    for content in contents.iter().filter(|content| is_gguf(&content.name) && content.bytes != Bytes::Outside) {
        let listed = listing.file(&content.name).map(|listed| listed.size);
        match content.readable().map(weight_file::gguf).transpose()? {
            None => faults.push(Fault::new(&content.name, Problem::Missing)),
            Some(Some(problem)) => faults.push(Fault::new(&content.name, problem)),
            Some(None) => match (listed, content.size()) {
                (Some(expected), actual) if expected != actual => {
                    faults.push(Fault::new(&content.name, Problem::Length { expected, actual }));
                }
                _ => {}
            },
        }
    }
    let any_gguf = contents.iter().any(|content| is_gguf(&content.name));
    let any_weights = contents.iter().any(|content| content.name.ends_with(".safetensors"));
    if any_gguf && !any_weights && listing.checkpoint.is_empty() {
        // What lies beside a GGUF (a configuration, a template) is not the rest of a checkpoint.
        return Ok(if faults.is_empty() { ModelState::GgufOnly } else { ModelState::Incomplete(faults) });
    }
    let outside = contents.iter().filter(|content| content.bytes == Bytes::Outside);
    faults.extend(outside.map(|content| Fault::new(&content.name, Problem::Malformed(OUTSIDE.to_owned()))));
    if contents.iter().any(|content| content.bytes == Bytes::Outside) {
        // What is behind such a link is not read, not even its header.
        let needed = ["config.json", "tokenizer.json"].into_iter().chain(listing.checkpoint.iter().map(String::as_str));
        let absent: BTreeSet<_> = needed.filter(|name| contents.iter().all(|content| content.name != *name)).collect();
        faults.extend(absent.into_iter().map(|name| Fault::new(name, Problem::Missing)));
        return Ok(ModelState::Incomplete(faults));
    }
    // The clinic's list and lock file say what may be used, not what is there.
    let anything =
        CacheConfig { network: Network::Offline, allowed: AllowList::default(), lock: None, ..config.clone() };
    let spec = ModelSpec::Hub { repo: repo.clone(), revision: Some(commit.to_owned()), file: None };
    match resolve(&anything, &spec) {
        Ok(_) => {}
        Err(CacheError::Incomplete { missing, .. }) => faults.extend(missing),
        Err(CacheError::NotCached { .. }) => {
            faults.extend(["config.json", "model.safetensors"].map(|file| Fault::new(file, Problem::Missing)));
        }
        Err(error) => return Err(error),
    }
    Ok(if faults.is_empty() { ModelState::Whole } else { ModelState::Incomplete(faults) })
}

/// Whether a name is that of a GGUF file.
pub(super) fn is_gguf(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}
