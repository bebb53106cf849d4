//! Owns how progress looks on standard error. Must not know what is being done.

mod bar;
mod json;
mod lines;
mod step;

use std::io::{IsTerminal, Write, stderr};

use indicatif::MultiProgress;

pub(crate) use step::Step;

use crate::cli::Progress;
use bar::Bars;
use lines::Lines;

/// What the person or the program that waits sees.
#[derive(Debug)]
pub(crate) enum Display {
    /// For a terminal.
    Bars(Box<Bars>),
    /// For a file or a pipe.
    Lines(Lines),
    /// For a program.
    Json,
    /// For nobody.
    Nothing,
}

impl Display {
    pub(crate) fn new(progress: Progress) -> Self {
        match progress {
            Progress::Bar => Self::Bars(Box::default()),
            Progress::Lines => Self::Lines(Lines::default()),
            Progress::Json => Self::Json,
            Progress::None => Self::Nothing,
            Progress::Auto if stderr().is_terminal() => Self::Bars(Box::default()),
            Progress::Auto => Self::Lines(Lines::default()),
        }
    }

    /// Shows one step.
    pub(crate) fn show(&self, step: impl TryInto<Step>) {
        let Ok(step) = step.try_into() else { return };
        match self {
            Self::Bars(bars) => bars.show(&step),
            Self::Lines(lines) => lines.show(&step),
            Self::Json => say(&json::step(&step).to_string()),
            Self::Nothing => {}
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn close(&self) {
        if let Self::Bars(bars) = self {
            bars.close();
        }
    }

    /// Says what came of it, where a person reads it.
    pub(crate) fn note(&self, text: &str) {
        if !matches!(self, Self::Json | Self::Nothing) {
            say(text);
        }
    }

    /// Says why it ended, and what may help.
    pub(crate) fn fail(&self, message: &str, hint: Option<&str>) {
        self.close();
        match self {
            Self::Json => say(&json::error(message, hint).to_string()),
            _ => {
                say(&format!("error: {message}"));
                hint.into_iter().for_each(|hint| say(&format!("hint: {hint}")));
            }
        }
    }

    /// What log lines are written to, so that they stand above the bars.
    pub(crate) fn log(&self) -> Log {
        Log { bars: if let Self::Bars(bars) = self { Some(bars.multi().clone()) } else { None } }
    }
}

/// Standard error that nobody reads any more is no reason to end.
fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Standard error, as logs see it.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    bars: Option<MultiProgress>,
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &self.bars {
            Some(bars) => bars.suspend(|| stderr().write(bytes)),
            None => stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stderr().flush()
    }
}
