//! Owns copying a file while its digest is computed, so that it is read once. Must not know where it goes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::gauge::Gauge;
use crate::{CacheError, Digest, Fault, Problem, space, write};

/// A reader that writes what is read to a second place.
struct Tee<R> {
    from: R,
    to: File,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.to.write_all(&buffer[..length])?;
        Ok(length)
    }
}

/// Copies `from` to the new file `to`, which is on the disk when this returns; the digest is of the kind of `like`.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    name: &str,
    like: &Digest,
    gauge: &Gauge<'_>,
) -> Result<(Digest, u64), CacheError> {
    let source = File::open(from).map_err(|error| CacheError::io(from, error))?;
    let size = source.metadata().map_err(|error| CacheError::io(from, error))?.len();
    write::directory_of(to)?;
    let target = File::create_new(to).map_err(|error| space::failed(to, error))?;
    let sync = target.try_clone().map_err(|error| CacheError::io(to, error))?;
    let tee = Tee { from: gauge.watch(name, size, source), to: target };
    let digest = like.compute(tee, size).and_then(|digest| sync.sync_all().map(|()| digest));
    gauge.done(name);
    Ok((digest.map_err(|error| space::failed(to, error))?, size))
}

/// The error for bytes that are not what they should be.
pub(super) fn mismatch(folder: &Path, file: &str, expected: &Digest, actual: &Digest) -> CacheError {
    let problem = Problem::Malformed(format!("it has {actual}, and should have {expected}"));
    CacheError::Incomplete { path: folder.to_owned(), missing: vec![Fault::new(file, problem)] }
}
