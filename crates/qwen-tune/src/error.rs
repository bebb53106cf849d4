//! [`TuneError`]: what can go wrong, and where.

use std::path::{Path, PathBuf};

use qwen_runtime::RuntimeError;

/// Why a model cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// A file cannot be read or written: look at the disk and at permissions.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A row of the training data is not what it must be: mend it or take it out.
    #[error("{path}, row {row}: {reason}")]
    Data {
        /// Which file.
        path: PathBuf,
        /// Its line, from 1.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A value of the configuration cannot be.
    #[error("{name}: {reason}")]
    Parameter {
        /// Which value.
        name: &'static str,
        /// What it may be.
        reason: String,
    },
    /// Tensors of a run cannot be written, or do not belong to it, or are damaged.
    #[error("{path}: {reason}")]
    State {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model, its tokenizer or its template cannot be used.
    #[error(transparent)]
    Model(#[from] RuntimeError),
    /// A computation failed: most likely there is no memory.
    #[error("computing: {0}")]
    Compute(#[from] candle_core::Error),
}

impl TuneError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn parameter(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Parameter { name, reason: reason.into() }
    }

    pub(crate) fn state(path: &Path, reason: impl Into<String>) -> Self {
        Self::State { path: path.to_owned(), reason: reason.into() }
    }
}
