//! Owns what a download tells whoever waits for it. Must not know how progress is shown.

use std::path::PathBuf;

/// One step of a download. A model that is already there causes no event.
///
/// Events are thinned out, to about a thousand per download and one per file; `done_bytes` never goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// The Hub was asked what there is; the transfer begins.
    Started {
        /// Number of files that the model consists of, those already there included.
        files: usize,
        /// Size of the files that are not there yet, in bytes.
        total_bytes: u64,
    },
    /// Bytes have come in.
    Progress {
        /// The file that moved, as the repository calls it.
        file: String,
        /// Bytes that are there, over all files of this download.
        done_bytes: u64,
        /// The same as in [`FetchEvent::Started`].
        total_bytes: u64,
    },
    /// The model is there and whole.
    Finished {
        /// Where it lies: [`ModelFiles::path`](crate::ModelFiles::path).
        path: PathBuf,
    },
}
