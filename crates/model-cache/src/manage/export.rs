//! Owns taking a model out of the cache, as a plain directory that can be carried to a machine without a network.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::contents::{Blobs, Content};
use super::copy::{copy, mismatch};
use super::entries::walk;
use super::gauge::Gauge;
use super::last_use::Unread;
use super::manifest::{Entry, MANIFEST, Manifest};
use super::repository::Repository;
use super::source::like_the_hub;
use crate::layout::{self, DEFAULT_REVISION, Layout};
use crate::listing::Listing;
use crate::{CacheError, Digest, ModelCache, ModelFiles, ModelSpec, RepoId, WorkEvent, space};

/// A model that was taken out of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The directory.
    pub path: PathBuf,
    /// Which version it is, where that is known.
    pub commit: Option<String>,
    /// How many files it has, `model.json` not counted.
    pub files: usize,
    /// Their size together, in bytes.
    pub bytes: u64,
}

/// A file that is to be copied.
struct Item {
    name: String,
    from: PathBuf,
    size: u64,
    digest: Option<Digest>,
}

impl ModelCache {
    /// Copies a model of the cache into the new directory `target`, as plain files, with a `model.json` that says what
    /// it is and what its bytes add up to. [`import`](ModelCache::import) reads it. Each file is verified as it is
    /// copied; the directory gets its name when it is complete. Blocks.
    ///
    /// # Errors
    ///
    /// Those of [`resolve`](ModelCache::resolve); [`CacheError::InvalidSpec`] for a path, [`CacheError::Incomplete`]
    /// when bytes are not those of their digest, [`CacheError::NoSpace`], and [`CacheError::Io`], also when `target`
    /// exists.
    pub fn export(
        &self,
        spec: &ModelSpec,
        target: &Path,
        progress: &(dyn Fn(WorkEvent) + Sync),
    ) -> Result<Exported, CacheError> {
        let ModelSpec::Hub { repo, revision, file } = spec else {
            let reason = "only a model of the cache can be exported; this is a path already";
            return Err(CacheError::InvalidSpec { spec: spec.to_string(), reason });
        };
        let files = self.resolve(spec)?;
        if fs::symlink_metadata(target).is_ok() {
            return Err(CacheError::io(target, ErrorKind::AlreadyExists.into()));
        }
        // Held until all is copied, so that no prune takes the rest away.
        let _in_use = files.hold()?;
        let items = self.items(repo, &files, file.as_deref())?;
        let _unread = Unread::of(items.iter().map(|item| item.from.as_path()));
        let bytes = items.iter().map(|item| item.size).fold(0, u64::saturating_add);
        let available = space::available(target).map_err(|error| CacheError::io(target, error))?;
        if bytes > available {
            return Err(CacheError::NoSpace { path: target.to_owned(), needed: Some(bytes), available });
        }
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", Uuid::new_v4().simple()));
        let temporary = target.with_file_name(name);
        let manifest = Manifest {
            repo: repo.to_string(),
            commit: files.revision.clone(),
            revision: Some(revision.clone().unwrap_or_else(|| DEFAULT_REVISION.to_owned()))
                .filter(|revision| files.revision.is_some() && !layout::is_commit(revision)),
            files: Vec::new(),
        };
        let gauge = Gauge::start(items.len(), bytes, progress);
        let filled = fill(&temporary, manifest, &items, &gauge)
            .and_then(|()| fs::rename(&temporary, target).map_err(|error| CacheError::io(target, error)));
        if let Err(error) = filled {
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        Ok(Exported { path: target.to_owned(), commit: files.revision, files: items.len(), bytes })
    }

    fn items(&self, repo: &RepoId, files: &ModelFiles, file: Option<&str>) -> Result<Vec<Item>, CacheError> {
        let Some(commit) = &files.revision else {
            let found = walk(&files.path)?.into_iter().filter(|(_, name)| crate::checkpoint::wants(name));
            let item = |(from, name): (PathBuf, String)| {
                let size = from.metadata().map_err(|error| CacheError::io(&from, error))?.len();
                Ok(Item { name, from, size, digest: None })
            };
            return found.map(item).collect();
        };
        let layout = Layout::new(&self.config().dir, repo);
        let repository = Repository { repo: repo.clone(), layout };
        let listing = Listing::read(&repository.layout.listing(commit))?.unwrap_or_default();
        let contents = Blobs::of(&repository)?.contents(&repository.layout.snapshot(commit))?;
        // Without a name, the checkpoint is meant, and not the GGUF files that may lie beside it.
        let is_meant = |content: &&Content| {
            let name = content.name.as_str();
            name != MANIFEST && file.map_or_else(|| !super::state::is_gguf(name), |file| file == name)
        };
        let item = |content: &Content| {
            let from = content.readable()?.to_owned();
            Some(Item { name: content.name.clone(), from, size: content.size(), digest: content.digest(&listing) })
        };
        Ok(contents.iter().filter(is_meant).filter_map(item).collect())
    }
}

fn fill(folder: &Path, mut manifest: Manifest, items: &[Item], gauge: &Gauge<'_>) -> Result<(), CacheError> {
    for item in items {
        let like = item.digest.clone().unwrap_or_else(|| like_the_hub(&item.name, item.size));
        let (actual, size) = copy(&item.from, &folder.join(&item.name), &item.name, &like, gauge)?;
        if let Some(expected) = item.digest.as_ref().filter(|expected| **expected != actual) {
            let cached = item.from.parent().unwrap_or(&item.from);
            return Err(mismatch(cached, &item.name, expected, &actual));
        }
        manifest.files.push(Entry { path: item.name.clone(), size, digest: actual.hex().to_owned() });
    }
    manifest.write(folder)
}
