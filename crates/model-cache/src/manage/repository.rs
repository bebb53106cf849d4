//! Owns what is in a cache by name: repositories, their commits, branches and pins. Must not look into files of models.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::entries::{entries, is_real_folder, is_temporary, walk};
use crate::layout::{self, Layout};
use crate::{CacheError, RepoId, lease};

/// One repository of a cache.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) repo: RepoId,
    pub(super) layout: Layout,
}

/// The repositories that have a folder in the layout of `huggingface_hub`.
pub(super) fn repositories(dir: &Path) -> Result<Vec<Repository>, CacheError> {
    let found = named(dir, "models--")?;
    Ok(found.into_iter().map(|(repo, _)| Repository { layout: Layout::new(dir, &repo), repo }).collect())
}

/// The folders of CarePath's Python service, with the repository that each is of.
pub(super) fn python_services(dir: &Path) -> Result<Vec<(RepoId, PathBuf)>, CacheError> {
    // No owner is called `models`: what begins so is the folder of a repository, or of none.
    Ok(named(dir, "")?.into_iter().filter(|(repo, _)| repo.owner() != "models").collect())
}

fn named(dir: &Path, prefix: &str) -> Result<Vec<(RepoId, PathBuf)>, CacheError> {
    let mut found = Vec::new();
    for entry in entries(dir)? {
        let name = entry.file_name().into_string().unwrap_or_default();
        let parts = name.strip_prefix(prefix).and_then(|name| name.split_once("--"));
        let repo = parts.and_then(|(owner, name)| format!("{owner}/{name}").parse().ok());
        if let Some(repo) = repo
            && entry.path().is_dir()
        {
            found.push((repo, entry.path()));
        }
    }
    Ok(found)
}

impl Repository {
    /// Whether its folders are folders: what is reached through a link may belong to somebody else.
    pub(super) fn is_our_own(&self) -> bool {
        let layout = &self.layout;
        let inner = [layout.blobs(), layout.snapshots(), layout.references(), layout.partials()];
        is_real_folder(layout.root()) && inner.iter().all(|folder| !folder.is_symlink())
    }

    /// The commits that have a folder.
    pub(super) fn commits(&self) -> Result<Vec<String>, CacheError> {
        let names = self.snapshot_names()?;
        Ok(names.into_iter().filter(|name| layout::is_commit(name)).collect())
    }

    /// All folders of snapshots, whoever made them and whatever they are called; none that is on its way out.
    pub(super) fn snapshot_names(&self) -> Result<Vec<String>, CacheError> {
        let entries = entries(&self.layout.snapshots())?;
        let folders = entries.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| !is_temporary(name)).collect())
    }

    /// The branches and tags, with their commits.
    pub(super) fn references(&self) -> Result<BTreeMap<String, String>, CacheError> {
        let mut found = BTreeMap::new();
        for (path, name) in walk(&self.layout.references())? {
            if is_temporary(&name) || path.is_symlink() {
                continue;
            }
            let text = fs::read(&path).map_err(|error| CacheError::io(&path, error))?;
            let commit = String::from_utf8_lossy(&text).trim().to_owned();
            if layout::is_commit(&commit) {
                found.insert(name, commit);
            }
        }
        Ok(found)
    }

    /// The branches and tags that are this commit.
    pub(super) fn references_to(&self, commit: &str) -> Result<Vec<String>, CacheError> {
        let references = self.references()?.into_iter();
        Ok(references.filter(|(_, target)| target == commit).map(|(name, _)| name).collect())
    }

    /// Whether somebody has said that the commit is to be kept.
    pub(super) fn is_pinned(&self, commit: &str) -> bool {
        self.layout.pin(commit).exists()
    }

    /// The commits that a listing is kept of.
    pub(super) fn listed(&self) -> Result<BTreeSet<String>, CacheError> {
        let names =
            entries(&self.layout.listings())?.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
        let commits = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned));
        Ok(commits.filter(|name| layout::is_commit(name)).collect())
    }

    /// Whether a process is fetching files of the repository.
    pub(super) fn is_busy(&self) -> Result<bool, CacheError> {
        for entry in entries(self.layout.locks())? {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "lease") && lease::is_live(&path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
