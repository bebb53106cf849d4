//! The one error type of this crate; its variants say what the caller can do.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a checkpoint could not be read or a text could not be generated.
///
/// No variant carries the words of a prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// A file cannot be opened or read: check the path and its permissions.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of the checkpoint is missing, cut off, or contradicts itself: fetch it again.
    #[error("invalid checkpoint {}: {reason}", path.display())]
    InvalidCheckpoint {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint is whole, but this crate does not run its kind.
    #[error("unsupported checkpoint {}: {reason}", path.display())]
    UnsupportedCheckpoint {
        /// The file or directory.
        path: PathBuf,
        /// What is not supported.
        reason: String,
    },
    /// A file cannot be written: check the path, its permissions and the room on the disk.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file to write is there already: choose another name, or say that it may be replaced.
    #[error("{} exists already", path.display())]
    TargetExists {
        /// The file.
        path: PathBuf,
    },
    /// An importance matrix is cut off, contradicts itself, or belongs to another model: compute it again.
    #[error("invalid importance matrix {}: {reason}", path.display())]
    InvalidImportance {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An adapter is damaged, of a kind that is not known, or belongs to another model: choose another.
    #[error("invalid adapter {}: {reason}", path.display())]
    InvalidAdapter {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The chat template cannot be parsed, or it refused these messages.
    #[error("chat template: {0}")]
    Template(String),
    /// Text could not be turned into token ids.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A value of a request or a configuration is out of its range: correct it.
    #[error("invalid {name}: {reason}")]
    InvalidParameter {
        /// The value's name.
        name: &'static str,
        /// What is allowed.
        reason: String,
    },
    /// The prompt and the tokens to generate do not fit the context: shorten one of them.
    #[error("the prompt has {prompt_tokens} tokens; at most {limit} fit beside the tokens to generate")]
    PromptTooLong {
        /// Length of the prompt in tokens.
        prompt_tokens: usize,
        /// Largest prompt in tokens.
        limit: usize,
    },
    /// A step names a sequence that is not allocated.
    #[error("unknown sequence")]
    UnknownSequence,
    /// A step is not consistent with the state of its sequence.
    #[error("invalid step: {0}")]
    InvalidStep(String),
    /// The KV cache has no room for this: free a sequence first.
    #[error("the KV cache is full: {needed} tokens needed, {available} available")]
    CacheFull {
        /// Tokens (or sequences) asked for.
        needed: usize,
        /// Tokens (or sequences) left.
        available: usize,
    },
    /// Too many requests wait already: ask again later.
    #[error("{waiting} requests are waiting already")]
    Overloaded {
        /// How many wait.
        waiting: usize,
    },
    /// The time that the request allowed is over: allow more, or ask for less.
    #[error("not finished within {} s", allowed.as_secs_f64())]
    DeadlineExceeded {
        /// How long it had.
        allowed: Duration,
    },
    /// The engine thread has ended.
    #[error("the engine has stopped")]
    Stopped,
    /// The tensor library failed, for example for want of memory.
    #[error("computation failed: {0}")]
    Compute(String),
}

impl RuntimeError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn invalid(path: &Path, reason: impl Into<String>) -> Self {
        Self::InvalidCheckpoint { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn unsupported(path: &Path, reason: impl Into<String>) -> Self {
        Self::UnsupportedCheckpoint { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn importance(path: &Path, reason: impl Into<String>) -> Self {
        Self::InvalidImportance { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn adapter(path: &Path, reason: impl Into<String>) -> Self {
        Self::InvalidAdapter { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn parameter(name: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidParameter { name, reason: reason.into() }
    }
}
