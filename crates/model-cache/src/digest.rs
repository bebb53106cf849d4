//! Owns what the bytes of a file must add up to, as the Hub says it in an ETag. Must not know where files lie.

use std::fmt;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// How much is hashed at once, in bytes: enough to keep the disk busy, little enough for any machine.
const BUFFER: usize = 1 << 20;

/// The digest by which the Hub knows a file, and the name of its bytes in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// Of the bytes, for files kept in Git LFS or Xet: weights.
    Sha256(String),
    /// Of git's blob (`blob LENGTH\0` and the bytes), for files kept in git itself.
    GitSha1(String),
}

impl Digest {
    /// Reads a digest in hexadecimal: 64 digits are a SHA-256, 40 are git's; else `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.len() {
            64 if hex => Some(Self::Sha256(text)),
            40 if hex => Some(Self::GitSha1(text)),
            _ => None,
        }
    }

    /// The digits, in lower case.
    pub fn hex(&self) -> &str {
        let (Self::Sha256(hex) | Self::GitSha1(hex)) = self;
        hex
    }

    /// Computes the digest of the same kind over `reader`, which holds `length` bytes.
    pub(crate) fn compute(&self, reader: impl Read, length: u64) -> io::Result<Self> {
        Ok(match self {
            Self::Sha256(_) => Self::Sha256(hash(Sha256::new(), reader)?),
            Self::GitSha1(_) => {
                let mut hasher = Sha1::new();
                hasher.update(format!("blob {length}\0"));
                Self::GitSha1(hash(hasher, reader)?)
            }
        })
    }

    /// Whether the bytes of `file`, which is read from where it stands, add up to this digest.
    pub(crate) fn is_of(&self, file: &File) -> io::Result<bool> {
        Ok(self.compute(file, file.metadata()?.len())? == *self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(out, "sha256 {hex}"),
            Self::GitSha1(hex) => write!(out, "git sha1 {hex}"),
        }
    }
}

fn hash(mut hasher: impl sha2::Digest, mut reader: impl Read) -> io::Result<String> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_what_sha256sum_and_git_print() {
        let sha256 = Digest::parse(&"0".repeat(64)).unwrap().compute(&b"hello\n"[..], 6).unwrap();
        assert_eq!(sha256.hex(), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        let git = Digest::parse(&"0".repeat(40)).unwrap().compute(&b"hello\n"[..], 6).unwrap();
        assert_eq!(git.hex(), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn only_hexadecimal_of_the_two_lengths_is_a_digest() {
        assert_eq!(Digest::parse("tag"), None);
        assert_eq!(Digest::parse(&"g".repeat(40)), None);
        assert_eq!(Digest::parse(&"A".repeat(64)), Some(Digest::Sha256("a".repeat(64))));
    }
}
