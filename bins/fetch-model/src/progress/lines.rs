//! Owns progress for a file or a pipe: now and then a line.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Step, say};
use crate::quantity::size;

/// The least time between two lines of progress.
const PAUSE: Duration = Duration::from_secs(5);

/// The moment of the last line.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Option<Instant>>);

impl Lines {
    pub(super) fn show(&self, step: &Step) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = line(step, &mut last, Instant::now()) {
            say(&line);
        }
    }
}

/// The line for a step, unless the last one was written too short a time ago.
fn line(step: &Step, last: &mut Option<Instant>, now: Instant) -> Option<String> {
    match step {
        Step::Started { files, total_bytes, resumed_bytes } => {
            *last = Some(now);
            Some(match resumed_bytes {
                None => format!("reading {}, {files} files", size(*total_bytes)),
                Some(0) => format!("fetching {}, {files} files", size(*total_bytes)),
                Some(here) => format!("fetching {}, {files} files; {} are here", size(*total_bytes), size(*here)),
            })
        }
        Step::Progress { done_bytes, total_bytes, .. } => {
            if last.is_some_and(|last| now.duration_since(last) < PAUSE) {
                return None;
            }
            *last = Some(now);
            let percent = done_bytes.saturating_mul(100) / (*total_bytes).max(1);
            Some(format!("{percent}%: {} of {}", size(*done_bytes), size(*total_bytes)))
        }
        Step::Waiting { reason, delay } => Some(waiting(reason, *delay)),
        Step::Warning { message } => Some(format!("warning: {message}")),
        Step::Finished { .. } => Some("the model is complete".to_owned()),
        Step::Verified { .. } | Step::Done { .. } => None,
    }
}

/// A short wait is one for another process, which is looked at again and again.
pub(super) fn waiting(reason: &str, delay: Duration) -> String {
    if delay < Duration::from_secs(1) {
        format!("waiting: {reason}")
    } else {
        format!("waiting: {reason}; next try in {} s", delay.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few() {
        let start = Instant::now();
        let mut last = None;
        let started = Step::Started { files: 3, total_bytes: 4096, resumed_bytes: Some(0) };
        assert_eq!(line(&started, &mut last, start).as_deref(), Some("fetching 4.00 KiB, 3 files"));
        let half = Step::Progress {
            file: "a".to_owned(),
            file_done_bytes: 1,
            file_total_bytes: 2,
            done_bytes: 2048,
            total_bytes: 4096,
        };
        assert_eq!(line(&half, &mut last, start + PAUSE / 2), None);
        assert_eq!(line(&half, &mut last, start + PAUSE).as_deref(), Some("50%: 2.00 KiB of 4.00 KiB"));
        assert_eq!(line(&half, &mut last, start + PAUSE + PAUSE / 2), None);
        let waiting = Step::Waiting { reason: "the Hub says 429".to_owned(), delay: Duration::from_secs(4) };
        assert_eq!(line(&waiting, &mut last, start).as_deref(), Some("waiting: the Hub says 429; next try in 4 s"));
        let finished = Step::Finished { path: "x".into() };
        assert_eq!(line(&finished, &mut last, start + PAUSE).as_deref(), Some("the model is complete"));
    }
}
