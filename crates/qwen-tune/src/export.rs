//! [`export`] and [`export_adapter`]: parameters as a Hugging Face checkpoint, or as PEFT's adapter.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Tensor};
use qwen_runtime::{Adapter, Architecture, Checkpoint, HeadWeights};
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
    let tensors = parameters.weights().map(|(name, tensor)| Ok((name.to_owned(), tensor.to_dtype(dtype)?)));
    let tensors: HashMap<String, Tensor> = tensors.collect::<Result<_, TuneError>>()?;
    let config = format!("{:#}\n", config(parameters.architecture(), name));
    write(&directory.join("model.safetensors"), |path| {
        candle_core::safetensors::save(&tensors, path).map_err(|error| TuneError::state(path, error.to_string()))
    })?;
    write(&directory.join("config.json"), |path| fs::write(path, config).map_err(TuneError::io(path)))
}

/// Writes what was learnt beside `base` as PEFT does: `adapter_config.json` and
/// `adapter_model.safetensors`, which also say which base it is.
///
/// # Errors
/// As [`export`]; [`TuneError::Parameter`] when the whole model was learnt.
pub fn export_adapter(parameters: &Parameters, base: &Checkpoint, directory: &Path) -> Result<(), TuneError> {
    let Some(options) = parameters.low_rank_options() else {
        return Err(TuneError::parameter("adapter", "the whole model was learnt, and no adapter"));
    };
    fs::create_dir_all(directory).map_err(TuneError::io(directory))?;
    let tensors = parameters.variables().map(|(name, variable)| (name, variable.as_tensor().clone()));
    let metadata = HashMap::from([Adapter::metadata_for(base)?]);
    write(&directory.join("adapter_model.safetensors"), |path| {
        safetensors::serialize_to_file(tensors, Some(metadata), path)
            .map_err(|error| TuneError::state(path, error.to_string()))
    })?;
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.path().display().to_string(),
        "r": options.rank,
        "lora_alpha": options.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    });
    let config = format!("{config:#}\n");
    write(&directory.join("adapter_config.json"), |path| fs::write(path, config).map_err(TuneError::io(path)))
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
