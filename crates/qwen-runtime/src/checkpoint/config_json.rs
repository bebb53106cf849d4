//! Reads an [`Architecture`] from a Hugging Face `config.json`.

use std::path::Path;

use serde::Deserialize;

use super::architecture::{Architecture, AttentionBias, HeadWeights, RampBounds, Rope, RopeScaling};
use crate::error::RuntimeError;

/// transformers' default where a config names no base.
const DEFAULT_THETA: f64 = 10_000.0;
/// The default of transformers' `Qwen3Config`.
const DEFAULT_HEAD_DIM: usize = 128;

#[derive(Debug, Deserialize)]
struct ConfigJson {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    vocab_size: usize,
    #[serde(default = "default_eps")]
    rms_norm_eps: f64,
    #[serde(default = "default_context")]
    max_position_embeddings: usize,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    use_sliding_window: bool,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    original_max_position_embeddings: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeJson>,
    rope_parameters: Option<RopeJson>,
    quantization_config: Option<serde_json::Value>,
}

/// `rope_scaling` of older files, `rope_parameters` of newer ones.
#[derive(Debug, Deserialize)]
struct RopeJson {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The older name of `rope_type`; transformers writes both.
    r#type: Option<String>,
    partial_rotary_factor: Option<f64>,
    /// Newer files may give each kind of layer its own values.
    full_attention: Option<Box<RopeJson>>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    attention_factor: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    truncate: Option<bool>,
}

fn default_eps() -> f64 {
    1e-6
}

fn default_context() -> usize {
    32_768
}

/// Reads and validates the file's bytes; `path` names it in errors.
pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Architecture, RuntimeError> {
    // The type is read first, so that another model's file is named as such instead of by the
    // first field that it lacks.
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| RuntimeError::invalid(path, error.to_string()))?;
    let named = |key: &str| value.get(key).cloned();
    let is_qwen3 = named("model_type").is_some_and(|name| name == "qwen3")
        || named("architectures")
            .is_some_and(|names| names.as_array().is_some_and(|n| n.iter().any(|n| n == "Qwen3ForCausalLM")));
    if !is_qwen3 {
        let found = named("model_type").or_else(|| named("architectures")).unwrap_or_default();
        return Err(RuntimeError::unsupported(path, format!("the architecture is {found}, not a dense Qwen3")));
    }
    let config: ConfigJson =
        serde_json::from_value(value).map_err(|error| RuntimeError::invalid(path, error.to_string()))?;
    let unsupported = |reason: String| Err(RuntimeError::unsupported(path, reason));
    tracing::debug!(model_type = config.model_type, architectures = ?config.architectures, "config.json read");
    if let Some(act) = config.hidden_act.as_deref().filter(|act| *act != "silu") {
        return unsupported(format!("hidden_act is {act:?}; only silu is known"));
    }
    let slides = match &config.layer_types {
        Some(types) => types.iter().any(|kind| kind != "full_attention"),
        None => config.use_sliding_window && config.max_window_layers.unwrap_or(0) < config.num_hidden_layers,
    };
    if slides {
        return unsupported("sliding-window attention".to_owned());
    }
    if config.quantization_config.is_some() {
        return unsupported("quantized safetensors (quantization_config); use a GGUF file".to_owned());
    }
    let rope = rope(&config, path)?;
    let mut max_context = config.max_position_embeddings;
    if let RopeScaling::Yarn { factor, original_context, .. } = rope.scaling {
        // The cast saturates, and `validated` refuses what is too large.
        max_context = max_context.max((factor * original_context) as usize);
    }
    Architecture {
        hidden_size: config.hidden_size,
        layers: config.num_hidden_layers,
        heads: config.num_attention_heads,
        kv_heads: config.num_key_value_heads.unwrap_or(config.num_attention_heads),
        head_dim: config.head_dim.unwrap_or(DEFAULT_HEAD_DIM),
        intermediate_size: config.intermediate_size,
        vocab_size: config.vocab_size,
        rms_norm_eps: config.rms_norm_eps,
        max_context,
        rope,
        head: if config.tie_word_embeddings { HeadWeights::Tied } else { HeadWeights::Untied },
        attention_bias: if config.attention_bias { AttentionBias::Present } else { AttentionBias::Absent },
    }
    .validated(path)
}

