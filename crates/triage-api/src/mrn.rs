//! [`Mrn`]: a medical record number, parsed once at the edge.

use crate::hidden::hide_debug;

/// Longest accepted record number, in bytes.
const MAX_LEN: usize = 64;

/// A medical record number: 1 to 64 ASCII letters, digits, `-`, `_` or `.`.
///
/// It identifies a patient, so `Debug` hides it and there is no `Display`: [`Mrn::as_str`] is the
/// one way to its text, and its uses can be searched for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mrn(String);

impl Mrn {
    /// Reads a record number.
    ///
    /// # Errors
    /// [`InvalidMrn`] when it is empty, too long or has other characters.
    pub fn parse(text: &str) -> Result<Self, InvalidMrn> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(allowed) {
            return Err(InvalidMrn);
        }
        Ok(Self(text.to_owned()))
    }

    /// The number itself; never for a log or a metric.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

hide_debug!(Mrn);

/// The text is not a medical record number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a medical record number has 1 to 64 letters, digits, '-', '_' or '.'")]
pub struct InvalidMrn;
