//! Owns reading one JSON file of a model, bounded in size. Must not know what stands in it.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{CacheError, Problem, regular_file};

/// More than any configuration or tokenizer has; what is longer is not read, in bytes.
const MAX_LENGTH: u64 = 256 << 20;

/// Reads `path`. The outer error is the disk's, the inner one is about the file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Result<T, Problem>, CacheError> {
    let file = match regular_file::open(path)? {
        Ok(file) => file,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut text = Vec::new();
    file.take(MAX_LENGTH).read_to_end(&mut text).map_err(|error| CacheError::io(path, error))?;
    Ok(serde_json::from_slice(&text).map_err(|error| Problem::Malformed(format!("not the JSON it should be: {error}"))))
}
