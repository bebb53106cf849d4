//! Owns adding up the progress of single files into that of the whole download. Must not know who transfers them.

use std::collections::HashMap;

use crate::FetchEvent;

/// At most about this many progress events per download, beside one per file.
const STEPS: u64 = 1000;

/// The running total of one download.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    total_bytes: Option<u64>,
    by_file: HashMap<String, u64>,
    reported: u64,
}

impl Tally {
    /// The transfer begins. Only the first call counts: hf-hub announces each file again on its own.
    pub(crate) fn start(&mut self, files: usize, total_bytes: u64) -> Option<FetchEvent> {
        if self.total_bytes.is_some() {
            return None;
        }
        self.total_bytes = Some(total_bytes);
        Some(FetchEvent::Started { files, total_bytes })
    }

    /// A file has `done` of its `of` bytes; an event when it is complete or when enough has come in since the last.
    pub(crate) fn advance(&mut self, file: &str, done: u64, of: u64) -> Option<FetchEvent> {
        let total_bytes = self.total_bytes?;
        let known = self.by_file.entry(file.to_owned()).or_default();
        let news = done > *known;
        *known = done.max(*known);
        let done_bytes = self.by_file.values().sum::<u64>().min(total_bytes);
        if news && (done >= of || done_bytes - self.reported >= (total_bytes / STEPS).max(1)) {
            self.reported = done_bytes;
            Some(FetchEvent::Progress { file: file.to_owned(), done_bytes, total_bytes })
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_files_up_and_is_announced_once() {
        let mut tally = Tally::default();
        assert_eq!(tally.advance("a", 1, 2), None, "nothing before the start");
        assert_eq!(tally.start(2, 30), Some(FetchEvent::Started { files: 2, total_bytes: 30 }));
        assert_eq!(tally.start(1, 10), None);
        let progress =
            |file: &str, done_bytes| Some(FetchEvent::Progress { file: file.into(), done_bytes, total_bytes: 30 });
        assert_eq!(tally.advance("a", 4, 10), progress("a", 4));
        assert_eq!(tally.advance("b", 5, 20), progress("b", 9));
        assert_eq!(tally.advance("a", 4, 10), None, "nothing new");
        assert_eq!(tally.advance("a", 3, 10), None, "never backwards");
        assert_eq!(tally.advance("a", 10, 10), progress("a", 15));
    }

    #[test]
    fn thins_out_a_long_download() {
        let mut tally = Tally::default();
        tally.start(1, 1_000_000);
        let events = (1..=1_000_000).filter(|&done| tally.advance("a", done, 1_000_000).is_some()).count();
        assert_eq!(events, 1000);
    }
}
