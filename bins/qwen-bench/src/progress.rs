//! Owns what is shown on standard error while something is loaded, written or measured.

use std::io::{IsTerminal, Write, stderr};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;

const TEMPLATE: &str = "{bar:40} {percent:>3}% {eta}";

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

    /// A bar for one piece of work, which shows on a terminal only.
    pub(crate) fn bar() -> Result<ProgressBar, Failure> {
        let style = ProgressStyle::with_template(TEMPLATE).context("the bar's template")?;
        Ok(ProgressBar::no_length().with_style(style))
    }
}
