//! Owns what a cached model is locked to: its commit, and the size and digest of each file that is fetched.

use std::collections::BTreeMap;

use super::contents::Blobs;
use super::repository::Repository;
use crate::layout::Layout;
use crate::listing::Listing;
use crate::{CacheConfig, CacheError, Fault, LockedFile, LockedModel, ModelCache, ModelSpec, Problem, resolve};

impl ModelCache {
    /// What a model of the cache is to be locked to in a [`ModelsLock`](crate::ModelsLock), whatever it is locked to
    /// now. Reads names and lengths, no bytes; blocks.
    ///
    /// # Errors
    ///
    /// Those of [`resolve`](ModelCache::resolve); [`CacheError::InvalidSpec`] for what is no version of a repository,
    /// and [`CacheError::Incomplete`] when nobody has said what the bytes of a file add up to.
    pub fn lock_entry(&self, spec: &ModelSpec) -> Result<LockedModel, CacheError> {
        let config = CacheConfig { lock: None, ..self.config().clone() };
        let files = resolve::resolve(&config, spec)?;
        let (ModelSpec::Hub { repo, file, .. }, Some(commit)) = (spec, files.revision) else {
            let reason = "only a version of a repository in the cache can be locked";
            return Err(CacheError::InvalidSpec { spec: spec.to_string(), reason });
        };
        let repository = Repository { repo: repo.clone(), layout: Layout::new(&config.dir, repo) };
        let snapshot = repository.layout.snapshot(&commit);
        let listing = Listing::read(&repository.layout.listing(&commit))?.unwrap_or_default();
        let mut locked = BTreeMap::new();
        for content in Blobs::of(&repository)?.contents(&snapshot)? {
            // A locked fetch compares the files that it selects, so these must be the same.
            let is_meant = match file {
                Some(file) => content.name == *file,
                None => config.selection.wants(&content.name),
            };
            if !is_meant {
                continue;
            }
            let Some(digest) = content.digest(&listing) else {
                let problem = Problem::Malformed("its digest is not known; fetch it again".to_owned());
                return Err(CacheError::Incomplete {
                    path: snapshot,
                    missing: vec![Fault::new(&content.name, problem)],
                });
            };
            let entry = LockedFile { size: content.size(), digest: digest.hex().to_owned() };
            locked.insert(content.name, entry);
        }
        Ok(LockedModel { commit, files: locked })
    }
}
