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
}
