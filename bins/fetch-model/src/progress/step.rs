//! Owns the steps that are shown, whatever work they are of.

use std::path::PathBuf;
use std::time::Duration;

use model_cache::{FetchEvent, WorkEvent};
use qwen_runtime::QuantizeProgress;

/// One step of fetching, verifying, exporting, importing or quantizing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Started {
        files: usize,
        total_bytes: u64,
        resumed_bytes: Option<u64>,
    },
    Progress {
        file: String,
        file_done_bytes: u64,
        file_total_bytes: u64,
        done_bytes: u64,
        total_bytes: u64,
    },
    Waiting {
        reason: String,
        delay: Duration,
    },
    /// A file came in and is right.
    Verified {
        file: String,
    },
    /// A file that was here is read or copied.
    Done {
        file: String,
    },
    Warning {
        message: String,
    },
    Finished {
        path: PathBuf,
    },
}

/// A kind of event that this program does not know yet.
#[derive(Debug)]
pub(crate) struct NotShown;

impl TryFrom<FetchEvent> for Step {
    type Error = NotShown;

    fn try_from(event: FetchEvent) -> Result<Self, NotShown> {
        Ok(match event {
            FetchEvent::Started { files, total_bytes, resumed_bytes } => {
                Self::Started { files, total_bytes, resumed_bytes: Some(resumed_bytes) }
            }
            FetchEvent::Progress { file, file_done_bytes, file_total_bytes, done_bytes, total_bytes } => {
                Self::Progress { file, file_done_bytes, file_total_bytes, done_bytes, total_bytes }
            }
            FetchEvent::Waiting { reason, delay } => Self::Waiting { reason, delay },
            FetchEvent::Verified { file } => Self::Verified { file },
            FetchEvent::Warning { message } => Self::Warning { message },
            FetchEvent::Finished { path } => Self::Finished { path },
            _ => return Err(NotShown),
        })
    }
}

impl TryFrom<WorkEvent> for Step {
    type Error = NotShown;

    fn try_from(event: WorkEvent) -> Result<Self, NotShown> {
        Ok(match event {
            WorkEvent::Started { files, total_bytes } => Self::Started { files, total_bytes, resumed_bytes: None },
            WorkEvent::Progress { file, file_done_bytes, file_total_bytes, done_bytes, total_bytes } => {
                Self::Progress { file, file_done_bytes, file_total_bytes, done_bytes, total_bytes }
            }
            WorkEvent::Done { file } => Self::Done { file },
            _ => return Err(NotShown),
        })
    }
}

impl From<QuantizeProgress<'_>> for Step {
    fn from(progress: QuantizeProgress<'_>) -> Self {
        Self::Progress {
            file: progress.tensor.to_owned(),
            file_done_bytes: progress.tensor_done,
            file_total_bytes: progress.tensor_total,
            done_bytes: progress.done,
            total_bytes: progress.total,
        }
    }
}
