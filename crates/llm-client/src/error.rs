//! The one error type of this crate; its variants say what the caller can do.

use std::time::Duration;

/// Why a language model could not be asked, or did not finish its answer.
///
/// No variant carries the words of a prompt or an address with a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// No such mode: choose one of `known`.
    #[error("unknown LLM mode {mode:?}; expected one of: {}", known.join(", "))]
    UnknownMode {
        /// What was asked for.
        mode: String,
        /// The modes that this client has.
        known: Vec<String>,
    },
    /// The model is being fetched or loaded, or the last try failed: ask again later.
    #[error("the model of mode {mode:?} is not ready: {stage}")]
    NotReady {
        /// The mode that was asked.
        mode: String,
        /// What it is doing, for a person.
        stage: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// What was asked for cannot be done now: do first what the reason says.
    #[error("{0}")]
    Conflict(String),
    /// Too many requests wait already: ask again later.
    #[error("too many requests are waiting")]
    Overloaded {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The prompt does not fit the model's context: shorten it.
    #[error("the prompt has {prompt_tokens} tokens; the model takes at most {limit}")]
    PromptTooLong {
        /// Length of the prompt in tokens.
        prompt_tokens: usize,
        /// Largest prompt in tokens.
        limit: usize,
    },
    /// A value of the request is out of its range: correct it.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The time allowed is over.
    #[error("no whole answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The remote server cannot be reached or answered with an error.
    #[error("the language model server failed: {reason}")]
    Unavailable {
        /// What happened, without address or content.
        reason: String,
        /// The HTTP status that it answered, if it answered.
        status: Option<u16>,
    },
    /// The engine failed in the middle of its work.
    #[error("inference failed: {0}")]
    Inference(String),
}

impl LlmError {
    /// For a stream of events that ended before the one that ends an answer.
    pub fn cut_off() -> Self {
        Self::Inference("the answer ended without its last event".to_owned())
    }

    /// Whether the mode is broken, and another may answer the same request.
    pub(crate) fn is_breakdown(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Unavailable { .. } | Self::Inference(_))
    }

    /// Whether another mode may answer the same request now: this one is broken, or not there yet.
    pub fn may_be_answered_elsewhere(&self) -> bool {
        self.is_breakdown() || matches!(self, Self::NotReady { .. })
    }
}
