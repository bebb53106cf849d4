//! Owns removing files that turned out broken, so that the next fetch brings them again. Must not judge them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::contents::{Blobs, Bytes};
use super::repository::Repository;
use super::state;
use super::verdict::Verdict;
use super::verify::VerifiedFile;
use crate::layout::Layout;
use crate::listing::{ListedFile, Listing};
use crate::{CacheConfig, CacheError, Digest, Problem, RepoId, write};

/// Removes what is broken in repositories; other directories are not ours. `expected` goes with each file.
pub(super) fn discard_broken<'a>(
    config: &CacheConfig,
    files: impl Iterator<Item = (&'a mut VerifiedFile, Option<&'a Digest>)>,
) -> Result<(), CacheError> {
    for (file, expected) in files {
        let Some(commit) = file.commit.clone().filter(|_| is_worth_fetching(&file.verdict, expected)) else { continue };
        let repo: RepoId = file.model.parse()?;
        let repository = Repository { layout: Layout::new(&config.dir, &repo), repo };
        let was_there = file.verdict != Verdict::Missing || file.path.is_symlink();
        if !repository.is_our_own() || !was_there {
            continue;
        }
        expect_again(&repository, &commit, file, expected)?;
        // It may have gone with another version that has the same bytes.
        if file.path.symlink_metadata().is_ok() {
            tracing::warn!(path = %file.path.display(), "it {}; the file is removed from the cache", file.verdict);
            let blobs = Blobs::of(&repository)?;
            let contents = blobs.contents(&repository.layout.snapshot(&commit))?;
            let bytes = contents.into_iter().find(|content| content.link == file.path).map(|content| content.bytes);
            write::remove(&file.path)?;
            if let Some(Bytes::Blob(blob)) = bytes {
                remove_with_links(&repository, &blobs, &blob)?;
            }
        }
        file.discarded = true;
    }
    Ok(())
}

/// Whether to fetch the file again would bring something else. What has the right digest is as the Hub has it.
fn is_worth_fetching(verdict: &Verdict, expected: Option<&Digest>) -> bool {
    match verdict {
        Verdict::WrongDigest { .. } | Verdict::Missing | Verdict::Outside | Verdict::Unreadable(_) => true,
        Verdict::Broken(Problem::Length { .. }) => true,
        Verdict::Broken(_) => expected.is_none(),
        Verdict::Sound | Verdict::Unproven => false,
    }
}

/// Bytes that several versions share are broken in all of them. Links go first: a crash then leaves no dangling ones.
fn remove_with_links(repository: &Repository, blobs: &Blobs, blob: &Path) -> Result<(), CacheError> {
    for name in repository.snapshot_names()? {
        let contents = blobs.contents(&repository.layout.snapshots().join(name))?;
        let links = contents.into_iter().filter(|content| content.bytes == Bytes::Blob(blob.to_owned()));
        let links: Vec<PathBuf> = links.map(|content| content.link).collect();
        links.iter().try_for_each(|link| write::remove(link))?;
    }
    write::remove(blob)
}

/// Notes that the version has the file. Without that, a file that need not be there would not be missed.
fn expect_again(
    repository: &Repository,
    commit: &str,
    file: &VerifiedFile,
    expected: Option<&Digest>,
) -> Result<(), CacheError> {
    let path = repository.layout.listing(commit);
    let mut listing = Listing::read(&path)?.unwrap_or_default();
    let Some(expected) = expected.filter(|_| listing.file(&file.file).is_none()) else { return Ok(()) };
    // The size may be wrong as well; the Hub is asked before the file is fetched.
    let listed = ListedFile { path: file.file.clone(), size: file.size, digest: expected.clone() };
    let checkpoint = if state::is_gguf(&file.file) { BTreeSet::new() } else { [file.file.clone()].into() };
    listing.merge(Listing { files: vec![listed], checkpoint });
    listing.write(&path)
}
