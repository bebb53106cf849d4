//! Owns what a download tells whoever waits for it. Must not know how progress is shown.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

/// One step of a download. A model that is already there causes no event.
///
/// Events of progress are thinned out, to about a thousand per download and one per file; `done_bytes` goes back only
/// behind a [`FetchEvent::Warning`] that a file came in wrong and is fetched once more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// The Hub was asked what there is; the transfer begins.
    Started {
        /// Number of files that the model consists of, those already there included.
        files: usize,
        /// Size of the files that are not there yet, in bytes.
        total_bytes: u64,
        /// How much of that an earlier, interrupted download has left here, in bytes.
        resumed_bytes: u64,
    },
    /// Bytes have come in.
    Progress {
        /// The file that moved, as the repository calls it.
        file: String,
        /// Bytes of it that are there.
        file_done_bytes: u64,
        /// Its size in bytes.
        file_total_bytes: u64,
        /// Bytes that are there, over all files of this download.
        done_bytes: u64,
        /// The same as in [`FetchEvent::Started`].
        total_bytes: u64,
    },
    /// Nothing moves for a while: a try has failed and another will follow, or another process has the file.
    Waiting {
        /// What happened, as a sentence without its full stop.
        reason: String,
        /// Until the next try, or until the next look.
        delay: Duration,
    },
    /// The size and the digest of a file are those that the Hub states; it is there.
    Verified {
        /// The file, as the repository calls it.
        file: String,
    },
    /// Something did not go as it should, and the download goes on, or the cached model is used.
    Warning {
        /// What, and what is done instead.
        message: String,
    },
    /// The model is there and whole.
    Finished {
        /// Where it lies: [`ModelFiles::path`](crate::ModelFiles::path).
        path: PathBuf,
    },
}

/// Where the events of one download go. Nobody listens any more when the download has been given up.
#[derive(Debug, Clone)]
pub(crate) struct Events(mpsc::UnboundedSender<FetchEvent>);

impl Events {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<FetchEvent>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(crate) fn send(&self, event: FetchEvent) {
        drop(self.0.send(event));
    }
}
