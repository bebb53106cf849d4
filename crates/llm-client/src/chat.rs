//! What is asked of a language model and what it answers, in terms that every backend shares.
//!
//! Owns the request and the events of an answer; knows nothing of HTTP, engines or patients.

use std::fmt;
use std::time::Duration;

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the service.
    System,
    /// The person who asks.
    User,
    /// An earlier answer of the model.
    Assistant,
}

impl Role {
    /// The name that chat templates and the OpenAI protocol use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation. Its text never becomes control tokens of the model.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A turn of `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// Shows the length only: a message holds the words of a patient.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {} bytes)", self.role.as_str(), self.content.len())
    }
}

/// How many tokens of reasoning an answer may spend before it is made to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingBudget {
    /// At most this many reasoning tokens; 0 asks for an answer at once.
    Tokens(u32),
    /// No limit but `max_new_tokens`: an answer may then end inside its reasoning.
    Off,
}

/// Sampling and length for one request; `None` leaves a value to the backend's configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatOptions {
    /// Upper limit of generated tokens, reasoning and answer together.
    pub max_new_tokens: Option<u32>,
    /// Softmax temperature; 0 is greedy.
    pub temperature: Option<f32>,
    /// Nucleus mass in (0, 1].
    pub top_p: Option<f32>,
    /// Candidates kept; 0 is off.
    pub top_k: Option<u32>,
    /// Seed of the random draws: the same seed gives the same text.
    pub seed: Option<u64>,
    /// Limit of the reasoning.
    pub thinking_budget: Option<ThinkingBudget>,
}

/// A conversation to be continued by the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The turns so far, oldest first.
    pub messages: Vec<Message>,
    /// Sampling and length.
    pub options: ChatOptions,
    /// Time allowed from now to the last token; `None` is unlimited.
    pub timeout: Option<Duration>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string did.
    Stop,
    /// `max_new_tokens` was reached.
    Length,
}

impl FinishReason {
    /// The OpenAI protocol's name of the reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// Tokens that a request cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that were not computed again, where the backend says so.
    pub cached_tokens: u32,
    /// Generated tokens, reasoning included.
    pub completion_tokens: u32,
    /// Generated tokens that were reasoning.
    pub reasoning_tokens: u32,
}

/// Which model answers: its name and, where known, its revision (a commit of the Hub).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// For example `Qwen/Qwen3-4B-Thinking-2507`.
    pub name: String,
    /// For example the 40 hex digits of a commit.
    pub revision: Option<String>,
}

impl fmt::Display for ModelIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.revision {
            Some(revision) => write!(f, "{}@{revision}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What a stream yields, in this order: any number of `Reasoning`, any number of `Answer`, one
/// `Finished`.
#[derive(Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// A piece of the model's reasoning.
    Reasoning(String),
    /// A piece of the answer.
    Answer(String),
    /// The end.
    Finished {
        /// Why it ended.
        reason: FinishReason,
        /// What it cost.
        usage: Usage,
    },
}

/// Shows lengths only: an answer speaks of a patient.
impl fmt::Debug for ChatEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reasoning(text) => write!(f, "Reasoning({} bytes)", text.len()),
            Self::Answer(text) => write!(f, "Answer({} bytes)", text.len()),
            Self::Finished { reason, usage } => {
                f.debug_struct("Finished").field("reason", reason).field("usage", usage).finish()
            }
        }
    }
}

/// A whole answer.
#[derive(Clone, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The model's reasoning; empty when it did not reason.
    pub reasoning: String,
    /// What the person is told.
    pub answer: String,
    /// Why it ended.
    pub reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
    /// The mode that answered, for example `qwen`.
    pub mode: String,
    /// The model that answered.
    pub model: ModelIdentity,
}

/// Shows lengths only: an answer speaks of a patient.
impl fmt::Debug for ChatAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatAnswer")
            .field("reasoning_bytes", &self.reasoning.len())
            .field("answer_bytes", &self.answer.len())
            .field("reason", &self.reason)
            .field("usage", &self.usage)
            .field("mode", &self.mode)
            .field("model", &self.model)
            .finish()
    }
}
