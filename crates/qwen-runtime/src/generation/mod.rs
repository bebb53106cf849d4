//! From tokens to text: reasoning, answer, ends and limits of one generation.
//!
//! Knows nothing of engines and threads.

mod event;
mod request;
mod stop;
mod writer;

pub use event::{FinishReason, GenerationEvent, Usage};
pub(crate) use request::DEFAULT_MAX_NEW_TOKENS;
pub use request::{GenerationOptions, GenerationRequest, Prompt, ThinkingBudget};
pub(crate) use writer::{ControlTokens, Limits, Next, Writer};
