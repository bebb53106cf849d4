//! [`export`]: parameters as a Hugging Face checkpoint.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Tensor};
use qwen_runtime::{Architecture, HeadWeights};
use serde_json::{Value, json};

use crate::error::TuneError;
use crate::parameters::Parameters;

/// The type of the numbers in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportType {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// bfloat16.
    BF16,
}

impl ExportType {
    fn parts(self) -> (DType, &'static str) {
        match self {
            Self::F32 => (DType::F32, "float32"),
            Self::F16 => (DType::F16, "float16"),
            Self::BF16 => (DType::BF16, "bfloat16"),
        }
    }
}

/// Writes `config.json` and `model.safetensors` into `directory`, which transformers and qwen-runtime
/// load with a tokenizer beside them. Each file appears under its name when it is whole.
///
/// # Errors
/// [`TuneError::Io`], [`TuneError::State`], [`TuneError::Compute`].
pub fn export(parameters: &Parameters, export_type: ExportType, directory: &Path) -> Result<(), TuneError> {
    fs::create_dir_all(directory).map_err(TuneError::io(directory))?;
    let (dtype, name) = export_type.parts();
    let tensors = parameters.variables().map(|(name, variable)| Ok((name.to_owned(), variable.to_dtype(dtype)?)));
    let tensors: HashMap<String, Tensor> = tensors.collect::<Result<_, TuneError>>()?;
    let config = format!("{:#}\n", config(parameters.architecture(), name));
    write(&directory.join("model.safetensors"), |path| {
        candle_core::safetensors::save(&tensors, path).map_err(|error| TuneError::state(path, error.to_string()))
    })?;
    write(&directory.join("config.json"), |path| fs::write(path, config).map_err(TuneError::io(path)))
}

fn write(path: &Path, write: impl FnOnce(&Path) -> Result<(), TuneError>) -> Result<(), TuneError> {
    let part = path.with_extension("part");
    write(&part).inspect_err(|_| drop(fs::remove_file(&part)))?;
    fs::rename(&part, path).map_err(TuneError::io(path))
}

/// What transformers' `Qwen3Config` reads.
fn config(architecture: &Architecture, dtype: &str) -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "torch_dtype": dtype,
        "vocab_size": architecture.vocab_size,
        "hidden_size": architecture.hidden_size,
        "intermediate_size": architecture.intermediate_size,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "num_key_value_heads": architecture.kv_heads,
        "head_dim": architecture.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": architecture.max_context,
        "rms_norm_eps": architecture.rms_norm_eps,
        "rope_theta": architecture.rope.theta,
        "attention_bias": false,
        "tie_word_embeddings": architecture.head == HeadWeights::Tied,
        "use_cache": true,
    })
}
