//! Owns counting bytes as they are read, over several threads. Must not know what is done with them.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::WorkEvent;

/// How many bytes of a file pass between two events.
const STEP: u64 = 16 << 20;

/// Counts the bytes of one piece of work.
pub(super) struct Gauge<'a> {
    progress: &'a (dyn Fn(WorkEvent) + Sync),
    total_bytes: u64,
    done_bytes: AtomicU64,
}

impl<'a> Gauge<'a> {
    /// Says that the work begins.
    pub(super) fn start(files: usize, total_bytes: u64, progress: &'a (dyn Fn(WorkEvent) + Sync)) -> Self {
        progress(WorkEvent::Started { files, total_bytes });
        Self { progress, total_bytes, done_bytes: AtomicU64::new(0) }
    }

    /// Counts what is read of one file.
    pub(super) fn watch<R: Read>(&'a self, file: &'a str, size: u64, inner: R) -> Watched<'a, R> {
        Watched { gauge: self, file, size, inner, done: 0, told: 0 }
    }

    /// Says that a file is done.
    pub(super) fn done(&self, file: &str) {
        (self.progress)(WorkEvent::Done { file: file.to_owned() });
    }
}

/// A reader that is counted.
pub(super) struct Watched<'a, R> {
    gauge: &'a Gauge<'a>,
    file: &'a str,
    size: u64,
    inner: R,
    done: u64,
    told: u64,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.done += length as u64;
        let news = self.done - self.told;
        if news >= STEP || (length == 0 && news > 0) {
            self.told = self.done;
            let done_bytes = self.gauge.done_bytes.fetch_add(news, Ordering::Relaxed) + news;
            (self.gauge.progress)(WorkEvent::Progress {
                file: self.file.to_owned(),
                file_done_bytes: self.done,
                file_total_bytes: self.size,
                done_bytes,
                total_bytes: self.gauge.total_bytes,
            });
        }
        Ok(length)
    }
}
