//! Owns the file that is written: under another name beside its place until it is whole. Must not know what is in it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::options::ExistingFile;
use crate::error::RuntimeError;

/// A file that takes its name when it is finished, and leaves nothing behind when it is not.
#[derive(Debug)]
pub(super) struct OutputFile {
    target: PathBuf,
    existing: ExistingFile,
    partial: PathBuf,
    file: File,
    written: u64,
}

impl OutputFile {
    /// Starts a file that is to be called `target`.
    pub(super) fn create(target: &Path, existing: ExistingFile) -> Result<Self, RuntimeError> {
        refuse_existing(target, existing)?;
        let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "it does not name a file");
        let mut name = target.file_name().ok_or_else(|| RuntimeError::write(target, invalid()))?.to_owned();
        // No other process takes this name, not even one of the same number in another container, and a file that a
        // killed process has left is in nobody's way.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        name.push(format!(".{}-{}.partial", std::process::id(), now.as_nanos()));
        let partial = target.with_file_name(name);
        let file = File::create_new(&partial).map_err(|source| RuntimeError::write(&partial, source))?;
        Ok(Self { target: target.to_owned(), existing, partial, file, written: 0 })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        self.file.write_all(bytes).map_err(|source| RuntimeError::write(&self.target, source))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Appends zeros up to a multiple of `alignment`.
    pub(super) fn pad(&mut self, alignment: u64) -> Result<(), RuntimeError> {
        let missing = self.written.next_multiple_of(alignment) - self.written;
        self.write(&vec![0; missing as usize])
    }

    /// Gives the file its name and returns its length.
    pub(super) fn finish(mut self) -> Result<u64, RuntimeError> {
        // On the disk before it has its name: whoever finds the name finds a whole file.
        self.file.sync_all().map_err(|source| RuntimeError::write(&self.target, source))?;
        refuse_existing(&self.target, self.existing)?;
        std::fs::rename(&self.partial, &self.target).map_err(|source| RuntimeError::write(&self.target, source))?;
        self.partial = PathBuf::new();
        Ok(self.written)
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.partial.as_os_str().is_empty()
            && let Err(error) = std::fs::remove_file(&self.partial)
        {
            tracing::warn!(path = %self.partial.display(), %error, "a partial file stays behind");
        }
    }
}

fn refuse_existing(target: &Path, existing: ExistingFile) -> Result<(), RuntimeError> {
    if existing == ExistingFile::Keep && target.symlink_metadata().is_ok() {
        return Err(RuntimeError::TargetExists { path: target.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn takes_its_name_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.gguf");
        let mut file = OutputFile::create(&target, ExistingFile::Keep).unwrap();
        file.write(b"abc").unwrap();
        file.pad(8).unwrap();
        file.pad(8).unwrap();
        assert!(!target.exists());
        assert_eq!(file.finish().unwrap(), 8);
        assert_eq!(std::fs::read(&target).unwrap(), b"abc\0\0\0\0\0");
        assert_eq!(names(directory.path()), ["a.gguf"]);
    }

    #[test]
    fn leaves_nothing_when_it_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.gguf");
        let mut file = OutputFile::create(&target, ExistingFile::Keep).unwrap();
        file.write(b"abc").unwrap();
        drop(file);
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn replaces_only_when_told_to() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.gguf");
        // The other file comes while this one is written.
        let late = OutputFile::create(&target, ExistingFile::Keep).unwrap();
        std::fs::write(&target, b"old").unwrap();
        assert!(matches!(late.finish(), Err(RuntimeError::TargetExists { .. })));
        assert!(matches!(OutputFile::create(&target, ExistingFile::Keep), Err(RuntimeError::TargetExists { .. })));
        let mut file = OutputFile::create(&target, ExistingFile::Replace).unwrap();
        file.write(b"new").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        file.finish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(names(directory.path()), ["a.gguf"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        for target in [directory.path().join("absent/a.gguf"), PathBuf::from("/")] {
            let error = OutputFile::create(&target, ExistingFile::Replace).unwrap_err();
            assert!(matches!(&error, RuntimeError::Write { .. }), "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.gguf");
        let mut file = OutputFile::create(&target, ExistingFile::Keep).unwrap();
        file.file = File::options().write(true).open("/dev/full").unwrap();
        let error = file.write(b"abc").unwrap_err();
        assert!(matches!(&error, RuntimeError::Write { path, .. } if *path == target), "{error}");
        drop(file);
        assert!(names(directory.path()).is_empty());
    }
}
