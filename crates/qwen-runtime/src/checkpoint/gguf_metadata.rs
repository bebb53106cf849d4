//! Reads an [`Architecture`] from the metadata of a GGUF file (llama.cpp's `qwen3` keys).

use super::architecture::{Architecture, AttentionBias, HeadWeights, RampBounds, Rope, RopeScaling};
use super::gguf::GgufFile;
use super::tensor::{LayerTensor, TensorName};
use crate::error::RuntimeError;

/// Reads and validates the metadata.
pub(crate) fn architecture(file: &GgufFile) -> Result<Architecture, RuntimeError> {
    let path = file.path();
    match file.string("general.architecture") {
        Some("qwen3") => {}
        Some(other) => {
            return Err(RuntimeError::unsupported(path, format!("the architecture is {other:?}, not a dense qwen3")));
        }
        None => return Err(RuntimeError::invalid(path, "general.architecture is missing")),
    }
    let number = |key: &str| {
        let key = format!("qwen3.{key}");
        let value = file.integer(&key).and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| RuntimeError::invalid(path, format!("{key} is missing or no number")))
    };
    let embedding = TensorName::Embedding.in_gguf();
    let embedding =
        file.tensor(&embedding).ok_or_else(|| RuntimeError::invalid(path, format!("tensor {embedding} is missing")))?;
    let hidden_size = number("embedding_length")?;
    let heads = number("attention.head_count")?;
    let head_dim = match file.integer("qwen3.attention.key_length") {
        Some(_) => number("attention.key_length")?,
        None if heads > 0 => hidden_size / heads,
        None => 0,
    };
    if file.integer("qwen3.attention.value_length").is_some_and(|value| value != head_dim as u64) {
        return Err(RuntimeError::unsupported(path, "keys and values of different size"));
    }
    let context_length = number("context_length")?;
    let scaling = scaling(file, context_length)?;
    let max_context = match scaling {
        // The cast saturates, and `validated` refuses what is too large.
        RopeScaling::Yarn { factor, original_context, .. } => context_length.max((factor * original_context) as usize),
        RopeScaling::None | RopeScaling::Linear { .. } => context_length,
    };
    let layer_zero = |tensor| file.has_tensor(&TensorName::Layer(0, tensor).in_gguf());
    Architecture {
        hidden_size,
        layers: number("block_count")?,
        heads,
        kv_heads: number("attention.head_count_kv").unwrap_or(heads),
        head_dim,
        intermediate_size: number("feed_forward_length")?,
        vocab_size: embedding.shape.first().copied().unwrap_or(0),
        rms_norm_eps: file.float("qwen3.attention.layer_norm_rms_epsilon").unwrap_or(1e-6),
        max_context,
        rope: Rope { theta: file.float("qwen3.rope.freq_base").unwrap_or(10_000.0), scaling },
        head: if file.has_tensor(&TensorName::Head.in_gguf()) { HeadWeights::Untied } else { HeadWeights::Tied },
        attention_bias: if layer_zero(LayerTensor::QueryBias) { AttentionBias::Present } else { AttentionBias::Absent },
    }
    .validated(path)
}

fn scaling(file: &GgufFile, context_length: usize) -> Result<RopeScaling, RuntimeError> {
    let factor = file.float("qwen3.rope.scaling.factor");
    let missing = || RuntimeError::invalid(file.path(), "qwen3.rope.scaling.factor is missing");
    Ok(match file.string("qwen3.rope.scaling.type") {
        None | Some("none") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: factor.ok_or_else(missing)? },
        Some("yarn") => {
            let factor = factor.ok_or_else(missing)?;
            let float = |key: &str| file.float(&format!("qwen3.rope.scaling.{key}"));
            // llama.cpp multiplies its attention factor by YaRN's own, which transformers' already holds.
            let own = 0.1 * factor.max(1.0).ln() + 1.0;
            RopeScaling::Yarn {
                factor,
                original_context: float("original_context_length").unwrap_or(context_length as f64),
                attention_factor: float("attn_factor").unwrap_or(1.0) * own,
                beta_fast: float("yarn_beta_fast").unwrap_or(32.0),
                beta_slow: float("yarn_beta_slow").unwrap_or(1.0),
                ramp: RampBounds::Whole,
            }
        }
        Some(other) => return Err(RuntimeError::unsupported(file.path(), format!("rope scaling of type {other:?}"))),
    })
}
