//! Owns the list of what a cache holds: each version with its size, its names, its state and its last use.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::contents::{Blobs, Content};
use super::entries::walk;
use super::last_use::{Unread, last_use};
use super::repository::{Repository, python_services, repositories};
use super::state::{self, ModelState};
use super::unfinished::{Unfinished, unfinished};
use crate::in_use::{Probe, Signs};
use crate::listing::Listing;
use crate::{CacheConfig, CacheError, ModelCache, RepoId, checkpoint};

/// Everything that a cache holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// Each version of each model, in the order of their names.
    pub models: Vec<CachedModel>,
    /// Downloads that did not end.
    pub unfinished: Vec<Unfinished>,
    /// The size of all models together, bytes that several share counted once.
    pub size: u64,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedModel {
    /// The repository.
    pub repo: RepoId,
    /// Which version; `None` for a directory of CarePath's Python service, which does not record it.
    pub commit: Option<String>,
    /// The branches and tags that are this version.
    pub references: Vec<String>,
    /// Where its files lie.
    pub path: PathBuf,
    /// How many files it has.
    pub files: usize,
    /// Its size on the disk, in bytes.
    pub size: u64,
    /// How many of those bytes other versions have as well.
    pub shared: u64,
    /// Whether it is whole.
    pub state: ModelState,
    /// Its GGUF files, relative to `path`.
    pub ggufs: Vec<String>,
    /// Whether somebody said that it is to be kept.
    pub pinned: bool,
    /// Whether a process holds it.
    pub in_use: bool,
    /// When its files were last read, as far as the volume notes that.
    pub last_use: Option<SystemTime>,
}

impl ModelCache {
    /// Lists what the cache holds. Changes nothing, so it works on a read-only volume; blocks.
    ///
    /// # Errors
    ///
    /// [`CacheError::Io`] when the directory cannot be read. One that does not exist holds nothing.
    pub fn list(&self) -> Result<Inventory, CacheError> {
        let config = self.config();
        let mut inventory = Inventory::default();
        for repository in repositories(&config.dir)? {
            let blobs = Blobs::of(&repository)?;
            let snapshots = snapshots(&repository, &blobs)?;
            let uses = uses(&snapshots);
            inventory.size +=
                uses.keys().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum::<u64>();
            for (commit, contents) in &snapshots {
                inventory.models.push(version(config, &repository, (commit, contents), &uses)?);
            }
            inventory.unfinished.extend(unfinished(&repository)?);
        }
        for (repo, path) in python_services(&config.dir)? {
            let model = of_python_service(repo, path)?;
            inventory.size += model.size;
            inventory.models.push(model);
        }
        inventory.models.sort_by(|a, b| (&a.repo, &a.commit).cmp(&(&b.repo, &b.commit)));
        Ok(inventory)
    }
}

/// The commits of a repository with their files.
pub(super) fn snapshots(repository: &Repository, blobs: &Blobs) -> Result<Vec<(String, Vec<Content>)>, CacheError> {
    let commits = repository.commits()?.into_iter();
    commits
        .map(|commit| Ok((blobs.contents(&repository.layout.snapshot(&commit))?, commit)))
        .map(|found: Result<_, CacheError>| found.map(|(contents, commit)| (commit, contents)))
        .collect()
}

/// In how many versions each file with bytes occurs.
pub(super) fn uses(snapshots: &[(String, Vec<Content>)]) -> HashMap<PathBuf, usize> {
    let mut uses = HashMap::new();
    for (_, contents) in snapshots {
        for path in distinct(contents) {
            *uses.entry(path.to_owned()).or_default() += 1;
        }
    }
    uses
}

/// The files with bytes that a version consists of, each once.
pub(super) fn distinct(contents: &[Content]) -> HashSet<&Path> {
    contents.iter().filter_map(Content::readable).collect()
}

/// When a version was last read: by the files that no other version has, if there are any.
pub(super) fn version_last_use(contents: &[Content], uses: &HashMap<PathBuf, usize>) -> Option<SystemTime> {
    let all = distinct(contents);
    let own: Vec<_> = all.iter().copied().filter(|path| uses.get(*path).is_none_or(|uses| *uses < 2)).collect();
    if own.is_empty() { last_use(all.into_iter()) } else { last_use(own.into_iter()) }
}

/// The files by which a version can be seen to be in use; what a link leads out to is not opened.
pub(super) fn signs(contents: &[Content]) -> Signs {
    let mut signs = Signs::default();
    for content in contents {
        if let Some(path) = content.readable() {
            signs.add(&content.name, path);
        }
    }
    signs
}

fn version(
    config: &CacheConfig,
    repository: &Repository,
    (commit, contents): (&str, &[Content]),
    uses: &HashMap<PathBuf, usize>,
) -> Result<CachedModel, CacheError> {
    let path = repository.layout.snapshot(commit);
    let files = distinct(contents);
    let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let last_use = version_last_use(contents, uses);
    let _unread = Unread::of(files.iter().copied());
    let listing = Listing::read(&repository.layout.listing(commit))?.unwrap_or_default();
    let ggufs = contents.iter().map(|content| &content.name).filter(|name| state::is_gguf(name));
    Ok(CachedModel {
        repo: repository.repo.clone(),
        references: repository.references_to(commit)?,
        files: contents.len(),
        size: files.iter().map(|path| length(path)).sum(),
        shared: files
            .iter()
            .filter(|path| uses.get(**path).is_some_and(|uses| *uses > 1))
            .map(|path| length(path))
            .sum(),
        state: state::of_snapshot(config, &repository.repo, commit, contents, &listing)?,
        ggufs: ggufs.cloned().collect(),
        pinned: repository.is_pinned(commit),
        in_use: matches!(signs(contents).probe(&HashSet::new()), Probe::InUse),
        last_use,
        commit: Some(commit.to_owned()),
        path,
    })
}

fn of_python_service(repo: RepoId, path: PathBuf) -> Result<CachedModel, CacheError> {
    let files = walk(&path)?;
    let paths = || files.iter().map(|(path, _)| path.as_path());
    let last_use = last_use(paths());
    let _unread = Unread::of(paths());
    let faults = checkpoint::faults(&path)?;
    let mut signs = Signs::default();
    files.iter().for_each(|(path, name)| signs.add(name, path));
    Ok(CachedModel {
        repo,
        commit: None,
        references: Vec::new(),
        files: files.len(),
        size: paths().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum(),
        shared: 0,
        state: if faults.is_empty() { ModelState::Whole } else { ModelState::Incomplete(faults) },
        ggufs: files.iter().map(|(_, name)| name).filter(|name| state::is_gguf(name)).cloned().collect(),
        pinned: false,
        in_use: matches!(signs.probe(&HashSet::new()), Probe::InUse),
        last_use,
        path,
    })
}
