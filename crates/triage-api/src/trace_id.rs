//! [`TraceId`]: the name of one request, in its log lines, its answer and its stored conversation.
//!
//! Owns which names are accepted from outside; knows no HTTP.

use std::fmt;

use uuid::Uuid;

/// Longest accepted name, in bytes.
const MAX_LEN: usize = 64;

/// Names one request. It is logged, so it must not be made from what identifies a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceId(String);

impl TraceId {
    /// A new random (version 4) UUID.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// A name that somebody else chose: 1 to 64 ASCII letters, digits, `-`, `_` or `.`.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let sane = !text.is_empty() && text.len() <= MAX_LEN && text.bytes().all(allowed);
        sane.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::TraceId;

    #[test]
    fn names_that_could_forge_a_log_line_are_refused() {
        for text in ["", "a b", "a\nb", "a\"b", "é", &"x".repeat(65)] {
            assert_eq!(TraceId::parse(text), None, "{text:?}");
        }
        assert_eq!(TraceId::parse("req-1_2.3").as_ref().map(TraceId::as_str), Some("req-1_2.3"));
        assert_eq!(TraceId::random().as_str().len(), 36);
    }
}
