//! Owns the wish to keep a version: a marker file, named by the commit. Must not know what would remove it.

use super::repository::Repository;
use crate::layout::{DEFAULT_REVISION, Layout};
use crate::{CacheError, ModelCache, ModelSpec, resolve, write};

impl ModelCache {
    /// Keeps a version that is in the cache, until it is unpinned, and says which commit that is. Blocks.
    ///
    /// # Errors
    ///
    /// Those of [`resolve`](ModelCache::resolve); [`CacheError::InvalidSpec`] for what is no version of a repository:
    /// a path, or a directory of the Python service.
    pub fn pin(&self, spec: &ModelSpec) -> Result<String, CacheError> {
        let files = self.resolve(spec)?;
        let (ModelSpec::Hub { repo, .. }, Some(commit)) = (spec, files.revision) else { return Err(no_version(spec)) };
        write::atomically(&Layout::new(&self.config().dir, repo).pin(&commit), b"")?;
        Ok(commit)
    }

    /// Lets a version go that was pinned, whether it is whole or not, and says which commit that is. One that was not
    /// pinned stays as it is. Blocks.
    ///
    /// # Errors
    ///
    /// [`CacheError::NotCached`] when the cache does not know the revision, [`CacheError::InvalidSpec`] and
    /// [`CacheError::Io`].
    pub fn unpin(&self, spec: &ModelSpec) -> Result<String, CacheError> {
        spec.validate()?;
        let ModelSpec::Hub { repo, revision, .. } = spec else { return Err(no_version(spec)) };
        let layout = Layout::new(&self.config().dir, repo);
        let commit = resolve::commit(&layout, revision.as_deref().unwrap_or(DEFAULT_REVISION))?;
        let repository = Repository { repo: repo.clone(), layout };
        let known = |commit: &String| repository.layout.snapshot(commit).is_dir() || repository.is_pinned(commit);
        let Some(commit) = commit.filter(known) else { return Err(self.not_cached(spec)) };
        write::remove(&repository.layout.pin(&commit))?;
        Ok(commit)
    }

    pub(super) fn not_cached(&self, spec: &ModelSpec) -> CacheError {
        let config = self.config();
        CacheError::NotCached { model: spec.to_string(), dir: config.dir.clone(), network: config.network }
    }
}

fn no_version(spec: &ModelSpec) -> CacheError {
    CacheError::InvalidSpec {
        spec: spec.to_string(),
        reason: "only a version of a repository in the cache can be pinned",
    }
}
