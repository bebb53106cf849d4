//! Owns reading a header piece by piece, never past the file's length. Must not know what the pieces mean.

use std::io::{self, BufRead, BufReader, Read, Take};

use super::stop::Stop;
use crate::Problem;

/// No tokenizer makes a header as long, in bytes. What a header says costs this much reading at most.
const MAX_HEADER: u64 = 256 << 20;

/// Read at once, in bytes.
const BUFFER: u64 = 64 << 10;

/// The header of a file of known length.
pub(super) struct Source<R> {
    reader: BufReader<Take<R>>,
    position: u64,
    length: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R, length: u64) -> Self {
        let reader = BufReader::with_capacity(length.min(BUFFER) as usize, reader.take(length));
        Self { reader, position: 0, length }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Where the header is after `count` times `bytes` bytes; `what` they are, for the sentence that refuses them.
    pub(super) fn expect(&self, what: &str, count: u64, bytes: u64) -> Result<u64, Stop> {
        let end = count.checked_mul(bytes).and_then(|bytes| self.position.checked_add(bytes));
        match end {
            Some(end) if end <= self.length.min(MAX_HEADER) => Ok(end),
            // As long as the header could be true, the file was cut off.
            Some(end) if end <= MAX_HEADER => {
                Err(Stop::Problem(Problem::Length { expected: end, actual: self.length }))
            }
            _ => Err(Stop::malformed(format!("its header would be longer than 256 MiB ({what}: {count})"))),
        }
    }

    /// The next `N` bytes, which are `what`.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.read(what, &mut bytes)?;
        Ok(bytes)
    }

    /// The next bytes, which are `what`, in `place`.
    pub(super) fn read<'a>(&mut self, what: &str, place: &'a mut [u8]) -> Result<&'a [u8], Stop> {
        let end = self.expect(what, place.len() as u64, 1)?;
        self.reader.read_exact(place)?;
        self.position = end;
        Ok(place)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, Stop> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, Stop> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// Goes over `count` times `bytes` bytes, which are `what`, and says whether `accept` takes all of them.
    pub(super) fn all(
        &mut self,
        what: &str,
        count: u64,
        bytes: u64,
        accept: impl Fn(&u8) -> bool,
    ) -> Result<bool, Stop> {
        let end = self.expect(what, count, bytes)?;
        let mut accepted = true;
        while self.position < end {
            let piece = self.reader.fill_buf()?;
            if piece.is_empty() {
                return Err(Stop::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            let length = piece.len().min((end - self.position) as usize);
            accepted = accepted && piece[..length].iter().all(&accept);
            self.reader.consume(length);
            self.position += length as u64;
        }
        Ok(accepted)
    }

    /// Goes over `count` times `bytes` bytes, which are `what`.
    pub(super) fn skip(&mut self, what: &str, count: u64, bytes: u64) -> Result<(), Stop> {
        self.all(what, count, bytes, |_| true).map(|_| ())
    }
}
