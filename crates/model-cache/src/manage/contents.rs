//! Owns what the files of a snapshot are: links to bytes of the repository's own, files of their own, or links to
//! somewhere else, which nobody here follows.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::entries::{entries, walk};
use super::repository::Repository;
use crate::listing::Listing;
use crate::{CacheError, Digest};

/// One file of a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// Relative to the snapshot.
    pub(super) name: String,
    /// Where it stands in the snapshot.
    pub(super) link: PathBuf,
    pub(super) bytes: Bytes,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bytes {
    /// In the repository's folder of blobs, under this path.
    Blob(PathBuf),
    /// In the snapshot itself, as on systems without links.
    Own,
    /// Nowhere: the link leads to nothing.
    Nowhere,
    /// Somewhere else than in the repository.
    Outside,
}

impl Content {
    /// The file to read, where it is the repository's.
    pub(super) fn readable(&self) -> Option<&Path> {
        match &self.bytes {
            Bytes::Blob(path) => Some(path),
            Bytes::Own => Some(&self.link),
            Bytes::Nowhere | Bytes::Outside => None,
        }
    }

    /// In bytes; 0 for what is not there.
    pub(super) fn size(&self) -> u64 {
        self.readable().and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len())
    }

    /// What the bytes should add up to: the blob's name says it, or else what the Hub said.
    pub(super) fn digest(&self, listing: &Listing) -> Option<Digest> {
        let by_name = match &self.bytes {
            Bytes::Blob(path) => path.file_name().and_then(|name| Digest::parse(name.to_str()?)),
            _ => None,
        };
        by_name.or_else(|| listing.file(&self.name).map(|listed| listed.digest.clone()))
    }
}

/// The bytes of a repository, to tell what a file of a snapshot is.
#[derive(Debug)]
pub(super) struct Blobs {
    /// Without links in it.
    folder: Option<PathBuf>,
    by_inode: HashMap<(u64, u64), PathBuf>,
}

impl Blobs {
    pub(super) fn of(repository: &Repository) -> Result<Self, CacheError> {
        let folder = repository.layout.blobs().canonicalize().ok();
        let mut by_inode = HashMap::new();
        for entry in folder.as_deref().map_or_else(|| Ok(Vec::new()), entries)? {
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                by_inode.insert((metadata.dev(), metadata.ino()), entry.path());
            }
        }
        Ok(Self { folder, by_inode })
    }

    /// All blobs, whatever their names are.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.by_inode.values().map(PathBuf::as_path)
    }

    /// The files of one snapshot.
    pub(super) fn contents(&self, snapshot: &Path) -> Result<Vec<Content>, CacheError> {
        let files = walk(snapshot)?.into_iter();
        Ok(files.map(|(link, name)| Content { bytes: self.bytes(&link), name, link }).collect())
    }

    fn bytes(&self, link: &Path) -> Bytes {
        let Ok(metadata) = fs::symlink_metadata(link) else { return Bytes::Nowhere };
        if !metadata.is_symlink() {
            let blob = self.by_inode.get(&(metadata.dev(), metadata.ino()));
            return if metadata.is_file() {
                blob.map_or(Bytes::Own, |blob| Bytes::Blob(blob.clone()))
            } else {
                Bytes::Outside
            };
        }
        match fs::canonicalize(link) {
            Ok(real) if real.is_file() && real.parent() == self.folder.as_deref() => Bytes::Blob(real),
            Ok(_) => Bytes::Outside,
            // Also a link to itself: there are no bytes at its end.
            Err(_) => Bytes::Nowhere,
        }
    }
}
