//! Owns `model.json`, which goes with an exported model: what it is and what its bytes add up to. Must not read them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::layout;
use crate::listing::ListedFile;
use crate::{CacheError, Digest, Fault, Problem, Selection, json, spec};

/// The name of the file.
pub(super) const MANIFEST: &str = "model.json";

/// Its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// `owner/name`.
    pub(super) repo: String,
    /// `None` for what no commit is known of.
    pub(super) commit: Option<String>,
    /// The branch or tag that it was exported by.
    #[serde(default)]
    pub(super) revision: Option<String>,
    pub(super) files: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) digest: String,
}

impl Manifest {
    /// Reads the one of a directory; `None` when it has none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, CacheError> {
        let path = folder.join(MANIFEST);
        match json::read::<Self>(&path)? {
            Ok(manifest) => manifest.check().map(Some).map_err(|what| malformed(folder, what)),
            Err(Problem::Missing) => Ok(None),
            Err(problem) => {
                Err(CacheError::Incomplete { path: folder.to_owned(), missing: vec![Fault::new(MANIFEST, problem)] })
            }
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), CacheError> {
        let path = folder.join(MANIFEST);
        let io_error = |error| CacheError::io(&path, error);
        let text = serde_json::to_vec_pretty(self).map_err(|error| io_error(error.into()))?;
        fs::write(&path, text).map_err(io_error)
    }

    /// The files, with digests that are digests.
    pub(super) fn listed(&self) -> Vec<ListedFile> {
        let listed = |entry: &Entry| {
            Some(ListedFile { path: entry.path.clone(), size: entry.size, digest: Digest::parse(&entry.digest)? })
        };
        self.files.iter().filter_map(listed).collect()
    }

    /// It came from another machine: its names are used as paths, and its digests as names.
    fn check(self) -> Result<Self, String> {
        let commit_is_one = self.commit.as_deref().is_none_or(is_lower_case_commit);
        if !commit_is_one {
            return Err("its commit is not 40 hexadecimal digits".to_owned());
        }
        if self.revision.as_deref().is_some_and(|revision| !spec::is_revision(revision) || layout::is_commit(revision))
        {
            return Err("its revision is not a branch or a tag".to_owned());
        }
        let anything = Selection::new(&["**".to_owned()], &[]).map_err(|error| error.to_string())?;
        let mut names = BTreeSet::new();
        for Entry { path, digest, .. } in &self.files {
            let is_safe = path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['\\', '\0']);
            if !is_safe || !names.insert(path) {
                return Err(format!("`{path}` is not the name of one file in it"));
            }
            if Digest::parse(digest).is_none() {
                return Err(format!("the digest of `{path}` is none"));
            }
            if !anything.wants(path) {
                return Err(format!("`{path}` may run code when it is read"));
            }
        }
        if names.is_empty() { Err("it names no file".to_owned()) } else { Ok(self) }
    }
}

fn is_lower_case_commit(commit: &str) -> bool {
    layout::is_commit(commit) && !commit.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn malformed(folder: &Path, what: String) -> CacheError {
    CacheError::Incomplete { path: folder.to_owned(), missing: vec![Fault::new(MANIFEST, Problem::Malformed(what))] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_leave_the_directory_or_run_code_is_refused() {
        let manifest = |path: &str, digest: &str| Manifest {
            repo: "a/b".to_owned(),
            commit: None,
            revision: None,
            files: vec![Entry { path: path.to_owned(), size: 1, digest: digest.to_owned() }],
        };
        let digest = "0".repeat(64);
        assert!(manifest("a/config.json", &digest).check().is_ok());
        for revision in ["/tmp/x", "../../x", "", "a/../b", &"0".repeat(40)] {
            let of = Manifest { revision: Some(revision.to_owned()), ..manifest("a/config.json", &digest) };
            assert!(of.check().is_err(), "{revision}");
        }
        for path in ["../config.json", "/etc/passwd", "a//b", "", ".", "a\\..\\b", "pytorch_model.bin"] {
            assert!(manifest(path, &digest).check().is_err(), "{path}");
        }
        assert!(manifest("config.json", "no digest").check().is_err());
        let commit = Some("../../elsewhere".to_owned());
        assert!(Manifest { commit, ..manifest("config.json", &digest) }.check().is_err());
        assert!(Manifest { files: vec![], ..manifest("", &digest) }.check().is_err());
    }
}
