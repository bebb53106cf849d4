//! Owns how much room a volume has, and what it means when it has none. Must not know what is written.

use std::io;
use std::path::Path;

use crate::CacheError;

/// Bytes that an ordinary user can still write below `path`, whose nearest existing folder is asked.
pub(crate) fn available(path: &Path) -> io::Result<u64> {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let volume = rustix::fs::statvfs(existing)?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// Names a failure of writing: a volume that is full is one that the operator can do something about.
pub(crate) fn failed(path: &Path, error: io::Error) -> CacheError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            CacheError::NoSpace { path: path.to_owned(), needed: None, available: available(path).unwrap_or(0) }
        }
        _ => CacheError::io(path, error),
    }
}
