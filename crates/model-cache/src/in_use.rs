//! Owns telling that a model is being used, so that nobody clears it away under a running process. Must not know what it
//! is used for.
//!
//! The sign is a shared lock on the model's own files, which needs no right to write and ends with the process, however
//! it ends. Versions of a model often have the same `config.json`, so the weights carry the sign as well.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{CacheError, ModelFiles};

/// The file that every checkpoint has.
const CONFIG: &str = "config.json";

/// A model that is in use until this is dropped.
#[derive(Debug)]
#[must_use = "the model is in use only as long as this is kept"]
pub struct ModelInUse {
    _locked: Vec<File>,
}

impl ModelFiles {
    /// Marks the model as in use: [`ModelCache::prune`](crate::ModelCache::prune) leaves it alone until the answer is
    /// dropped or the process has ended.
    ///
    /// Takes shared locks on `config.json` and the weights (or on the `.gguf` file), which works on a read-only volume
    /// too. They are seen by processes of the same machine, and over NFSv4 by those of other machines. A prune that is
    /// just looking at the files is waited for; blocks, so on an asynchronous task it belongs in `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// [`CacheError::Io`] when a file cannot be opened or locked, or has been removed meanwhile.
    pub fn hold(&self) -> Result<ModelInUse, CacheError> {
        let signs = if self.path.is_dir() { checkpoint_signs(&self.path)? } else { vec![self.path.clone()] };
        let mut locked = Vec::new();
        for path in signs {
            let io_error = |error| CacheError::io(&path, error);
            let file = File::open(&path).map_err(io_error)?;
            file.lock_shared().map_err(io_error)?;
            // The lock may have been waited for while the file was removed.
            let (mine, named) = (file.metadata().map_err(io_error)?, fs::metadata(&path).map_err(io_error)?);
            if (mine.dev(), mine.ino()) != (named.dev(), named.ino()) {
                return Err(CacheError::io(&path, ErrorKind::NotFound.into()));
            }
            locked.push(file);
        }
        Ok(ModelInUse { _locked: locked })
    }
}

/// What came of asking whether a version is in use.
#[derive(Debug)]
pub(crate) enum Probe {
    InUse,
    /// Nobody uses it, and as long as these are kept, nobody begins to.
    Free(Vec<File>),
}

/// The files by which a version can be seen to be in use.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    pub(crate) config: Option<PathBuf>,
    pub(crate) weights: Vec<PathBuf>,
    pub(crate) ggufs: Vec<PathBuf>,
}

impl Signs {
    /// Takes a file of a version, if it is one of them.
    pub(crate) fn add(&mut self, name: &str, path: &Path) {
        let extension = Path::new(name).extension().unwrap_or_default();
        if name == CONFIG {
            self.config = Some(path.to_owned());
        } else if extension == "safetensors" && !name.contains('/') {
            self.weights.push(path.to_owned());
        } else if extension.eq_ignore_ascii_case("gguf") {
            self.ggufs.push(path.to_owned());
        }
    }

    /// Asks whether anything of the version is in use: one of its `.gguf` files, or its checkpoint. Files that the asker
    /// has locked itself are `mine`.
    pub(crate) fn probe(&self, mine: &HashSet<Inode>) -> Probe {
        let try_lock = |path: &Path| try_lock(path, mine);
        let mut held = Vec::new();
        for path in &self.ggufs {
            match try_lock(path) {
                Some(Ok(file)) => held.extend(file),
                Some(Err(InUse)) => return Probe::InUse,
                None => {}
            }
        }
        let config = self.config.as_deref().and_then(try_lock);
        let weights: Vec<_> = self.weights.iter().filter_map(|path| try_lock(path)).collect();
        let any_weights_used = weights.is_empty() || weights.iter().any(Result::is_err);
        if matches!(config, Some(Err(InUse))) && any_weights_used {
            return Probe::InUse;
        }
        held.extend(config.and_then(Result::ok).flatten());
        held.extend(weights.into_iter().filter_map(Result::ok).flatten());
        Probe::Free(held)
    }
}

/// `config.json`, then the weights beside it.
fn checkpoint_signs(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let mut signs = Signs::default();
    signs.add(CONFIG, &folder.join(CONFIG));
    for entry in fs::read_dir(folder).map_err(|error| CacheError::io(folder, error))? {
        let entry = entry.map_err(|error| CacheError::io(folder, error))?;
        // A link to nothing is not part of a model that is whole.
        if entry.path().is_file() {
            signs.add(&entry.file_name().to_string_lossy(), &entry.path());
        }
    }
    Ok(signs.config.into_iter().chain(signs.weights).collect())
}

struct InUse;

/// Which file it is, whatever its name: device and number.
pub(crate) type Inode = (u64, u64);

pub(crate) fn inode(file: &File) -> Option<Inode> {
    file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// `None` when there is no such file, and no lock for one that is `mine`; a file that cannot be asked is taken for used.
fn try_lock(path: &Path, mine: &HashSet<Inode>) -> Option<Result<Option<File>, InUse>> {
    // Over NFS, an exclusive lock needs a file that is open for writing.
    let opened = OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path));
    let file = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(_) => return Some(Err(InUse)),
        Ok(file) => file,
    };
    if inode(&file).is_some_and(|inode| mine.contains(&inode)) {
        return Some(Ok(None));
    }
    match file.try_lock() {
        Ok(()) => Some(Ok(Some(file))),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => Some(Err(InUse)),
    }
}
