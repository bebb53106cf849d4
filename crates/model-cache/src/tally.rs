//! Owns adding up the progress of single files into that of the whole download. Must not know who transfers them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::FetchEvent;
use crate::event::Events;

/// At most about this many progress events per download, beside one per file.
const STEPS: u64 = 1000;

/// The running total of one download.
#[derive(Debug)]
pub(crate) struct Tally {
    total_bytes: u64,
    state: Mutex<State>,
    events: Events,
}

#[derive(Debug, Default)]
struct State {
    by_file: HashMap<String, u64>,
    done_bytes: u64,
    reported: u64,
}

impl Tally {
    /// Begins to count a download of `total_bytes` in files that are not there yet.
    pub(crate) fn new(total_bytes: u64, events: Events) -> Self {
        Self { total_bytes, state: Mutex::default(), events }
    }

    /// A file has `done` of its `of` bytes: an event when it is complete or when enough has come in since the last.
    pub(crate) fn advance(&self, file: &str, done: u64, of: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.by_file.entry(file.to_owned()).or_default();
        let news = done.saturating_sub(*known);
        *known += news;
        state.done_bytes = (state.done_bytes + news).min(self.total_bytes);
        let step = (self.total_bytes / STEPS).max(1);
        if news > 0 && (done >= of || state.done_bytes - state.reported >= step) {
            self.report(&mut state, file, (done, of));
        }
    }

    /// A file of `of` bytes starts over: nothing of it is there any more.
    pub(crate) fn start_over(&self, file: &str, of: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = state.by_file.remove(file).unwrap_or(0);
        state.done_bytes = state.done_bytes.saturating_sub(lost);
        self.report(&mut state, file, (0, of));
    }

    fn report(&self, state: &mut State, file: &str, (done, of): (u64, u64)) {
        state.reported = state.done_bytes;
        self.events.send(FetchEvent::Progress {
            file: file.to_owned(),
            file_done_bytes: done,
            file_total_bytes: of,
            done_bytes: state.done_bytes,
            total_bytes: self.total_bytes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_files_up_and_goes_back_only_where_one_starts_over() {
        let (events, mut received) = Events::new();
        let tally = Tally::new(30, events);
        for (file, done, of) in [("a", 4, 10), ("b", 5, 20), ("a", 4, 10), ("a", 3, 10), ("a", 10, 10)] {
            tally.advance(file, done, of);
        }
        tally.start_over("a", 10);
        tally.advance("a", 7, 10);
        drop(tally);
        let mut seen = Vec::new();
        while let Some(FetchEvent::Progress { file, file_done_bytes, done_bytes, .. }) = received.blocking_recv() {
            seen.push((file, file_done_bytes, done_bytes));
        }
        let expected = [("a", 4, 4), ("b", 5, 9), ("a", 10, 15), ("a", 0, 5), ("a", 7, 12)];
        assert_eq!(seen, expected.map(|(file, done, all)| (file.to_owned(), done, all)));
    }

    #[test]
    fn thins_out_a_long_download() {
        let (events, mut received) = Events::new();
        let tally = Tally::new(1_000_000, events);
        (1..=1_000_000).for_each(|done| tally.advance("a", done, 1_000_000));
        drop(tally);
        let count = std::iter::from_fn(|| received.blocking_recv()).count();
        assert_eq!(count, 1000);
    }
}
