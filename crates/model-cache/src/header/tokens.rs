//! Owns reading the JSON of a safetensors header token by token. Must not know what the tokens mean.
//!
//! A header is made of objects, arrays, texts and whole numbers, and what it may hold is known at every place. So what
//! stands there is compared with what may stand there, and nothing is kept of it. A general parser would keep each
//! text as a whole, and text can be nearly all of a file.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Take};

use super::excerpt::Excerpt;
use super::stop::Stop;

/// Read at once, in bytes.
const BUFFER: u64 = 8 << 10;

/// The buffer is no larger than the header divided by this.
pub(super) const BUFFER_SHARE: u64 = 4;

/// A header that is being read.
pub(super) struct Tokens<R> {
    reader: BufReader<Take<R>>,
    /// Where the next byte stands, in bytes from the header's beginning.
    position: u64,
    length: u64,
}

impl<R: Read> Tokens<R> {
    /// The header that is the next `length` bytes of `source`.
    pub(super) fn new(source: R, length: u64) -> Self {
        let buffer = (length / BUFFER_SHARE).clamp(1, BUFFER);
        Self { reader: BufReader::with_capacity(buffer as usize, source.take(length)), position: 0, length }
    }

    /// Where the next byte stands, in bytes from the header's beginning.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Says what is wrong at this place.
    pub(super) fn malformed(&self, what: impl fmt::Display) -> Stop {
        Stop::malformed(format!("in its header, at byte {}: {what}", self.position))
    }

    /// Goes over an object, and gives each name to `member`, which goes over what stands there.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Excerpt) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.list([b'{', b'}'], |tokens| {
            let name = tokens.excerpt()?;
            tokens.expect(b':')?;
            member(tokens, name)
        })
    }

    /// Goes over what stands between two brackets with commas between, each with `item`.
    pub(super) fn list(
        &mut self,
        [open, close]: [u8; 2],
        mut item: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.expect(open)?;
        if self.take(close)? {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take(close)? {
                return Ok(());
            }
            if !self.take(b',')? {
                return Err(self.unexpected(format_args!("`,` or `{}`", char::from(close))));
            }
        }
    }

    /// Goes over white space and `byte`, which must stand there.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        match self.take(byte)? {
            true => Ok(()),
            false => Err(self.unexpected(format_args!("`{}`", char::from(byte)))),
        }
    }

    /// Goes over white space, and over `byte` if that is next, and says whether it was.
    pub(super) fn take(&mut self, byte: u8) -> Result<bool, Stop> {
        let next = self.after_space()?;
        if next != Some(byte) {
            return Ok(false);
        }
        self.advance();
        Ok(true)
    }

    /// Goes over the white space behind everything.
    pub(super) fn finish(&mut self) -> Result<(), Stop> {
        match self.after_space()? {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end")),
        }
    }

    /// Reads a whole number.
    pub(super) fn number(&mut self) -> Result<u64, Stop> {
        self.after_space()?;
        let mut number: Option<u64> = None;
        while let Some(byte @ b'0'..=b'9') = self.peek()? {
            if number == Some(0) {
                return Err(self.unexpected("a number without zeros before it"));
            }
            let tens = number.unwrap_or(0).checked_mul(10);
            number = tens.and_then(|tens| tens.checked_add(u64::from(byte - b'0')));
            if number.is_none() {
                return Err(self.malformed("a number is larger than any file"));
            }
            self.advance();
        }
        number.ok_or_else(|| self.unexpected("a whole number"))
    }

    /// Reads a text, and keeps its beginning.
    pub(super) fn excerpt(&mut self) -> Result<Excerpt, Stop> {
        let mut excerpt = Excerpt::default();
        self.text(|character| excerpt.push(character))?;
        Ok(excerpt)
    }

    /// Goes over white space, and says which byte is next, if any.
    pub(super) fn after_space(&mut self) -> Result<Option<u8>, Stop> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek()? {
            self.advance();
        }
        self.peek()
    }

    /// The next byte; `None` at the header's end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, Stop> {
        if self.position == self.length {
            return Ok(None);
        }
        loop {
            match self.reader.fill_buf() {
                Ok([]) => return Err(Stop::Io(io::ErrorKind::UnexpectedEof.into())),
                Ok([byte, ..]) => return Ok(Some(*byte)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Io(error)),
            }
        }
    }

    /// Goes over the byte that [`Tokens::peek`] has shown.
    fn advance(&mut self) {
        self.reader.consume(1);
        self.position += 1;
    }

    /// Goes over the next byte, which is part of `what`.
    pub(super) fn byte(&mut self, what: &str) -> Result<u8, Stop> {
        let next = self.peek()?;
        let byte = next.ok_or_else(|| self.unexpected(what))?;
        self.advance();
        Ok(byte)
    }

    /// Says that the next byte is not what it should be.
    pub(super) fn unexpected(&mut self, expected: impl fmt::Display) -> Stop {
        match self.peek() {
            Ok(Some(found)) => self.malformed(format_args!("found `{}`, expected {expected}", found.escape_ascii())),
            Ok(None) => self.malformed(format_args!("found the end, expected {expected}")),
            Err(stop) => stop,
        }
    }
}
