//! Owns opening a weight file for a check of its header. Must not know the formats.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::{CacheError, Problem, regular_file};

/// What `check` finds in the file at `path`, or that there is none.
pub(super) fn problem(
    path: &Path,
    check: impl FnOnce(File, u64) -> io::Result<Option<Problem>>,
) -> Result<Option<Problem>, CacheError> {
    let file = match regular_file::open(path)? {
        Ok(file) => file,
        Err(problem) => return Ok(Some(problem)),
    };
    let length = file.metadata().map_err(|error| CacheError::io(path, error))?.len();
    check(file, length).map_err(|error| CacheError::io(path, error))
}
