//! Owns when a model was last read. The file system notes it, coarsely: by default, Linux does once a day.

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The last access to any of these files; on a volume that does not note accesses, when they came in.
pub(super) fn last_use<'a>(files: impl Iterator<Item = &'a Path>) -> Option<SystemTime> {
    let times = files
        .filter_map(|path| fs::metadata(path).ok())
        .flat_map(|metadata| [metadata.accessed(), metadata.modified()].into_iter().flatten());
    times.max()
}

/// Access times that are put back when this is dropped: to look at a model is not to use it.
#[derive(Debug, Default)]
pub(super) struct Unread(Vec<(PathBuf, SystemTime)>);

impl Unread {
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a Path>) -> Self {
        let accessed = |path: &Path| Some((path.to_owned(), fs::metadata(path).ok()?.accessed().ok()?));
        Self(files.filter_map(accessed).collect())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        for (path, before) in &self.0 {
            let changed = fs::metadata(path).and_then(|metadata| metadata.accessed()).is_ok_and(|now| now != *before);
            if changed && let Ok(file) = File::open(path) {
                // On a read-only volume nothing has changed; of somebody else's file the time cannot be set.
                let _ = file.set_times(FileTimes::new().set_accessed(*before));
            }
        }
    }
}
