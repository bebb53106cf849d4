//! Caches made by hand, in the layout of `huggingface_hub`, so that these tests depend on no download.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use model_cache::{CacheConfig, ModelCache, ModelSpec, Network};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(super) const OLD: &str = "1111111111111111111111111111111111111111";
pub(super) const NEW: &str = "2222222222222222222222222222222222222222";

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The files of a version.
pub(super) type Files = Vec<(&'static str, Vec<u8>)>;

/// A cache that nobody has fetched.
pub(super) struct Handmade {
    pub(super) dir: TempDir,
}

impl Handmade {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Two versions of `acme/tiny` that share configuration and tokenizer; `main` is the new one.
    pub(super) fn with_two_versions() -> Self {
        let cache = Self::new();
        cache.version("acme/tiny", OLD, &checkpoint(100));
        cache.version("acme/tiny", NEW, &checkpoint(200));
        cache.refer("acme/tiny", "main", NEW);
        cache
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn cache(&self) -> ModelCache {
        offline(self.path())
    }

    pub(super) fn repo(&self, repo: &str) -> PathBuf {
        self.path().join(format!("models--{}", repo.replace('/', "--")))
    }

    pub(super) fn snapshot(&self, repo: &str, commit: &str) -> PathBuf {
        self.repo(repo).join("snapshots").join(commit)
    }

    /// The bytes of a file of a version.
    pub(super) fn blob(&self, repo: &str, commit: &str, file: &str) -> PathBuf {
        self.snapshot(repo, commit).join(file).canonicalize().unwrap()
    }

    pub(super) fn version(&self, repo: &str, commit: &str, files: &Files) {
        let blobs = self.repo(repo).join("blobs");
        let snapshot = self.snapshot(repo, commit);
        fs::create_dir_all(&blobs).unwrap();
        fs::create_dir_all(&snapshot).unwrap();
        for (name, bytes) in files {
            let digest = sha256(bytes);
            fs::write(blobs.join(&digest), bytes).unwrap();
            symlink(format!("../../blobs/{digest}"), snapshot.join(name)).unwrap();
        }
    }

    pub(super) fn refer(&self, repo: &str, revision: &str, commit: &str) {
        let path = self.repo(repo).join("refs").join(revision);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, commit).unwrap();
    }

    /// Every link of the cache that leads to nothing, and every blob that nothing leads to.
    pub(super) fn loose_ends(&self, repo: &str) -> Vec<PathBuf> {
        let all = walk(&self.repo(repo).join("snapshots"));
        let (whole, dangling): (Vec<_>, Vec<_>) = all.into_iter().partition(|path| path.exists());
        let linked: Vec<_> = whole.iter().map(|path| path.canonicalize().unwrap()).collect();
        let blobs = walk(&self.repo(repo).join("blobs").canonicalize().unwrap());
        dangling.into_iter().chain(blobs.into_iter().filter(|blob| !linked.contains(blob))).collect()
    }
}

pub(super) fn offline(dir: &Path) -> ModelCache {
    ModelCache::new(CacheConfig { network: Network::Offline, ..CacheConfig::new(dir) }).unwrap()
}

pub(super) fn spec(text: &str) -> ModelSpec {
    text.parse().unwrap()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A checkpoint whose weights have this many elements.
pub(super) fn checkpoint(elements: usize) -> Files {
    vec![
        ("config.json", br#"{"model_type": "qwen3"}"#.to_vec()),
        ("tokenizer.json", br#"{"version": "1.0"}"#.to_vec()),
        ("model.safetensors", safetensors(elements)),
    ]
}

pub(super) fn safetensors(elements: usize) -> Vec<u8> {
    let length = elements * 4;
    let header = format!(r#"{{"weight":{{"dtype":"F32","shape":[{elements}],"data_offsets":[0,{length}]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(std::iter::repeat_n(7, length));
    bytes
}

pub(super) fn gguf() -> Vec<u8> {
    [b"GGUF".as_slice(), &[3, 0, 0, 0], &[0; 16]].concat()
}

/// Writes files into a plain directory.
pub(super) fn write(folder: &Path, files: &Files) {
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Makes a file one that was last read and written so long ago.
pub(super) fn age(path: &Path, age: Duration) {
    let then = SystemTime::now() - age;
    File::open(path).unwrap().set_times(FileTimes::new().set_accessed(then).set_modified(then)).unwrap();
}

/// Every file and link below a folder.
pub(super) fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
