//! [`CheckpointFiles`]: the files of a checkpoint, in a directory or in the program itself.

use std::borrow::Cow;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::mapped_file::MappedFile;
use crate::error::RuntimeError;

/// A file that a program holds: its name and its bytes.
pub type EmbeddedFile = (&'static str, &'static [u8]);

/// Where the files of a checkpoint are.
#[derive(Debug, Clone)]
pub(crate) enum CheckpointFiles {
    /// In a directory; there may be tensors in it, or not.
    Directory(PathBuf),
    /// In the program, under a name for messages.
    Embedded(PathBuf, &'static [EmbeddedFile]),
}

/// The bytes of a file.
#[derive(Debug)]
pub(crate) enum FileBytes {
    Mapped(MappedFile),
    Embedded(&'static [u8]),
}

impl CheckpointFiles {
    /// Where they are, for messages.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::Embedded(path, _) => path,
        }
    }

    /// The place of a file, for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A whole file; `None` when there is none of that name.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, RuntimeError> {
        match self {
            Self::Directory(directory) => match std::fs::read(directory.join(name)) {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(RuntimeError::io(&self.path_of(name), error)),
            },
            Self::Embedded(_, files) => Ok(embedded(files, name).map(Cow::Borrowed)),
        }
    }

    /// A file that must be there, for reading parts of it.
    pub(crate) fn open(&self, name: &str) -> Result<FileBytes, RuntimeError> {
        match self {
            Self::Directory(directory) => MappedFile::open(&directory.join(name)).map(FileBytes::Mapped),
            Self::Embedded(_, files) => {
                embedded(files, name).map(FileBytes::Embedded).ok_or_else(|| self.missing(name))
            }
        }
    }

    /// What is to be said when a file that must be there is not.
    pub(crate) fn missing(&self, name: &str) -> RuntimeError {
        RuntimeError::io(&self.path_of(name), std::io::ErrorKind::NotFound.into())
    }
}

fn embedded(files: &'static [EmbeddedFile], name: &str) -> Option<&'static [u8]> {
    files.iter().find(|(own, _)| *own == name).map(|(_, bytes)| *bytes)
}

impl FileBytes {
    /// Lets the system take back the memory of bytes that have been copied.
    pub(crate) fn release(&self, bytes: &[u8]) {
        match self {
            Self::Mapped(file) => file.release(bytes),
            // Pages of a program are the system's own business.
            Self::Embedded(_) => {}
        }
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file,
            Self::Embedded(bytes) => bytes,
        }
    }
}
