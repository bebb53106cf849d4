//! Owns the order in which things go, so that an interruption leaves nothing half there: names, then files, then bytes.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use uuid::Uuid;

use super::contents::Blobs;
use super::leftovers::Leftover;
use super::plan::{Doomed, Plan, linked};
use super::prune::Removed;
use super::repository::Repository;
use crate::{CacheError, resolve, write};

/// Something that went, with the bytes that became free.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) what: Removed,
    pub(super) bytes: u64,
}

impl Plan<'_> {
    /// What would go.
    pub(super) fn report(self) -> Vec<Gone> {
        let repository = self.repository;
        let versions = self.versions.into_iter().map(|doomed| version(repository, doomed));
        let leftovers = self.leftovers.into_iter().map(leftover);
        let unfinished = self.unfinished.into_iter().map(unfinished);
        let blobs = self.blobs.into_iter().map(blob);
        versions.chain(leftovers).chain(unfinished).chain(blobs).collect()
    }

    /// Removes it.
    pub(super) fn carry_out(self) -> Result<Vec<Gone>, CacheError> {
        let repository = self.repository;
        let mut gone = Vec::new();
        for doomed in self.versions {
            // Somebody may have pinned it since, and the branch may have come to it.
            let is_as_planned = repository.references_to(&doomed.commit)? == doomed.references;
            if is_as_planned && !repository.is_pinned(&doomed.commit) {
                remove_version(repository, &doomed)?;
                gone.push(version(repository, doomed));
            }
        }
        for left in self.leftovers {
            match &left {
                Leftover::File(path) => write::remove(path)?,
                Leftover::Folder(path) => remove_folder(path)?,
            }
            gone.push(leftover(left));
        }
        // Whoever has begun to fetch since may count on what is there.
        if !repository.is_busy()? {
            for (path, bytes) in self.unfinished {
                if path.is_dir() {
                    remove_folder(&path)?
                } else {
                    write::remove(&path)?
                }
                gone.push(unfinished((path, bytes)));
            }
            let linked = linked(repository, &Blobs::of(repository)?, &HashSet::new())?;
            for (path, bytes) in self.blobs.into_iter().filter(|(path, _)| !linked.contains(path)) {
                write::remove(&path)?;
                gone.push(blob((path, bytes)));
            }
        }
        if !gone.is_empty() {
            remove_if_empty(repository);
        }
        Ok(gone)
    }
}

/// The branch goes first, then the whole version in one step, then its files.
fn remove_version(repository: &Repository, doomed: &Doomed) -> Result<(), CacheError> {
    let layout = &repository.layout;
    for reference in &doomed.references {
        if resolve::commit(layout, reference)?.is_some_and(|commit| commit == doomed.commit) {
            write::remove(&layout.reference(reference))?;
        }
    }
    let snapshot = layout.snapshot(&doomed.commit);
    let aside = layout.snapshots().join(format!("{}.{}.tmp", doomed.commit, Uuid::new_v4().simple()));
    match fs::rename(&snapshot, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| CacheError::io(&snapshot, error))?,
    }
    remove_folder(&aside)
}

/// Removes links, not what they lead to.
fn remove_folder(path: &Path) -> Result<(), CacheError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CacheError::io(path, error)),
        _ => Ok(()),
    }
}

/// Removes the folders of a repository of which nothing is left; what is not empty stays, and that is no failure.
fn remove_if_empty(repository: &Repository) {
    let layout = &repository.layout;
    let absent = layout.absent("");
    let [snapshots, blobs, partials] = [layout.snapshots(), layout.blobs(), layout.partials()];
    let [references, listings, pins] = [layout.references(), layout.listings(), layout.pins()];
    let is_empty = |folder: &Path| fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if is_empty(&snapshots) && is_empty(&blobs) && is_empty(&partials) {
        for folder in [&references, &listings, &pins, &absent, &snapshots, &blobs, &partials] {
            let _ = fs::remove_dir(folder);
        }
        let _ = fs::remove_dir(layout.root());
        let _ = fs::remove_dir(layout.locks());
    }
}

fn version(repository: &Repository, doomed: Doomed) -> Gone {
    let bytes = doomed.own_bytes;
    let what = Removed::Version { repo: repository.repo.clone(), commit: doomed.commit, references: doomed.references };
    Gone { what, bytes }
}

fn blob((path, bytes): (std::path::PathBuf, u64)) -> Gone {
    Gone { what: Removed::Blob { path, bytes }, bytes }
}

fn unfinished((path, bytes): (std::path::PathBuf, u64)) -> Gone {
    Gone { what: Removed::Unfinished { path, bytes }, bytes }
}

fn leftover(left: Leftover) -> Gone {
    let (Leftover::File(path) | Leftover::Folder(path)) = left;
    Gone { what: Removed::Leftover { path }, bytes: 0 }
}
