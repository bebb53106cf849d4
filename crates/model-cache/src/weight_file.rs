//! Owns checking the header of a weight file on the disk. Must not know the formats.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::header::{check_gguf, check_safetensors};
use crate::{CacheError, Problem, regular_file};

/// What is wrong with the safetensors file at `path`, or that there is none.
pub(crate) fn safetensors(path: &Path) -> Result<Option<Problem>, CacheError> {
    problem(path, check_safetensors)
}

/// What is wrong with the GGUF file at `path`, or that there is none.
pub(crate) fn gguf(path: &Path) -> Result<Option<Problem>, CacheError> {
    problem(path, check_gguf)
}

fn problem(
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