fn rope(config: &ConfigJson, path: &Path) -> Result<Rope, RuntimeError> {
    let json = config.rope_parameters.as_ref().or(config.rope_scaling.as_ref());
    let json = json.map(|json| json.full_attention.as_deref().unwrap_or(json));
    let theta = json.and_then(|json| json.rope_theta).or(config.rope_theta).unwrap_or(DEFAULT_THETA);
    let Some(json) = json else { return Ok(Rope { theta, scaling: RopeScaling::None }) };
    let factor = || json.factor.ok_or_else(|| RuntimeError::invalid(path, "rope scaling has no factor"));
    if json.partial_rotary_factor.is_some_and(|factor| factor != 1.0) {
        return Err(RuntimeError::unsupported(path, "rotary embedding of a part of each head (partial_rotary_factor)"));
    }
    let scaling = match json.rope_type.as_deref().or(json.r#type.as_deref()) {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: factor()? },
        Some("yarn") => {
            let original_context = json
                .original_max_position_embeddings
                .or(config.original_max_position_embeddings)
                .unwrap_or(config.max_position_embeddings as f64);
            let factor = match json.factor {
                Some(factor) => factor,
                None => config.max_position_embeddings as f64 / original_context,
            };
            RopeScaling::Yarn {
                factor,
                original_context,
                attention_factor: json.attention_factor.unwrap_or_else(|| attention_factor(json, factor)),
                // As in Python, 0 counts as unsaid.
                beta_fast: json.beta_fast.filter(|beta| *beta != 0.0).unwrap_or(32.0),
                beta_slow: json.beta_slow.filter(|beta| *beta != 0.0).unwrap_or(1.0),
                ramp: if json.truncate.unwrap_or(true) { RampBounds::Whole } else { RampBounds::Fractional },
            }
        }
        Some(other) => return Err(RuntimeError::unsupported(path, format!("rope scaling of type {other:?}"))),
    };
    Ok(Rope { theta, scaling })
}

/// transformers' `_compute_yarn_parameters`.
fn attention_factor(json: &RopeJson, factor: f64) -> f64 {
    let mscale = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
    match (json.mscale, json.mscale_all_dim) {
        (Some(one), Some(all)) if one != 0.0 && all != 0.0 => mscale(one) / mscale(all),
        _ => mscale(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> Vec<u8> {
        let mut value = serde_json::json!({
            "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
            "intermediate_size": 96, "vocab_size": 640, "rope_theta": 1e6, "tie_word_embeddings": true,
        });
        change(value.as_object_mut().unwrap());
        serde_json::to_vec(&value).unwrap()
    }

    fn parsed(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> Result<Architecture, String> {
        parse(&config(change), Path::new("config.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn theta_is_read_from_either_place() {
        assert_eq!(parsed(|_| ()).unwrap().rope.theta, 1e6);
        let newer = parsed(|config| {
            config.remove("rope_theta");
            config.insert("rope_parameters".into(), serde_json::json!({"rope_theta": 5e6, "rope_type": "default"}));
        });
        assert_eq!(newer.unwrap().rope, Rope { theta: 5e6, scaling: RopeScaling::None });
        let nested = parsed(|config| {
            let values = serde_json::json!({"full_attention": {"rope_theta": 3e6, "rope_type": "default"}});
            config.insert("rope_parameters".into(), values);
        });
        assert_eq!(nested.unwrap().rope.theta, 3e6);
    }

    #[test]
    fn yarn_takes_its_defaults_from_transformers() {
        let yarn = parsed(|config| {
            config.insert(
                "rope_scaling".into(),
                serde_json::json!({
                    "type": "yarn", "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768,
                }),
            );
        })
        .unwrap();
        assert_eq!(yarn.max_context, 131_072);
        let RopeScaling::Yarn { attention_factor, beta_fast, beta_slow, .. } = yarn.rope.scaling else {
            panic!("not YaRN: {:?}", yarn.rope)
        };
        assert!((attention_factor - (0.1 * 4f64.ln() + 1.0)).abs() < 1e-12);
        assert_eq!((beta_fast, beta_slow), (32.0, 1.0));
    }

    #[test]
    fn what_cannot_run_is_named() {
        for (key, value, expected) in [
            ("num_key_value_heads", serde_json::json!(3), "cannot be divided"),
            ("head_dim", serde_json::json!(31), "odd"),
            ("hidden_size", serde_json::json!(0), "hidden size is 0"),
            ("num_hidden_layers", serde_json::json!(100_000), "layers"),
            ("hidden_act", serde_json::json!("gelu"), "gelu"),
            ("use_sliding_window", serde_json::json!(true), "sliding"),
            ("layer_types", serde_json::json!(["sliding_attention", "full_attention"]), "sliding"),
            ("rope_scaling", serde_json::json!({"rope_type": "yarn", "factor": 0.5}), "factor"),
            (
                "rope_scaling",
                serde_json::json!({"type": "yarn", "factor": 2, "original_max_position_embeddings": -1}),
                "YaRN",
            ),
            ("rope_parameters", serde_json::json!({"partial_rotary_factor": 0.5}), "part of each head"),
            ("rope_scaling", serde_json::json!({"rope_type": "longrope"}), "longrope"),
            ("hidden_size", serde_json::json!(-1), "invalid"),
        ] {
            let error = parsed(|config| {
                config.insert(key.into(), value);
            })
            .unwrap_err();
            assert!(error.contains(expected), "{key}: {error}");
        }
        let llama = parsed(|config| {
            config.insert("architectures".into(), serde_json::json!(["LlamaForCausalLM"]));
            config.insert("model_type".into(), serde_json::json!("llama"));
        });
        assert!(llama.unwrap_err().contains("llama"));
    }
}
