//! Owns what an operator can say about making room, and what comes of it. Must not know in which order things go.

use std::path::PathBuf;
use std::time::Duration;

use super::plan::Plan;
use super::repository::repositories;
use crate::{CacheError, ModelCache, RepoId};

/// What to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// Also versions that a branch or tag is at, when they have not been used for this long; `None` only old versions,
    /// which no branch or tag is at.
    pub older_than: Option<Duration>,
    /// Whether anything is removed at all.
    pub mode: PruneMode,
}

/// Whether to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneMode {
    /// Nothing is removed; the answer says what would be.
    Report,
    /// It is removed.
    Remove,
}

/// What came of making room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// What went, or would go.
    pub removed: Vec<Removed>,
    /// The versions that stay, and why.
    pub kept: Vec<Kept>,
    /// Bytes that became free, or would.
    pub freed: u64,
}

/// Something that went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removed {
    /// A version of a model.
    Version {
        /// The repository.
        repo: RepoId,
        /// Which version.
        commit: String,
        /// Branches and tags that were at it; they went, too.
        references: Vec<String>,
    },
    /// Bytes that no version has any more.
    Blob {
        /// The file that held them.
        path: PathBuf,
        /// How many.
        bytes: u64,
    },
    /// A download that nobody goes on with.
    Unfinished {
        /// The folder or file that held its bytes.
        path: PathBuf,
        /// How many.
        bytes: u64,
    },
    /// A file or folder that was needed for a moment only, by a process that is gone.
    Leftover {
        /// Where it was.
        path: PathBuf,
    },
}

/// A version that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The repository.
    pub repo: RepoId,
    /// Which version.
    pub commit: String,
    /// Why.
    pub because: KeptBecause,
}

/// Why a version stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeptBecause {
    /// Somebody said so.
    Pinned,
    /// The lock file names it ([`CacheConfig::lock`](crate::CacheConfig::lock)).
    Locked,
    /// A process holds it.
    InUse,
    /// A branch or tag is at it, and it has been used lately enough.
    Current,
    /// A process is fetching files of the repository.
    Fetching,
    /// The repository's folders are links, and what is behind them may belong to somebody else.
    Linked,
}

impl ModelCache {
    /// Makes room: removes old versions, bytes that no version has, and what interrupted processes left.
    ///
    /// Leaves alone what is pinned or in the lock file, what a process holds ([`ModelFiles::hold`](crate::ModelFiles::hold)), each
    /// repository of which files are being fetched, what other programs put into the directory, and directories of
    /// CarePath's Python service. Never follows a link out of a repository's folder. Names go before bytes: an
    /// interruption at any moment leaves no version that is half there, and the next prune takes what it left. Blocks.
    ///
    /// # Errors
    ///
    /// [`CacheError::Io`].
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned, CacheError> {
        let mut pruned = Pruned::default();
        for repository in repositories(&self.config().dir)? {
            let plan = Plan::of(&repository, self.config().lock.as_ref(), options.older_than, &mut pruned.kept)?;
            let done = match options.mode {
                PruneMode::Report => plan.report(),
                PruneMode::Remove => plan.carry_out()?,
            };
            for removed in done {
                pruned.freed += removed.bytes;
                pruned.removed.push(removed.what);
            }
        }
        Ok(pruned)
    }
}
