//! Owns the choice of what goes from a repository. Removes nothing.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::contents::{Blobs, Bytes, Content};
use super::entries::is_older;
use super::inventory::{signs, snapshots, uses, version_last_use};
use super::leftovers::{self, Leftover};
use super::prune::{Kept, KeptBecause};
use super::repository::Repository;
use super::unfinished::{is_locked, unfinished};
use crate::in_use::{Inode, Probe, inode};
use crate::listing::Listing;
use crate::{CacheError, ModelsLock};

/// How long a download or a temporary file is left alone after its last change.
pub(super) const GRACE: Duration = Duration::from_secs(24 * 3600);

/// What is to go from one repository.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) repository: &'a Repository,
    pub(super) versions: Vec<Doomed>,
    /// With their sizes.
    pub(super) blobs: Vec<(PathBuf, u64)>,
    pub(super) unfinished: Vec<(PathBuf, u64)>,
    pub(super) leftovers: Vec<Leftover>,
}

/// A version that is to go.
#[derive(Debug)]
pub(super) struct Doomed {
    pub(super) commit: String,
    pub(super) references: Vec<String>,
    /// Bytes that are in the snapshot itself.
    pub(super) own_bytes: u64,
    /// As long as these are open, nobody begins to use it.
    locks: Vec<File>,
}

impl<'a> Plan<'a> {
    /// Chooses; says of what stays, why.
    pub(super) fn of(
        repository: &'a Repository,
        lock: Option<&ModelsLock>,
        older_than: Option<Duration>,
        kept: &mut Vec<Kept>,
    ) -> Result<Self, CacheError> {
        let mut plan =
            Self { repository, versions: Vec::new(), blobs: Vec::new(), unfinished: Vec::new(), leftovers: Vec::new() };
        let mut keep = |commit: &str, because| {
            kept.push(Kept { repo: repository.repo.clone(), commit: commit.to_owned(), because });
        };
        let blanket = match (repository.is_our_own(), repository.is_busy()?) {
            (false, _) => Some(KeptBecause::Linked),
            (_, true) => Some(KeptBecause::Fetching),
            _ => None,
        };
        if let Some(because) = blanket {
            repository.commits()?.iter().for_each(|commit| keep(commit, because));
            return Ok(plan);
        }
        let blobs = Blobs::of(repository)?;
        let snapshots = snapshots(repository, &blobs)?;
        let uses = uses(&snapshots);
        for (commit, contents) in &snapshots {
            if lock.is_some_and(|lock| lock.holds(commit)) {
                keep(commit, KeptBecause::Locked);
                continue;
            }
            let last_use = version_last_use(contents, &uses);
            match plan.choose(commit, contents, older_than.map(|age| is_unused(last_use, age)).unwrap_or(false))? {
                Ok(doomed) => plan.versions.push(doomed),
                Err(because) => keep(commit, because),
            }
        }
        plan.blobs = plan.orphans(&blobs)?;
        let unfinished = unfinished(repository)?.into_iter();
        let given_up = unfinished.filter(|unfinished| {
            let unchanged = unfinished
                .last_change
                .map_or_else(|| is_older(&unfinished.path, GRACE), |at| is_unused(Some(at), GRACE));
            !unfinished.live && unchanged
        });
        plan.unfinished = given_up.map(|unfinished| (unfinished.path, unfinished.bytes)).collect();
        plan.leftovers = leftovers::of(repository, &plan.doomed())?;
        Ok(plan)
    }

    fn choose(
        &self,
        commit: &str,
        contents: &[Content],
        unused: bool,
    ) -> Result<Result<Doomed, KeptBecause>, CacheError> {
        let references = self.repository.references_to(commit)?;
        if self.repository.is_pinned(commit) {
            return Ok(Err(KeptBecause::Pinned));
        }
        if !references.is_empty() && !unused {
            return Ok(Err(KeptBecause::Current));
        }
        let own = contents.iter().filter(|content| content.bytes == Bytes::Own);
        Ok(match signs(contents).probe(&self.locked()) {
            Probe::InUse => Err(KeptBecause::InUse),
            Probe::Free(locks) => {
                Ok(Doomed { commit: commit.to_owned(), references, own_bytes: own.map(Content::size).sum(), locks })
            }
        })
    }

    /// The files that are locked because their version is to go.
    fn locked(&self) -> HashSet<Inode> {
        self.versions.iter().flat_map(|doomed| &doomed.locks).filter_map(inode).collect()
    }

    fn doomed(&self) -> HashSet<String> {
        self.versions.iter().map(|doomed| doomed.commit.clone()).collect()
    }

    /// Bytes that no version links to when the doomed ones are gone, and that no download is waiting for.
    fn orphans(&self, blobs: &Blobs) -> Result<Vec<(PathBuf, u64)>, CacheError> {
        let linked = linked(self.repository, blobs, &self.doomed())?;
        let expected = self.expected()?;
        let mut orphans = Vec::new();
        for blob in blobs.all().filter(|blob| !linked.contains(*blob)) {
            let name = blob.file_name().unwrap_or_default().to_string_lossy();
            let is_foreign = name.ends_with(".incomplete") || is_locked(&self.repository.layout.foreign_lock(&name));
            if !is_foreign && !expected.contains(name.as_ref()) {
                orphans.push((blob.to_owned(), blob.metadata().map_or(0, |metadata| metadata.len())));
            }
        }
        orphans.sort();
        Ok(orphans)
    }

    /// The names of bytes that an interrupted download has brought, and that the next try will use.
    fn expected(&self) -> Result<HashSet<String>, CacheError> {
        let layout = &self.repository.layout;
        let mut expected = HashSet::new();
        for commit in self.repository.listed()?.difference(&self.doomed().into_iter().collect()) {
            let path = layout.listing(commit);
            if !is_older(&path, GRACE) {
                let listing = Listing::read(&path)?.unwrap_or_default();
                expected.extend(listing.files.iter().map(|file| file.digest.hex().to_owned()));
            }
        }
        Ok(expected)
    }
}

/// The bytes that versions link to, but for some of them.
pub(super) fn linked(
    repository: &Repository,
    blobs: &Blobs,
    without: &HashSet<String>,
) -> Result<HashSet<PathBuf>, CacheError> {
    let mut linked = HashSet::new();
    for name in repository.snapshot_names()?.iter().filter(|name| !without.contains(*name)) {
        let contents = blobs.contents(&repository.layout.snapshots().join(name))?;
        linked.extend(contents.iter().filter_map(Content::readable).map(Path::to_owned));
    }
    Ok(linked)
}

/// What nobody knows the last use of was not used lately.
fn is_unused(last_use: Option<SystemTime>, age: Duration) -> bool {
    last_use.is_none_or(|at| SystemTime::now().duration_since(at).is_ok_and(|passed| passed >= age))
}
