//! Owns reading directories of the cache without following links. Must not know what lies in them.

use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::CacheError;

/// What lies in a directory, in the order of names; nothing when there is no such directory.
pub(super) fn entries(folder: &Path) -> Result<Vec<DirEntry>, CacheError> {
    let io_error = |error| CacheError::io(folder, error);
    let read = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        other => other.map_err(io_error)?,
    };
    let mut entries = read.collect::<Result<Vec<_>, _>>().map_err(io_error)?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// Whether this is a directory itself, and no link to one.
pub(super) fn is_real_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Everything below a directory that is not a directory itself: its path, and the same relative to the directory.
pub(super) fn walk(folder: &Path) -> Result<Vec<(PathBuf, String)>, CacheError> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in entries(&folder)? {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let relative = format!("{prefix}{name}");
            if is_folder {
                folders.push((entry.path(), format!("{relative}/")));
            } else {
                found.push((entry.path(), relative));
            }
        }
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(found)
}

/// Whether a name is one that is only used until a file or folder is complete: `NAME.<32 digits>.tmp`.
pub(super) fn is_temporary(name: &str) -> bool {
    let unique = name.strip_suffix(".tmp").and_then(|name| name.rsplit_once('.')).map(|(_, unique)| unique);
    unique.is_some_and(|unique| unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether nothing has changed there for this long. A time in the future is a clock that went wrong, and says no.
pub(super) fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|passed| passed >= age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_this_crate_gives_are_temporary() {
        assert!(is_temporary("main.0123456789abcdef0123456789abcdef.tmp"));
        assert!(!is_temporary("notes.tmp") && !is_temporary("0123456789abcdef0123456789abcdef") && !is_temporary(""));
    }
}
