//! Owns where things lie inside the cache: pure path arithmetic. Must not touch the disk.

use std::path::{Path, PathBuf};

use crate::{Digest, RepoId};

/// The revision that is meant when none is named.
pub(crate) const DEFAULT_REVISION: &str = "main";

/// One repository's folder in the cache, laid out as `huggingface_hub` does.
#[derive(Debug)]
pub(crate) struct Layout {
    repo: PathBuf,
    locks: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path, repo: &RepoId) -> Self {
        let folder = format!("models--{}--{}", repo.owner(), repo.name());
        Self { repo: dir.join(&folder), locks: dir.join(".locks").join(folder) }
    }

    /// The repository's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.repo
    }

    /// The folder that holds the commits of branches and tags.
    pub(crate) fn references(&self) -> PathBuf {
        self.repo.join("refs")
    }

    /// The folder that holds the commits' folders.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.repo.join("snapshots")
    }

    /// The bytes of a file.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// The folder of files that are on their way. `huggingface_hub` does not look there.
    pub(crate) fn partials(&self) -> PathBuf {
        self.repo.join("partial")
    }

    /// The folder of one file on its way, of one owner.
    pub(crate) fn partial(&self, digest: &Digest, nonce: &str) -> PathBuf {
        self.partials().join(format!("{}.{nonce}", digest.hex()))
    }

    /// What the Hub said that a commit consists of.
    pub(crate) fn listing(&self, commit: &str) -> PathBuf {
        self.listings().join(format!("{commit}.json"))
    }

    /// The folder of those.
    pub(crate) fn listings(&self) -> PathBuf {
        self.repo.join("listings")
    }

    /// Where `huggingface_hub` notes which files a commit does not have.
    pub(crate) fn absent(&self, commit: &str) -> PathBuf {
        self.repo.join(".no_exist").join(commit)
    }

    /// The folder of locks and leases.
    pub(crate) fn locks(&self) -> &Path {
        &self.locks
    }

    /// The lock that `huggingface_hub` holds while it fetches a file.
    pub(crate) fn foreign_lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// The file whose existence pins a commit.
    pub(crate) fn pin(&self, commit: &str) -> PathBuf {
        self.pins().join(commit)
    }

    /// The folder of those.
    pub(crate) fn pins(&self) -> PathBuf {
        self.repo.join("pins")
    }

    /// The lease on a file, beside the lock that `huggingface_hub` uses for it.
    pub(crate) fn lease(&self, digest: &Digest) -> PathBuf {
        self.locks.join(format!("{}.lease", digest.hex()))
    }

    /// The file that holds the commit of a branch or tag.
    pub(crate) fn reference(&self, revision: &str) -> PathBuf {
        self.references().join(revision)
    }

    /// The directory that holds the files of a commit.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.snapshots().join(commit)
    }

    /// The directory that holds the bytes.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.repo.join("blobs")
    }
}

/// Where CarePath's Python service keeps the same model: plain files in `owner--name`.
pub(crate) fn python_service(dir: &Path, repo: &RepoId) -> PathBuf {
    dir.join(format!("{}--{}", repo.owner(), repo.name()))
}

/// Whether a revision is a commit rather than a branch or a tag.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
