//! What a generation yields.

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string did.
    Stop,
    /// `max_new_tokens` were sampled.
    Length,
}

/// Tokens that a text cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were not computed, since an earlier sequence began with them.
    pub cached_tokens: usize,
    /// Sampled tokens, reasoning and answer together.
    pub completion_tokens: usize,
    /// Sampled tokens that were reasoning.
    pub reasoning_tokens: usize,
}

/// What a generation yields: `Accepted`, then pieces of text, then `Finished`.
#[derive(Clone, PartialEq, Eq)]
pub enum GenerationEvent {
    /// The request is valid and its prompt fits; it waits for its turn.
    Accepted {
        /// Tokens of the prompt.
        prompt_tokens: usize,
    },
    /// A piece of the reasoning, at least one character.
    Reasoning(String),
    /// A piece of the answer, at least one character.
    Answer(String),
    /// The end.
    Finished {
        /// Why it ended.
        reason: FinishReason,
        /// What it cost.
        usage: Usage,
    },
}

/// Shows lengths only: a text speaks of a patient.
impl std::fmt::Debug for GenerationEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Accepted { prompt_tokens } => write!(f, "Accepted({prompt_tokens} tokens)"),
            Self::Reasoning(text) => write!(f, "Reasoning({} bytes)", text.len()),
            Self::Answer(text) => write!(f, "Answer({} bytes)", text.len()),
            Self::Finished { reason, usage } => write!(f, "Finished({reason:?}, {usage:?})"),
        }
    }
}
