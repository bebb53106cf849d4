//! Owns what makes bytes a version of a model: the links of a commit's folder, and the commit of a branch.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::layout::Layout;
use crate::listing::ListedFile;
use crate::{CacheError, write};

/// The file without which nothing is a checkpoint. It gets its name last, so that a folder that has it has the others.
const LAST: &str = "config.json";

/// Gives the files of a commit their names.
pub(crate) fn publish(layout: &Layout, commit: &str, files: &[ListedFile]) -> Result<(), CacheError> {
    let folder = layout.snapshot(commit);
    let (last, first): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.path == LAST);
    for file in first.into_iter().chain(last) {
        let link = folder.join(&file.path);
        let depth = Path::new(&file.path).components().count();
        let up: PathBuf = std::iter::repeat_n("..", depth + 1).collect();
        let target = up.join("blobs").join(file.digest.hex());
        if fs::read_link(&link).is_ok_and(|present| present == target) {
            continue;
        }
        write::directory_of(&link)?;
        let blob = layout.blob(&file.digest);
        let make = |link: &Path| symlink(&target, link).or_else(|_| fs::hard_link(&blob, link));
        match write::made_by(layout.root(), &link, make) {
            // Another process may have made the same link meanwhile.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(CacheError::io(&link, error)),
            _ => {}
        }
    }
    Ok(())
}

/// Says which commit a branch or tag is, and with that, when it was last asked.
pub(crate) fn refer(layout: &Layout, revision: &str, commit: &str) -> Result<(), CacheError> {
    write::atomically_by(layout.root(), &layout.reference(revision), commit.as_bytes())
}
