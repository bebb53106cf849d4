//! Owns what the Hub says that a commit consists of: each file with its size and digest, kept beside the snapshot so
//! that later nobody has to ask again. Must not use the network.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{CacheError, Digest, write};

/// One file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedFile {
    /// Relative to the repository.
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// What a commit consists of, and what of it has been asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<ListedFile>,
    /// The files of the checkpoint, when it was asked for: all of them make it whole.
    pub(crate) checkpoint: BTreeSet<String>,
}

/// The form on the disk.
#[derive(Serialize, Deserialize)]
struct Record {
    files: Vec<FileRecord>,
    checkpoint: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct FileRecord {
    path: String,
    size: u64,
    digest: String,
}

impl Listing {
    /// The file of that name, if the commit has it and its digest is known.
    pub(crate) fn file(&self, path: &str) -> Option<&ListedFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Adds what another question to the same commit brought up.
    pub(crate) fn merge(&mut self, other: Self) {
        for file in other.files {
            self.files.retain(|known| known.path != file.path);
            self.files.push(file);
        }
        self.checkpoint.extend(other.checkpoint);
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Reads a listing; `None` when there is none, or none that can be read: it is only a note of what the Hub said.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, CacheError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(CacheError::io(path, error)),
        };
        let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(None) };
        let files = record.files.into_iter().map(|file| {
            let digest = Digest::parse(&file.digest)?;
            Some(ListedFile { path: file.path, size: file.size, digest })
        });
        Ok(files.collect::<Option<Vec<_>>>().map(|files| Self { files, checkpoint: record.checkpoint }))
    }

    /// Writes the listing, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), CacheError> {
        let record = Record {
            files: (self.files.iter())
                .map(|file| FileRecord {
                    path: file.path.clone(),
                    size: file.size,
                    digest: file.digest.hex().to_owned(),
                })
                .collect(),
            checkpoint: self.checkpoint.clone(),
        };
        let text = serde_json::to_vec_pretty(&record).map_err(|error| CacheError::io(path, error.into()))?;
        write::atomically(path, &text)
    }
}
