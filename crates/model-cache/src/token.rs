//! Owns the secret that the Hub asks for. Must not know who sends it where, and never lets it into a log.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

use crate::CacheError;

/// An access token of the Hub (`hf_…`): redacted in [`Debug`], wiped from memory when dropped.
#[derive(Clone)]
pub struct AccessToken(SecretString);

impl AccessToken {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for AccessToken {
    type Err = CacheError;

    /// Takes a token; white space around it (the last line feed of a secret file) is dropped.
    ///
    /// # Errors
    ///
    /// [`CacheError::InvalidConfig`] when nothing is left, or when it could not stand in an HTTP header. The message
    /// does not repeat the token.
    fn from_str(text: &str) -> Result<Self, CacheError> {
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CacheError::InvalidConfig { what: "the access token must be printable ASCII without spaces" });
        }
        Ok(Self(SecretString::from(token)))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AccessToken(redacted)")
    }
}
