//! Trains Qwen3 models: conversations in, checkpoints that qwen-runtime and transformers load out.
//!
//! Knows models and data, and nothing of patients. Gradients are candle's; a row of training data is a
//! tree of tokens in which what conversations have in common is computed once.

mod adamw;
mod conversation;
mod error;
mod example;
mod export;
mod network;
mod order;
mod packing;
mod parameters;
mod run;
mod schedule;
mod trainer;
mod vocabulary;

/// The type of the numbers that a model is trained in.
pub use candle_core::DType;

pub use adamw::{AdamW, AdamWOptions};
pub use conversation::{Conversation, Speaker, Turn};
pub use error::TuneError;
pub use example::{Example, ExampleEncoder};
pub use export::{ExportType, export};
pub use network::loss;
pub use packing::{PackedRow, Target, pack};
pub use parameters::Parameters;
pub use run::{RunDirectory, SavedState};
pub use schedule::Schedule;
pub use trainer::{StepReport, Trainer, TrainerOptions};
pub use vocabulary::train_tokenizer;
