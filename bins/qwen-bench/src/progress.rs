//! Owns what is said on standard error while something is measured.

use std::io::{IsTerminal, Write, stderr};

/// Lines for whoever waits, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Shown on a terminal, and where it is `wanted`.
    pub(crate) fn new(wanted: bool) -> Self {
        Self { is_shown: wanted || stderr().is_terminal() }
    }

    pub(crate) fn say(self, line: &str) {
        if self.is_shown {
            // Standard error that nobody reads any more is no reason to end.
            let _ = writeln!(stderr(), "qwen-bench: {line}");
        }
    }
}
