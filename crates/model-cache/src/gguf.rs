//! Owns telling a GGUF file from something else. How long it must be depends on its tensors' types, which are the
//! loader's business.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{CacheError, Problem};

/// Looks at the first bytes of `path`: a GGUF file of version 2 or 3, little-endian.
pub(crate) fn problem(path: &Path) -> Result<Option<Problem>, CacheError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Some(Problem::Missing)),
        Err(error) => return Err(CacheError::io(path, error)),
    };
    let mut start = [0; 8];
    match file.read_exact(&mut start) {
        Ok(()) if matches!(&start, [b'G', b'G', b'U', b'F', 2 | 3, 0, 0, 0]) => Ok(None),
        Ok(()) => Ok(Some(Problem::Malformed("it does not begin as a GGUF file does".to_owned()))),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Ok(Some(Problem::Malformed("it is too short for a GGUF file".to_owned())))
        }
        Err(error) => Err(CacheError::io(path, error)),
    }
}
