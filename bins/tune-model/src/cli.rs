//! Owns the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use qwen_runtime::ComputeDevice;

/// Makes training data, tokenizers and models.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Writes conversations about patients who do not exist, with the prompts that chat-server builds.
    Synth(SynthArguments),
    /// Learns a tokenizer from conversations, and writes it with a chat template into a directory.
    Tokenizer(TokenizerArguments),
    /// Trains a model from the beginning, or goes on where an earlier run was interrupted.
    Train(TrainArguments),
    /// Asks a model about patients it has never seen, and prints how many answers are right.
    Eval(EvalArguments),
}

#[derive(Debug, Args)]
pub(crate) struct SynthArguments {
    /// Equal seeds make equal data.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many patients; each is asked several questions.
    #[arg(long, default_value_t = 1000)]
    pub(crate) patients: u64,

    /// The file to write: one conversation a line, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizerArguments {
    /// Conversations, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,

    /// Most tokens, control tokens included.
    #[arg(long, default_value_t = 4096)]
    pub(crate) vocab_size: usize,

    /// The directory for tokenizer.json, tokenizer_config.json and chat_template.jinja.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// What is trained, and how; paths in it are relative to its own place.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// Threads that compute [default: one for each processor].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Where: `cpu`, `cuda[:N]` or `metal[:N]` (the last two in builds with that feature).
    #[arg(long, default_value = "cpu")]
    pub(crate) device: ComputeDevice,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    /// A checkpoint directory or a GGUF file.
    #[arg(long, value_name = "PATH")]
    pub(crate) model: PathBuf,

    /// Decides the patients; it should be none that was trained on.
    #[arg(long, default_value_t = 1_000_001)]
    pub(crate) seed: u64,

    /// How many questions are asked.
    #[arg(long, default_value_t = 500)]
    pub(crate) questions: usize,

    /// How many wrong answers are shown.
    #[arg(long, default_value_t = 0)]
    pub(crate) show: usize,
}
