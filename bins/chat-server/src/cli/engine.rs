//! What computes the answers of this process, and with how much of the machine.

use clap::{Args, ValueEnum};
use model_cache::ByteSize;
use qwen_runtime::{Devices, KvType, WeightForm};

/// What computes the answers of this process, and with how much of the machine.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// Where the model runs: `cpu`, `cuda[:N]` or `metal[:N]` (the last two in builds with that feature);
    /// its layers are split over several GPUs as `cuda:0-3`
    #[arg(long, env = "DEVICE", default_value = "cpu")]
    pub device: Devices,
    /// What runs it [default: cpu, and candle on a GPU]
    #[arg(long, env = "ENGINE")]
    pub engine: Option<EngineName>,
    /// Threads of the engine cpu [default: as many as there are cores]
    #[arg(long, env = "THREADS", value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "NUMBER")]
    pub threads: Option<u16>,
    /// Longest prompt and answer together in tokens; the model's own limit and --kv-memory bound it too
    #[arg(long, env = "MAX_CONTEXT", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..), value_name = "TOKENS")]
    pub max_context: u32,
    /// Answers that are made at once; further requests wait
    #[arg(long, env = "MAX_SEQUENCES", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_sequences: u32,
    /// Most memory of the KV cache, which all answers share, for example 2GiB or 512MiB
    /// [default: room for 16384 tokens, or for one longest prompt and answer when that is more]
    #[arg(long, env = "KV_MEMORY", value_name = "SIZE")]
    pub kv_memory: Option<ByteSize>,
    /// How the engine cpu stores keys and values: f16, f32 or q8_0 [default: f16]
    #[arg(long, env = "KV_TYPE", value_name = "TYPE")]
    pub kv_type: Option<KvType>,
    /// What the engine cpu makes of plain weights while it loads them, where they are not quantized already: q4_k_m,
    /// q5_k_m, q6_k, q8_0 or none [default: none]
    #[arg(long, env = "QUANTIZE", value_name = "TYPE")]
    pub quantize: Option<WeightForm>,
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The engine for processors.
    Cpu,
    /// candle's tensors, on a processor or a GPU.
    Candle,
}
