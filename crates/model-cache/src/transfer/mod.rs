//! Owns bringing one file of a commit into the cache: under a lease, in ranges, verified before it has its name.

mod partial;
mod ranges;

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use partial::Partial;

use crate::event::Events;
use crate::hub::Hub;
use crate::layout::Layout;
use crate::lease::{Acquired, Lease};
use crate::listing::ListedFile;
use crate::tally::Tally;
use crate::{CacheError, Digest, FetchEvent, FetchLimits, RepoId, write};

/// What all files of one download share.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) hub: Hub,
    pub(crate) layout: Layout,
    pub(crate) repo: RepoId,
    pub(crate) commit: String,
    pub(crate) limits: FetchLimits,
    pub(crate) events: Events,
    pub(crate) tally: Tally,
}

/// Bytes of a file that an earlier download has left here.
pub(crate) fn resumable(layout: &Layout, file: &ListedFile) -> u64 {
    partial::largest(layout, file).map_or(0, |(_, bytes)| bytes)
}

/// Whether the bytes of a file are there, under the name of their digest.
pub(crate) fn is_there(layout: &Layout, file: &ListedFile) -> bool {
    fs::metadata(layout.blob(&file.digest)).is_ok_and(|blob| blob.is_file() && blob.len() == file.size)
}

/// Throws away what earlier downloads have left of a file that is there: one that is killed between giving the bytes
/// their name and removing their folder leaves the record behind.
pub(crate) fn clear_unfinished(layout: &Layout, file: &ListedFile) {
    partial::clear(layout, file, None);
}

impl Transfer {
    /// Brings `file`, or waits until another process has.
    pub(crate) async fn bring(self: &Arc<Self>, file: &ListedFile) -> Result<(), CacheError> {
        let limit = self.limits.file;
        let brought = tokio::time::timeout(limit, self.bring_untimed(file)).await;
        brought.unwrap_or_else(|_| Err(CacheError::TimedOut { what: file.path.clone(), limit }))
    }

    async fn bring_untimed(self: &Arc<Self>, file: &ListedFile) -> Result<(), CacheError> {
        let blob = self.layout.blob(&file.digest);
        loop {
            let there = || is_there(&self.layout, file);
            let lease = match Lease::acquire(&self.layout.lease(&file.digest), &file.path, &self.events, &there).await?
            {
                Acquired::Lease(lease) => lease,
                Acquired::Needless => break,
            };
            // Between the last look and the lease, its last owner may have finished.
            if there() {
                break;
            }
            self.clear_damaged(file, &blob).await?;
            let published = tokio::select! {
                published = self.fill_and_publish(&lease, file, &blob) => published?,
                () = lease.lost() => false,
            };
            if published {
                break;
            }
            tracing::warn!(file = file.path, "another process took over while this one was stopped");
        }
        self.tally.advance(&file.path, file.size, file.size);
        self.events.send(FetchEvent::Verified { file: file.path.clone() });
        Ok(())
    }

    /// Removes bytes that are there and are not those of their name.
    async fn clear_damaged(&self, file: &ListedFile, blob: &Path) -> Result<(), CacheError> {
        let Ok(metadata) = fs::metadata(blob) else { return Ok(()) };
        let (place, digest) = (blob.to_owned(), file.digest.clone());
        if off_task(blob, move || digest.is_of(&File::open(place)?)).await? {
            let (path, stated, actual) = (&file.path, file.size, metadata.len());
            return Err(self.hub.unusable(format!("it states {stated} bytes for {path}, which has {actual}")));
        }
        tracing::warn!(path = %blob.display(), "a file of the cache is damaged and is fetched again");
        write::remove(blob)
    }

    /// Fetches what is missing and gives the file its name; false when the lease was lost meanwhile.
    async fn fill_and_publish(
        self: &Arc<Self>,
        lease: &Lease,
        file: &ListedFile,
        blob: &Path,
    ) -> Result<bool, CacheError> {
        let mut second_try = false;
        loop {
            // It may copy gigabytes.
            let partial = Arc::new(tokio::task::block_in_place(|| Partial::open(&self.layout, file, lease))?);
            ranges::fill(self, file, &partial).await?;
            let actual = match digest_of(partial.path(), file).await {
                Ok(actual) => actual,
                // Another owner has taken the file away to go on with it.
                Err(_) if !lease.is_held()? => return Ok(false),
                Err(error) => return Err(error),
            };
            if actual == file.digest {
                // What was read back must also outlive a power cut, before it can be taken for whole.
                let for_sync = Arc::clone(&partial);
                off_task(partial.path(), move || for_sync.sync()).await?;
                if !lease.is_held()? {
                    return Ok(false);
                }
                write::directory_of(blob)?;
                return partial.publish(blob);
            }
            partial.remove()?;
            let mismatch = CacheError::DigestMismatch {
                file: file.path.clone(),
                endpoint: self.hub.endpoint().to_owned(),
                expected: file.digest.clone(),
                actual,
            };
            if second_try {
                return Err(mismatch);
            }
            self.events.send(FetchEvent::Warning { message: format!("{mismatch}; it is fetched once more") });
            self.tally.start_over(&file.path, file.size);
            second_try = true;
        }
    }
}

async fn digest_of(path: &Path, file: &ListedFile) -> Result<Digest, CacheError> {
    let (place, expected, size) = (path.to_owned(), file.digest.clone(), file.size);
    off_task(path, move || expected.compute(BufReader::new(File::open(place)?), size)).await
}

/// Runs file work where it holds up no other task.
async fn off_task<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, CacheError> {
    let path: PathBuf = path.to_owned();
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| CacheError::io(&path, error))
}
