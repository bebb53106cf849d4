//! Owns how long a safetensors file must be, read from its header alone. Must not know what its tensors mean.
//!
//! The format: 8 bytes with the header's length (little-endian), the header (JSON: for each tensor the range of its
//! bytes behind the header), the bytes of the tensors.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use crate::{CacheError, Problem};

/// The longest header that the format allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Deserialize)]
struct Entry {
    /// Only `__metadata__` has none.
    data_offsets: Option<(u64, u64)>,
}

/// Checks that `path` is exactly as long as its header says. Allocates no more than the file is long.
pub(crate) fn problem(path: &Path) -> Result<Option<Problem>, CacheError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Problem::Missing)),
        Err(error) => return Err(CacheError::io(path, error)),
    };
    let length = file.metadata().map_err(|error| CacheError::io(path, error))?.len();
    let expected = expected_length(&file, length).map_err(|error| CacheError::io(path, error))?;
    Ok(match expected {
        Ok(expected) if expected == length => None,
        Ok(expected) => Some(Problem::Length { expected, actual: length }),
        Err(what) => Some(Problem::Malformed(what)),
    })
}

fn expected_length(mut file: impl Read, length: u64) -> io::Result<Result<u64, String>> {
    let mut prefix = [0; 8];
    if length < 8 {
        return Ok(Err(format!("{length} bytes are too few for a safetensors file")));
    }
    file.read_exact(&mut prefix)?;
    let header_length = u64::from_le_bytes(prefix);
    if header_length > MAX_HEADER {
        return Ok(Err(format!("a header of {header_length} bytes is not possible")));
    }
    // The header itself is cut off, so nobody can say how long the whole would be: at least this long.
    let data_start = 8 + header_length;
    if data_start > length {
        return Ok(Ok(data_start));
    }
    let mut header = Vec::new();
    file.take(header_length).read_to_end(&mut header)?;
    let entries: HashMap<String, Entry> = match serde_json::from_slice(&header) {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(format!("its header is not the JSON it should be: {error}"))),
    };
    let mut data_length = 0;
    for (name, entry) in entries {
        match entry.data_offsets {
            Some((begin, end)) if begin <= end => data_length = data_length.max(end),
            Some(_) => return Ok(Err(format!("tensor {name} ends before it begins"))),
            None if name == "__metadata__" => {}
            None => return Ok(Err(format!("tensor {name} has no place"))),
        }
    }
    Ok(data_start.checked_add(data_length).ok_or_else(|| "its tensors end beyond any file".to_owned()))
}
