//! The choice of the next token from logits.
//!
//! Order and formulas are those of transformers' logits processors, with vLLM's presence and
//! frequency penalties: bias, repetition, presence and frequency, temperature, top-k, top-p, min-p.
//! Knows nothing of tensors and models.

mod filters;
mod history;
mod params;
mod sampler;

pub use filters::Candidate;
pub use history::TokenHistory;
pub use params::{SamplingOptions, SamplingParams};
pub use sampler::{KnownTokens, Sampler};
