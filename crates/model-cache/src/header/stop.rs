//! Owns why a check ends early. Must not know the formats.

use std::io;

use crate::Problem;

/// Why a check ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The source cannot be read.
    Io(io::Error),
    /// The header is wrong.
    Problem(Problem),
}

impl Stop {
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Problem(Problem::Malformed(what.into()))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
