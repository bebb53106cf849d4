//! What lies on the disk, looked at without the crate that put it there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::hub::{Content, digest_like};

/// The folder of a repository.
pub(crate) fn repo(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("models--{}", id.replace('/', "--")))
}

/// The names in a directory; none when it does not exist.
pub(crate) fn names(dir: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Fails unless every file under a final name is what its name says: each blob has the digest that it is called, and
/// each file of a snapshot is a link to a blob that is there.
pub(crate) fn assert_sound(dir: &Path) {
    for folder in names(dir).into_iter().filter(|name| name.starts_with("models--")) {
        let blobs = dir.join(&folder).join("blobs");
        for name in names(&blobs) {
            assert!(matches!(name.len(), 40 | 64), "{name} is no digest");
            assert_eq!(digest_like(&name, &Content::open(&blobs.join(&name))), name, "a blob is not what it is called");
        }
        for commit in names(&dir.join(&folder).join("snapshots")) {
            assert_links(&dir.join(&folder).join("snapshots").join(commit), &blobs);
        }
    }
}

fn assert_links(folder: &Path, blobs: &Path) {
    for name in names(folder) {
        let path = folder.join(name);
        if path.is_symlink() {
            let target = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(target.parent(), blobs.canonicalize().ok().as_deref(), "{}", path.display());
        } else {
            assert!(path.is_dir(), "{} is neither a link nor a folder", path.display());
            assert_links(&path, blobs);
        }
    }
}

/// The bytes of a page, the grain in which bytes are looked at.
pub(crate) const PAGE: u64 = 4096;

/// The bytes of a file that is not complete, in whichever partial file has most of them: those pages of it that are
/// as they should be.
pub(crate) fn unfinished(dir: &Path, id: &str, whole: &Content) -> u64 {
    pages(dir, id, whole).iter().filter(|right| **right).count() as u64 * PAGE
}

/// Which pages of a file that is not complete are as they should be.
pub(crate) fn pages(dir: &Path, id: &str, whole: &Content) -> Vec<bool> {
    let mut found = vec![];
    files_below(&repo(dir, id).join("partial"), &mut found);
    let judged = found.iter().filter_map(|path| File::open(path).ok()).map(|part| right_pages(&part, whole));
    judged.max_by_key(|pages| pages.iter().filter(|right| **right).count()).unwrap_or_default()
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for name in names(dir) {
        let path = dir.join(name);
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

fn right_pages(part: &File, whole: &Content) -> Vec<bool> {
    let mut page = vec![0; PAGE as usize];
    let right = |number| {
        let start = number * PAGE;
        part.read_exact_at(&mut page, start).is_ok() && page == *whole.read(start, start + PAGE)
    };
    (0..whole.len() / PAGE).map(right).collect()
}
