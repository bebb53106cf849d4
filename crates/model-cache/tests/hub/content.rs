//! Owns the bytes of one file of the Hub, in memory, on the disk or made up on the way. Knows nothing of HTTP.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// How much is handed out at once.
const CHUNK: u64 = 1 << 20;
/// Files above this size are kept in LFS, as the Hub does unless a repository says otherwise.
const LFS_FROM: u64 = 1_000_000;

/// Where bytes come from.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// From memory.
    Bytes(Arc<[u8]>),
    /// A beginning, and then one block again and again: large without being anywhere.
    Pattern { head: Arc<[u8]>, block: Arc<[u8]>, len: u64 },
    /// From a file that does not change.
    File { file: Arc<File>, len: u64 },
}

impl Content {
    /// A file of the disk.
    pub(crate) fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        let len = file.metadata().unwrap().len();
        Self::File { file: Arc::new(file), len }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Pattern { len, .. } | Self::File { len, .. } => *len,
        }
    }

    /// Bytes from `start` on, at least one and at most those before `end`.
    pub(crate) fn read(&self, start: u64, end: u64) -> Cow<'_, [u8]> {
        let end = end.min(start + CHUNK).min(self.len());
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(&bytes[start as usize..end as usize]),
            Self::Pattern { head, block, .. } => {
                let (first, step) = (head.len() as u64, block.len() as u64);
                if start < first {
                    return Cow::Borrowed(&head[start as usize..end.min(first) as usize]);
                }
                let from = (start - first) % step;
                let to = (from + end - start).min(step);
                Cow::Borrowed(&block[from as usize..to as usize])
            }
            Self::File { file, .. } => {
                let mut bytes = vec![0; (end - start) as usize];
                file.read_exact_at(&mut bytes, start).unwrap();
                Cow::Owned(bytes)
            }
        }
    }

    fn hashed<D: Digest>(&self, mut hash: D) -> String {
        let mut at = 0;
        while at < self.len() {
            let bytes = self.read(at, self.len());
            hash.update(&bytes);
            at += bytes.len() as u64;
        }
        hex(&hash.finalize())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// A file as the Hub keeps it, with the digests that name it.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) content: Content,
    /// Of the file in git; for an LFS file, of the pointer to it.
    pub(crate) oid: String,
    pub(crate) lfs: Option<Lfs>,
}

/// What git keeps of a large file.
#[derive(Debug, Clone)]
pub(crate) struct Lfs {
    pub(crate) sha256: String,
    pub(crate) pointer_size: usize,
}

impl Blob {
    /// Weights and what is large go to LFS.
    pub(crate) fn new(name: &str, content: Content) -> Self {
        let weights = name.ends_with(".safetensors") || name.ends_with(".gguf");
        if !weights && content.len() <= LFS_FROM {
            return Self { oid: git_oid(&content), content, lfs: None };
        }
        let sha256 = content.hashed(Sha256::new());
        let size = content.len();
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n");
        let pointer_size = pointer.len();
        Self { content, oid: git_oid(&pointer.into_bytes().into()), lfs: Some(Lfs { sha256, pointer_size }) }
    }

    /// The name of the file under `blobs/`: what the Hub gives as its ETag.
    pub(crate) fn etag(&self) -> &str {
        self.lfs.as_ref().map_or(&self.oid, |lfs| &lfs.sha256)
    }
}

/// The digest of bytes as a name of 64 digits (sha256) or 40 digits (a git blob) claims to be one.
pub(crate) fn digest_like(name: &str, content: &Content) -> String {
    if name.len() == 64 { content.hashed(Sha256::new()) } else { git_oid(content) }
}

fn git_oid(content: &Content) -> String {
    content.hashed(Sha1::new().chain_update(format!("blob {}\0", content.len())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
