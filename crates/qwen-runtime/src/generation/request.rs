//! What is asked of a runtime.

use std::time::Duration;

use crate::TokenId;
use crate::chat::Chat;
use crate::sampling::SamplingOptions;

/// Tokens generated where neither a request nor the configuration says how many.
pub(crate) const DEFAULT_MAX_NEW_TOKENS: usize = 512;

/// The text to continue.
#[derive(Clone, PartialEq)]
pub enum Prompt {
    /// A conversation, rendered by the checkpoint's chat template.
    Chat(Chat),
    /// Token ids, taken as they are.
    Tokens(Vec<TokenId>),
}

/// Shows the kind and the size only: a prompt holds the words of a patient.
impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Chat(chat) => chat.fmt(f),
            Self::Tokens(tokens) => write!(f, "Tokens({})", tokens.len()),
        }
    }
}

/// How many sampled tokens may be reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingBudget {
    /// This many; then the block is closed, and an answer of at least one visible character follows.
    Tokens(usize),
    /// No limit but `max_new_tokens`: the answer may be cut off before it begins.
    Off,
}

/// Length, sampling and ends of a text; what is `None` or empty is left to the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationOptions {
    /// Most tokens to sample, reasoning and answer together; 512 where nothing is said.
    pub max_new_tokens: Option<usize>,
    /// Limit of the reasoning; half of `max_new_tokens` where nothing is said.
    pub thinking_budget: Option<ThinkingBudget>,
    /// Sampling values.
    pub sampling: SamplingOptions,
    /// Strings that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Time from the request's acceptance by the runtime to its last token, waiting included;
    /// unlimited where nothing is said. Past it, the text ends with
    /// [`RuntimeError::DeadlineExceeded`](crate::RuntimeError::DeadlineExceeded).
    pub timeout: Option<Duration>,
}

impl GenerationOptions {
    /// These options, and where they say nothing those of `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            max_new_tokens: self.max_new_tokens.or(other.max_new_tokens),
            thinking_budget: self.thinking_budget.or(other.thinking_budget),
            sampling: self.sampling.or(&other.sampling),
            timeout: self.timeout.or(other.timeout),
            stop: if self.stop.is_empty() { other.stop.clone() } else { self.stop },
        }
    }
}

/// A text to be generated.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationRequest {
    /// The text to continue.
    pub prompt: Prompt,
    /// Length, sampling and ends.
    pub options: GenerationOptions,
}
