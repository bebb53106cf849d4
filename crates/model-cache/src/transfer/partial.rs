//! Owns the bytes of a file that is not complete, so that an interruption at any moment loses almost none of them.
//!
//! The bytes lie where they belong in a sparse file. Beside it, a small file says of each segment how many bytes from
//! its start are there; it is written after them, so it never promises what is not there. Their folder carries the name
//! of the lease, because an owner that was stopped and replaced may still write: it writes to files of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::Layout;
use crate::lease::{Lease, Predecessor};
use crate::listing::ListedFile;
use crate::{CacheError, space, write};

/// Length of a segment: a connection transfers one after the other, in bytes.
const SEGMENT: u64 = 32 << 20;

/// Inside the folder of a partial file: its bytes, and the record of what is there of them.
const BYTES: &str = "bytes";
const RANGES: &str = "ranges";

/// A file on its way.
#[derive(Debug)]
pub(super) struct Partial {
    /// The file with the bytes.
    path: PathBuf,
    size: u64,
    bytes: File,
    ranges: File,
    /// How many bytes from its start each segment has.
    filled: Vec<AtomicU64>,
}

/// A part of the file that one connection transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) index: usize,
    /// Where it begins, and where it ends (not included).
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Partial {
    /// Goes on with what an earlier owner left, or begins.
    pub(super) fn open(layout: &Layout, file: &ListedFile, lease: &Lease) -> Result<Self, CacheError> {
        let folder = layout.partial(&file.digest, lease.nonce());
        write::directory_of(&folder)?;
        if !folder.exists()
            && let Some((left, _)) = largest(layout, file)
        {
            adopt(&left, &folder, lease.predecessor()).map_err(|error| space::failed(&folder, error))?;
        }
        // Nobody goes on with what others left of the same file; one of them who still writes keeps what is open.
        clear(layout, file, Some(&folder));
        let path = folder.join(BYTES);
        write::directory_of(&path)?;
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(path).map_err(|error| CacheError::io(path, error))
        };
        let ranges_path = folder.join(RANGES);
        let (bytes, ranges) = (open(&path)?, open(&ranges_path)?);
        let count = usize::try_from(file.size.div_ceil(SEGMENT)).unwrap_or(usize::MAX);
        let recorded = recorded(&ranges, count).map_err(|error| CacheError::io(&ranges_path, error))?;
        let partial = Self { path, size: file.size, bytes, ranges, filled: Vec::new() };
        // What is not in the file is not there, whatever the record says.
        let length = partial.bytes.metadata().map_err(|error| CacheError::io(&partial.path, error))?.len();
        let filled = (0..count).zip(recorded).map(|(index, filled)| {
            let segment = partial.segment(index);
            AtomicU64::new(filled.min(segment.end.min(length).saturating_sub(segment.start)))
        });
        Ok(Self { filled: filled.collect(), ..partial })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The segments that are not complete.
    pub(super) fn missing(&self) -> Vec<Segment> {
        (0..self.filled.len())
            .map(|index| self.segment(index))
            .filter(|segment| self.next(*segment) < segment.end)
            .collect()
    }

    /// Where the first missing byte of a segment is.
    pub(super) fn next(&self, segment: Segment) -> u64 {
        segment.start + self.filled[segment.index].load(Ordering::Acquire)
    }

    /// How many bytes of the file are there.
    pub(super) fn done(&self) -> u64 {
        self.filled.iter().map(|filled| filled.load(Ordering::Acquire)).sum()
    }

    /// Adds bytes to a segment, behind those that it has; returns how many belonged to it. One task for each segment.
    pub(super) fn append(&self, segment: Segment, bytes: &[u8]) -> Result<u64, CacheError> {
        let next = self.next(segment);
        let room = usize::try_from(segment.end - next).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(room)];
        let filled = next - segment.start + bytes.len() as u64;
        self.bytes
            .write_all_at(bytes, next)
            .and_then(|()| self.ranges.write_all_at(&filled.to_le_bytes(), segment.index as u64 * 8))
            .map_err(|error| space::failed(&self.path, error))?;
        self.filled[segment.index].store(filled, Ordering::Release);
        Ok(bytes.len() as u64)
    }

    pub(super) fn segment_at(&self, position: u64) -> Segment {
        self.segment(usize::try_from(position / SEGMENT).unwrap_or(usize::MAX))
    }

    fn segment(&self, index: usize) -> Segment {
        let start = index as u64 * SEGMENT;
        Segment { index, start, end: (start + SEGMENT).min(self.size) }
    }

    /// Waits until the bytes are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.bytes.sync_data()
    }

    /// Gives the bytes their name; false when another owner has taken them away.
    pub(super) fn publish(&self, blob: &Path) -> Result<bool, CacheError> {
        match fs::rename(&self.path, blob) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(CacheError::io(blob, error)),
        }
        self.remove()?;
        Ok(true)
    }

    /// Throws away what has no name.
    pub(super) fn remove(&self) -> Result<(), CacheError> {
        let Some(folder) = self.path.parent() else { return Ok(()) };
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(CacheError::io(folder, error)),
            _ => Ok(()),
        }
    }
}

