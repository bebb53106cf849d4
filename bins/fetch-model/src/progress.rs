//! Owns how a download looks on standard error: a bar on a terminal, now and then a line elsewhere. Must not know what
//! is downloaded.

use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use model_cache::FetchEvent;

/// The least time between two lines in a log.
const PAUSE: Duration = Duration::from_secs(5);

const TEMPLATE: &str = "{bar:30} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta} left  {msg}";

/// What the person who waits sees.
#[derive(Debug)]
pub(crate) enum Display {
    /// For a terminal.
    Bar(ProgressBar),
    /// For a file or a pipe: the moment of the last line.
    Lines(Mutex<Option<Instant>>),
}

impl Display {
    /// Chooses by what standard error is.
    pub(crate) fn for_stderr() -> Self {
        if stderr().is_terminal() {
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            // Hidden until there is something to download.
            let bar = ProgressBar::hidden().with_style(style);
            Self::Bar(bar)
        } else {
            Self::Lines(Mutex::default())
        }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &FetchEvent) {
        match self {
            Self::Bar(bar) => show_bar(bar, event),
            Self::Lines(last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = line(event, &mut last, Instant::now()) {
                    eprintln!("{line}");
                }
            }
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn close(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn show_bar(bar: &ProgressBar, event: &FetchEvent) {
    match event {
        FetchEvent::Started { total_bytes, .. } => {
            bar.set_length(*total_bytes);
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        FetchEvent::Progress { file, done_bytes, .. } => {
            bar.set_position(*done_bytes);
            bar.set_message(file.clone());
        }
        _ => {}
    }
}

/// The line for an event, unless the last one was written too short a time ago.
fn line(event: &FetchEvent, last: &mut Option<Instant>, now: Instant) -> Option<String> {
    match event {
        FetchEvent::Started { files, total_bytes } => {
            *last = Some(now);
            Some(format!("fetching {}, {files} files", HumanBytes(*total_bytes)))
        }
        FetchEvent::Progress { done_bytes, total_bytes, .. } => {
            if last.is_some_and(|last| now.duration_since(last) < PAUSE) {
                return None;
            }
            *last = Some(now);
            let percent = done_bytes.saturating_mul(100) / (*total_bytes).max(1);
            Some(format!("{percent}%: {} of {}", HumanBytes(*done_bytes), HumanBytes(*total_bytes)))
        }
        FetchEvent::Finished { .. } => Some("the model is complete".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few() {
        let start = Instant::now();
        let mut last = None;
        let started = FetchEvent::Started { files: 3, total_bytes: 4096 };
        assert_eq!(line(&started, &mut last, start).as_deref(), Some("fetching 4.00 KiB, 3 files"));
        let half = FetchEvent::Progress { file: "a".to_owned(), done_bytes: 2048, total_bytes: 4096 };
        assert_eq!(line(&half, &mut last, start + PAUSE / 2), None);
        assert_eq!(line(&half, &mut last, start + PAUSE).as_deref(), Some("50%: 2.00 KiB of 4.00 KiB"));
        assert_eq!(line(&half, &mut last, start + PAUSE + PAUSE / 2), None);
        let finished = FetchEvent::Finished { path: "x".into() };
        assert_eq!(line(&finished, &mut last, start + PAUSE).as_deref(), Some("the model is complete"));
    }
}
