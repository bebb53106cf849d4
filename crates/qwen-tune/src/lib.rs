//! Trains Qwen3 models: conversations in, checkpoints that qwen-runtime and transformers load out.
//!
//! Knows models and data, and nothing of patients. Gradients are candle's; a row of training data is a
//! tree of tokens in which what conversations have in common is computed once.

mod adamw;
mod composed;
mod conversation;
mod device;
mod error;
mod example;
mod export;
mod fused;
mod induction;
mod low_rank;
mod muon;
mod network;
mod operations;
mod order;
mod packing;
mod parameters;
mod run;
mod schedule;
mod trainer;
mod vocabulary;

/// The type of the numbers that a model is trained in, and where it is trained: with the features
/// `cuda` and `metal` also on a GPU.
pub use candle_core::{DType, Device};

pub use adamw::{AdamW, AdamWOptions};
pub use conversation::{Conversation, Speaker, Turn};
pub use device::open_device;
pub use error::TuneError;
pub use example::{Example, ExampleEncoder};
pub use export::{ExportType, export, export_adapter};
pub use low_rank::LowRankOptions;
pub use muon::MuonOptions;
pub use network::loss;
pub use packing::{PackedRow, Target, pack};
pub use parameters::{Initialization, Parameters};
pub use run::{RunDirectory, SavedState};
pub use schedule::Schedule;
pub use trainer::{StepReport, Trainer, TrainerOptions};
pub use vocabulary::train_tokenizer;
