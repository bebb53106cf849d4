//! Owns what verifying, exporting and importing tell whoever waits. Must not know how progress is shown.

/// One step of work on files that are on this machine. Called from several threads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkEvent {
    /// The work begins.
    Started {
        /// How many files there are.
        files: usize,
        /// Their size together, in bytes.
        total_bytes: u64,
    },
    /// Bytes have been read.
    Progress {
        /// The file.
        file: String,
        /// Bytes of it that are done.
        file_done_bytes: u64,
        /// Its size in bytes.
        file_total_bytes: u64,
        /// Bytes that are done, over all files.
        done_bytes: u64,
        /// The same as in [`WorkEvent::Started`].
        total_bytes: u64,
    },
    /// A file is done.
    Done {
        /// The file.
        file: String,
    },
}
