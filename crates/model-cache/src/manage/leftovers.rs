//! Owns what is needed for a moment only and stays when a process dies: temporary names, leases, notes on versions that
//! are gone. Removes nothing.

use std::collections::HashSet;
use std::path::PathBuf;

use super::entries::{entries, is_older, is_real_folder, is_temporary, walk};
use super::plan::GRACE;
use super::repository::Repository;
use crate::{CacheError, lease};

/// Something that is left over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leftover {
    File(PathBuf),
    /// With everything in it.
    Folder(PathBuf),
}

/// What is left over in a repository, once the versions `doomed` are gone.
pub(super) fn of(repository: &Repository, doomed: &HashSet<String>) -> Result<Vec<Leftover>, CacheError> {
    let layout = &repository.layout;
    let mut found = Vec::new();
    // A version that was on its way out when a process died: nothing resolves to it any more.
    for entry in entries(&layout.snapshots())? {
        let folder = entry.path();
        if is_real_folder(&folder) && is_temporary(&entry.file_name().to_string_lossy()) {
            found.push(Leftover::Folder(folder));
        }
    }
    let temporary = walk(layout.root())?.into_iter().map(|(path, _)| path).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_below = found.iter().any(|(Leftover::File(folder) | Leftover::Folder(folder))| path.starts_with(folder));
        is_temporary(&name) && !is_below && !path.starts_with(layout.partials()) && is_older(path, GRACE)
    });
    let temporary: Vec<_> = temporary.collect();
    found.extend(temporary.into_iter().map(Leftover::File));
    for entry in entries(layout.locks())? {
        let path = entry.path();
        let extension = path.extension().unwrap_or_default().to_owned();
        // Somebody may be taking a stale lease over at this moment; after a day, nobody is.
        let is_stale = extension == "stale" || (extension == "lease" && !lease::is_live(&path)?);
        if is_stale && is_older(&path, GRACE) {
            found.push(Leftover::File(path));
        }
    }
    let kept: HashSet<_> = repository.snapshot_names()?.into_iter().filter(|name| !doomed.contains(name)).collect();
    for commit in repository.listed()?.into_iter().filter(|commit| !kept.contains(commit)) {
        let listing = layout.listing(&commit);
        if doomed.contains(&commit) || is_older(&listing, GRACE) {
            found.push(Leftover::File(listing));
        }
    }
    for commit in doomed {
        let absent = layout.absent(commit);
        if is_real_folder(&absent) {
            found.push(Leftover::Folder(absent));
        }
    }
    Ok(found)
}
