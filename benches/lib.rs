//! What the benchmarks share: a file of random weights, as large as a real one.

use std::path::Path;

use qwen_runtime::{
    Architecture, AttentionBias, Checkpoint, ExistingFile, FileType, HeadWeights, RandomModelOptions, Rope,
    RopeScaling, random_model,
};

/// The shape of Qwen3-0.6B, from its config.json.
pub const QWEN3_0_6B: Architecture = Architecture {
    hidden_size: 1024,
    layers: 28,
    heads: 16,
    kv_heads: 8,
    head_dim: 128,
    intermediate_size: 3072,
    vocab_size: 151_936,
    rms_norm_eps: 1e-6,
    max_context: 40_960,
    rope: Rope { theta: 1e6, scaling: RopeScaling::None },
    head: HeadWeights::Tied,
    attention_bias: AttentionBias::Absent,
};

/// Writes random weights of that shape and type into `directory`, and opens them.
///
/// # Panics
/// When the directory has no room for them.
#[must_use]
pub fn random_checkpoint(directory: &Path, architecture: &Architecture, file_type: FileType) -> Checkpoint {
    let path = directory.join(format!("{file_type}.gguf"));
    let options = RandomModelOptions {
        file_type,
        existing: ExistingFile::Replace,
        seed: 1,
        name: "random".to_owned(),
        tokenizer: None,
    };
    random_model(architecture, &path, &options, &|_, _| {}).expect("room for the model");
    Checkpoint::open(&path).expect("the model just written")
}
