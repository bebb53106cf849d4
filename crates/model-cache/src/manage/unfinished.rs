//! Owns what is known of downloads that did not end: ours, and those of `huggingface_hub`.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::entries::{entries, walk};
use super::repository::Repository;
use crate::listing::Listing;
use crate::{CacheError, Digest, RepoId, lease};

/// A file that was being downloaded, and may still be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// The repository.
    pub repo: RepoId,
    /// The file, as the repository calls it, when that is known.
    pub file: Option<String>,
    /// The folder or file with its bytes.
    pub path: PathBuf,
    /// How many bytes of it are on the disk.
    pub bytes: u64,
    /// When the last byte came in.
    pub last_change: Option<SystemTime>,
    /// Whether a process that is not known to be gone is working on it.
    pub live: bool,
}

/// The unfinished downloads of a repository.
pub(super) fn unfinished(repository: &Repository) -> Result<Vec<Unfinished>, CacheError> {
    let layout = &repository.layout;
    let mut found = Vec::new();
    for entry in entries(&layout.partials())? {
        let digest = entry.path().file_stem().and_then(|stem| Digest::parse(stem.to_str()?));
        let live = digest.as_ref().map_or(Ok(false), |digest| lease::is_live(&layout.lease(digest)))?;
        let file = digest.map_or(Ok(None), |digest| name(repository, &digest))?;
        found.push(Unfinished { file, live, ..on_disk(repository, entry.path())? });
    }
    for entry in entries(&layout.blobs())? {
        let path = entry.path();
        if let Some(etag) = path.file_name().and_then(|name| name.to_str()?.split_once('.'))
            && path.extension().is_some_and(|extension| extension == "incomplete")
        {
            found.push(Unfinished {
                live: is_locked(&layout.foreign_lock(etag.0)),
                ..on_disk(repository, path.clone())?
            });
        }
    }
    Ok(found)
}

fn on_disk(repository: &Repository, path: PathBuf) -> Result<Unfinished, CacheError> {
    let files =
        if path.is_dir() { walk(&path)?.into_iter().map(|(path, _)| path).collect() } else { vec![path.clone()] };
    let known: Vec<_> = files.iter().filter_map(|path| path.symlink_metadata().ok()).collect();
    // The file is sparse: its length is that of the whole.
    let bytes = known.iter().map(|metadata| metadata.len().min(metadata.blocks() * 512)).sum();
    let last_change = known.iter().filter_map(|metadata| metadata.modified().ok()).max();
    Ok(Unfinished { repo: repository.repo.clone(), file: None, path, bytes, last_change, live: false })
}

fn name(repository: &Repository, digest: &Digest) -> Result<Option<String>, CacheError> {
    for commit in repository.listed()? {
        let listing = Listing::read(&repository.layout.listing(&commit))?.unwrap_or_default();
        if let Some(file) = listing.files.into_iter().find(|file| file.digest == *digest) {
            return Ok(Some(file.path));
        }
    }
    Ok(None)
}

/// Whether `huggingface_hub` holds its lock on a file.
pub(super) fn is_locked(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}
