//! Owns writing small files of the cache so that nobody ever sees half of one. Must not know what stands in them.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use uuid::Uuid;

use crate::CacheError;

/// Writes a file under a name of its own beside it and renames it; makes the folder where it is missing.
pub(crate) fn atomically(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    atomically_by(path.parent().unwrap_or(Path::new("")), path, bytes)
}

/// The same, by way of another folder of the volume: where every name means something, a process that dies must not
/// leave one.
pub(crate) fn atomically_by(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    directory_of(path)?;
    made_by(folder, path, |temporary| fs::write(temporary, bytes)).map_err(|error| CacheError::io(path, error))
}

/// The same for what `make` makes under the name that it is given.
pub(crate) fn made_by(folder: &Path, path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", Uuid::new_v4().simple()));
    let temporary = folder.join(name);
    make(&temporary).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Makes the folder that `path` lies in.
pub(crate) fn directory_of(path: &Path) -> Result<(), CacheError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| CacheError::io(parent, error))
}

/// Removes a file; one that is gone already is as good.
pub(crate) fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CacheError::io(path, error)),
        _ => Ok(()),
    }
}