/// What earlier owners left of a file: the folder with the most bytes, and how many.
pub(super) fn largest(layout: &Layout, file: &ListedFile) -> Option<(PathBuf, u64)> {
    let count = usize::try_from(file.size.div_ceil(SEGMENT)).unwrap_or(usize::MAX);
    left_by_all(layout, file)
        .filter_map(|folder| {
            let ranges = File::open(folder.join(RANGES)).ok()?;
            let bytes = recorded(&ranges, count).ok()?.iter().sum();
            Some((folder, bytes))
        })
        .max_by_key(|(_, bytes)| *bytes)
}

/// Throws away what was left of a file, but for the folder `kept`.
pub(super) fn clear(layout: &Layout, file: &ListedFile, kept: Option<&Path>) {
    for folder in left_by_all(layout, file).filter(|folder| Some(folder.as_path()) != kept) {
        let _ = fs::remove_dir_all(folder);
    }
}

/// The folders of all owners of a file.
fn left_by_all(layout: &Layout, file: &ListedFile) -> impl Iterator<Item = PathBuf> {
    let folders = fs::read_dir(layout.partials()).into_iter().flatten().flatten().map(|entry| entry.path());
    let digest = file.digest.hex().to_owned();
    folders.filter(move |folder| folder.file_stem().is_some_and(|stem| stem == digest.as_str()))
}

/// Takes over what another owner left. One that may still write keeps its own files, without a name.
fn adopt(left: &Path, folder: &Path, predecessor: Predecessor) -> io::Result<()> {
    if predecessor == Predecessor::Gone {
        return fs::rename(left, folder);
    }
    // Under a name that nobody takes for bytes to go on with, until it is complete.
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".copy");
    let copy = folder.with_file_name(name);
    let copied = fs::create_dir_all(&copy).and_then(|()| {
        // The record first: it may then be older than the bytes, never newer.
        [RANGES, BYTES].iter().try_for_each(|name| fs::copy(left.join(name), copy.join(name)).map(drop))
    });
    match copied {
        Ok(()) => fs::rename(&copy, folder),
        Err(error) => {
            let _ = fs::remove_dir_all(&copy);
            match error.kind() {
                // Better its own files than none: what is wrong in the end is found by its digest.
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => fs::rename(left, folder),
                _ => Err(error),
            }
        }
    }
}

/// What the record says of each of `count` segments; what it does not say is nothing.
fn recorded(ranges: &File, count: usize) -> io::Result<Vec<u64>> {
    (0..count)
        .map(|index| {
            let mut filled = [0; 8];
            match ranges.read_exact_at(&mut filled, index as u64 * 8) {
                Ok(()) => Ok(u64::from_le_bytes(filled)),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
                Err(error) => Err(error),
            }
        })
        .collect()
}
