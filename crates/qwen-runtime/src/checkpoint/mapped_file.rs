//! A file mapped into memory, read only.

#![expect(unsafe_code, reason = "mapping a file is the one unsafe act here; see the block")]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::error::RuntimeError;

/// The bytes of a file, backed by the page cache.
#[derive(Debug)]
pub(crate) struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps the whole file.
    pub(crate) fn open(path: &Path) -> Result<Self, RuntimeError> {
        let file = File::open(path).map_err(|source| RuntimeError::io(path, source))?;
        // SAFETY: the mapping is read only and lives as long as `self`. Checkpoints are published
        // under their final name when they are whole and are never written again, which is what
        // the mapping relies on. Every offset into it is checked against its length.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| RuntimeError::io(path, source))?;
        Ok(Self { map })
    }

    /// Lets the system take back the memory of `bytes`, if they are bytes of this file: whoever has
    /// copied them needs them no more. They are read from the file again where they are wanted.
    #[cfg(target_os = "linux")]
    pub(crate) fn release(&self, bytes: &[u8]) {
        let Some(start) = (bytes.as_ptr() as usize).checked_sub(self.map.as_ptr() as usize) else { return };
        if bytes.is_empty() || start + bytes.len() > self.map.len() {
            return;
        }
        // SAFETY: the advice may change what memory holds only where it was written, and this
        // mapping is read only: what is read again is the file, unchanged as `open` relies on.
        // So the pages that the bytes share with their neighbours may go, too.
        let advised =
            unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, bytes.len()) };
        drop(advised);
    }

    /// Elsewhere the pages of a file are the system's own business.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn release(&self, _bytes: &[u8]) {}
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_what_the_file_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bytes");
        std::fs::write(&path, b"whole").unwrap();
        assert_eq!(&*MappedFile::open(&path).unwrap(), b"whole");
        assert!(matches!(MappedFile::open(&dir.path().join("absent")), Err(RuntimeError::Io { .. })));
    }

    #[test]
    fn what_was_released_can_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bytes");
        let bytes: Vec<u8> = (0..50_000_u32).map(|index| (index % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert_eq!(&*file, bytes);
        file.release(&file[5_000..40_000]);
        file.release(&[1, 2, 3]);
        file.release(&file[..0]);
        assert_eq!(&*file, bytes);
    }
}
