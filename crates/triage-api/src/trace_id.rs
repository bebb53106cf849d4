//! [`TraceId`]: the name of one request, in its log lines, its answer and its stored conversation.
//!
//! Owns which names are accepted from outside; knows no HTTP.

use std::fmt;

use uuid::Uuid;

/// Lengths of an accepted name, in bytes: from half a UUID to two of them.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=72;

/// Names one request. It is logged, so it must not be made from what identifies a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceId(String);

impl TraceId {
    /// A new random (version 4) UUID.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// A name that somebody else chose: 16 to 72 hexadecimal digits and `-`, as a UUID or a trace
    /// context has them. Names, words and record numbers have other letters, so that no client can
    /// write a patient's into the log.
    pub fn parse(text: &str) -> Option<Self> {
        let sane = LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
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
    fn names_that_could_forge_a_log_line_or_name_a_patient_are_refused() {
        for text in ["", "P000123-Alice-Nguyen", "00000123", "0123456789abcde\n", "0123456789abcde\"", &"a".repeat(73)]
        {
            assert_eq!(TraceId::parse(text), None, "{text:?}");
        }
        for text in ["4bf92f3577b34da6a3ce929d0e0e4736", "a1b2c3d4-0000-4000-8000-0123456789AB"] {
            assert_eq!(TraceId::parse(text).as_ref().map(TraceId::as_str), Some(text));
        }
        assert_eq!(TraceId::random().as_str().len(), 36);
    }
}
