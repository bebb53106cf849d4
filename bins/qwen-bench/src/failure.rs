//! Owns why a command did not do its work, and whether its user could have known.

use qwen_runtime::RuntimeError;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: anyhow::Error,
    /// Whether the command line asks for something that cannot be.
    pub(crate) is_usage: bool,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, is_usage: false }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self { error: error.into(), is_usage: false }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { error: error.into(), is_usage: false }
    }
}

/// A command line that asks for something that cannot be.
pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Failure { error: anyhow::Error::msg(message.into()), is_usage: true }
}
