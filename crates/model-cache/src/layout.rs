//! Owns where things lie inside the cache: pure path arithmetic. Must not touch the disk.

use std::path::{Path, PathBuf};

use crate::RepoId;

/// The revision that is meant when none is named.
pub(crate) const DEFAULT_REVISION: &str = "main";

/// One repository's folder in the cache, laid out as `huggingface_hub` does.
#[derive(Debug)]
pub(crate) struct Layout {
    repo: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path, repo: &RepoId) -> Self {
        Self { repo: dir.join(format!("models--{}--{}", repo.owner(), repo.name())) }
    }

    /// The file that holds the commit of a branch or tag.
    pub(crate) fn reference(&self, revision: &str) -> PathBuf {
        self.repo.join("refs").join(revision)
    }

    /// The directory that holds the files of a commit.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.repo.join("snapshots").join(commit)
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
