//! Qwen3 in this process: a checkpoint in, a stream of text out.
//!
//! [`Runtime`] loads a checkpoint and answers many requests at once. Below it, each part can be
//! used alone: [`Checkpoint`] reads the files, [`Tokenizer`] and [`ChatTemplate`] make token ids of
//! conversations, an [`Engine`] makes logits of ids, a [`Sampler`] chooses the next one.
//!
//! ```no_run
//! use qwen_runtime::{Chat, GenerationEvent, GenerationOptions, GenerationRequest, Prompt, Runtime, RuntimeConfig};
//!
//! # fn main() -> Result<(), qwen_runtime::RuntimeError> {
//! let runtime = Runtime::load("models/Qwen3-0.6B-Q8_0.gguf".as_ref(), RuntimeConfig::on_cpu(), &|_| {})?;
//! let chat = Chat::new().with_message("user", "Why do I take metformin?");
//! let mut stream =
//!     runtime.generate(GenerationRequest { prompt: Prompt::Chat(chat), options: GenerationOptions::default() })?;
//! while let Some(event) = stream.blocking_next() {
//!     if let GenerationEvent::Answer(text) = event? {
//!         print!("{text}");
//!     }
//! }
//! # Ok(()) }
//! ```

mod chat;
mod checkpoint;
mod engine;
mod error;
mod generation;
mod quantize;
mod runtime;
mod sampling;
mod tokenizer;

pub use chat::{Chat, ChatTemplate, GenerationPrompt};
pub use checkpoint::{
    Adapter, Architecture, AttentionBias, Checkpoint, EmbeddedFile, GenerationDefaults, HeadWeights, LayerTensor,
    RampBounds, Rope, RopeScaling, StoredTensor, StoredType, TensorName,
};
pub use engine::candle::{CandleConfig, CandleEngine, ComputeDevice, Devices};
pub use engine::cpu::{CpuConfig, CpuEngine, CpuMatrix, CpuProducts, KernelSet, KvType};
pub use engine::weight_form::WeightForm;
pub use engine::{Capacity, Engine, Logits, LogitsAt, SequenceId, SequenceStep};
pub use error::RuntimeError;
pub use generation::{
    FinishReason, GenerationEvent, GenerationOptions, GenerationRequest, Prompt, ThinkingBudget, Usage,
};
pub use quantize::{
    ExistingFile, FileType, QuantizeOptions, QuantizeProgress, QuantizeReport, RandomModelOptions, StoredCount,
    quantize, random_model,
};
pub use runtime::{CpuSettings, EngineConfig, GenerationStream, LoadProgress, Runtime, RuntimeConfig};
pub use sampling::{Candidate, KnownTokens, Sampler, SamplingOptions, SamplingParams, TokenHistory};
pub use tokenizer::{TextStream, Tokenizer};

/// A row of the embedding and of the logits.
pub type TokenId = u32;
