//! Owns the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use qwen_runtime::ComputeDevice;

use crate::synth::Kind;

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
    /// Fine-tunes a model: learns a LoRA adapter from conversations, or goes on where an earlier run was interrupted.
    Lora(LowRankArguments),
    /// Writes the model that an adapter makes of its base.
    Merge(MergeArguments),
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

    /// What is asked about [default: everything but person].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND", default_values_t = Kind::usual(), hide_default_value = true)]
    pub(crate) kinds: Vec<Kind>,

    /// So many of a hundred names and directions are of words that nobody knows, which can only be copied.
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) strange: u32,

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

    #[command(flatten)]
    pub(crate) compute: ComputeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct LowRankArguments {
    /// The directory of the model, in F32, F16 or BF16.
    #[arg(long, value_name = "DIR")]
    pub(crate) base: PathBuf,

    /// Conversations, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,

    /// The directory for adapter_config.json and adapter_model.safetensors, as PEFT has them.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// How narrow the adapter's matrices are.
    #[arg(long, default_value_t = 8)]
    pub(crate) rank: usize,

    /// Their product is added alpha / rank times [default: twice the rank].
    #[arg(long)]
    pub(crate) alpha: Option<f64>,

    /// How often every conversation is seen.
    #[arg(long, default_value_t = 3)]
    pub(crate) epochs: usize,

    /// The highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    pub(crate) learning_rate: f64,

    /// Rows whose gradients make one step.
    #[arg(long, default_value_t = 4)]
    pub(crate) rows_per_step: usize,

    /// Tokens of a row, which conversations with equal beginnings share.
    #[arg(long, default_value_t = 1024)]
    pub(crate) row_length: usize,

    /// Decides the adapter's first weights and the order of rows.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) compute: ComputeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// The directory of the model, in F32, F16 or BF16.
    #[arg(long, value_name = "DIR")]
    pub(crate) base: PathBuf,

    /// The directory of the adapter.
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: PathBuf,

    /// The directory to write.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// What trains.
#[derive(Debug, Args)]
pub(crate) struct ComputeArguments {
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

    /// The directory of an adapter for it.
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,

    /// Decides the patients; it should be none that was trained on.
    #[arg(long, default_value_t = 1_000_001)]
    pub(crate) seed: u64,

    /// How many questions are asked.
    #[arg(long, default_value_t = 500)]
    pub(crate) questions: usize,

    /// What is asked about [default: everything but person].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND", default_values_t = Kind::usual(), hide_default_value = true)]
    pub(crate) kinds: Vec<Kind>,

    /// So many of a hundred names and directions are of words that nobody knows, which can only be copied.
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) strange: u32,

    /// How many wrong answers are shown.
    #[arg(long, default_value_t = 0)]
    pub(crate) show: usize,
}
