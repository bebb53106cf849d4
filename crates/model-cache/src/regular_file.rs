//! Owns opening a file of a model. What is not a regular file is not opened: reading a pipe would wait for ever.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use crate::{CacheError, Problem};

/// Opens `path`. The outer error is the disk's, the inner one is about the file.
pub(crate) fn open(path: &Path) -> Result<Result<File, Problem>, CacheError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(Err(Problem::Malformed("it is not a regular file".to_owned()))),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Err(Problem::Missing)),
        Err(error) => return Err(CacheError::io(path, error)),
    }
    File::open(path).map(Ok).map_err(|error| CacheError::io(path, error))
}
