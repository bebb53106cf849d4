//! candle-transformers' own Qwen3 as a second opinion on checkpoints of unusual shapes.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::qwen3;
use qwen_runtime::{Checkpoint, CpuEngine, Engine, LogitsAt, RuntimeError, SequenceStep, TensorName, WeightForm};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::logits;

/// Name, shape and bytes.
type NamedTensor = (String, Vec<usize>, Vec<u8>);

/// Writes a checkpoint with random bf16 weights for `config` in `shards` files.
pub(crate) fn write_checkpoint(directory: &Path, config: &Value, shards: usize) {
    std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
    let int = |key: &str| usize::try_from(config[key].as_u64().unwrap()).unwrap();
    let (hidden, layers, vocab, ff) =
        (int("hidden_size"), int("num_hidden_layers"), int("vocab_size"), int("intermediate_size"));
    let head_dim = int("head_dim");
    let (q, kv) = (int("num_attention_heads") * head_dim, int("num_key_value_heads") * head_dim);
    let mut shapes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    shapes.insert("model.embed_tokens.weight".into(), vec![vocab, hidden]);
    shapes.insert("model.norm.weight".into(), vec![hidden]);
    if config["tie_word_embeddings"] == false {
        shapes.insert("lm_head.weight".into(), vec![vocab, hidden]);
    }
    for layer in 0..layers {
        let mut add =
            |name: &str, shape: &[usize]| shapes.insert(format!("model.layers.{layer}.{name}"), shape.to_vec());
        add("input_layernorm.weight", &[hidden]);
        add("post_attention_layernorm.weight", &[hidden]);
        add("self_attn.q_norm.weight", &[head_dim]);
        add("self_attn.k_norm.weight", &[head_dim]);
        for (name, out, input) in [("q", q, hidden), ("k", kv, hidden), ("v", kv, hidden), ("o", hidden, q)] {
            add(&format!("self_attn.{name}_proj.weight"), &[out, input]);
            if config["attention_bias"] == true {
                add(&format!("self_attn.{name}_proj.bias"), &[out]);
            }
        }
        for (name, out, input) in [("gate", ff, hidden), ("up", ff, hidden), ("down", hidden, ff)] {
            add(&format!("mlp.{name}_proj.weight"), &[out, input]);
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut weight_map = BTreeMap::new();
    let mut files: Vec<Vec<NamedTensor>> = vec![Vec::new(); shards];
    for (index, (name, shape)) in shapes.into_iter().enumerate() {
        let count: usize = shape.iter().product();
        let around = if name.contains("norm") { 1.0 } else { 0.0 };
        let bytes = (0..count)
            .flat_map(|_| half::bf16::from_f32(around + rng.random_range(-0.2_f32..0.2)).to_le_bytes())
            .collect();
        let shard = index % shards;
        weight_map.insert(name.clone(), format!("model-{:05}-of-{shards:05}.safetensors", shard + 1));
        files[shard].push((name, shape, bytes));
    }
    for (shard, tensors) in files.iter().enumerate() {
        let name = match shards {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{shards:05}.safetensors", shard + 1),
        };
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::BF16, shape.clone(), bytes).unwrap()));
        safetensors::serialize_to_file(views, None, &directory.join(name)).unwrap();
    }
    if shards > 1 {
        let index = json!({"metadata": {}, "weight_map": weight_map});
        std::fs::write(directory.join("model.safetensors.index.json"), index.to_string()).unwrap();
    }
}

/// A config with the given heads.
pub(crate) fn config(heads: usize, kv_heads: usize, head_dim: usize) -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "intermediate_size": 80, "vocab_size": 320, "max_position_embeddings": 512, "rms_norm_eps": 1e-6,
        "rope_theta": 1e6, "tie_word_embeddings": true, "attention_bias": false, "hidden_act": "silu",
        "sliding_window": null, "max_window_layers": 3, "use_sliding_window": false,
    })
}

fn opinion(directory: &Path, config: &Value, tokens: &[u32]) -> Vec<f32> {
    let checkpoint = Checkpoint::open(directory).unwrap();
    let mut tensors = std::collections::HashMap::new();
    for name in checkpoint.architecture().tensor_names() {
        let stored = checkpoint.tensor(name).unwrap();
        let tensor = Tensor::from_raw_buffer(&stored.bytes, DType::BF16, &stored.shape, &Device::Cpu).unwrap();
        tensors.insert(TensorName::in_safetensors(name), tensor.to_dtype(DType::F32).unwrap());
    }
    let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let config: qwen3::Config = serde_json::from_value(config.clone()).unwrap();
    let mut model = qwen3::ModelForCausalLM::new(&config, weights).unwrap();
    let input = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    model.forward(&input, 0).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The engines that take the checkpoint's heads; the cpu engine wants multiples of 16.
fn engines(path: &Path) -> Vec<Box<dyn Engine>> {
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(logits::engine(path, WeightForm::Stored))];
    let checkpoint = Checkpoint::open(path).unwrap();
    match CpuEngine::load(&checkpoint, logits::cpu_config(WeightForm::Stored), &|_, _| {}) {
        Ok(engine) => engines.push(Box::new(engine)),
        Err(error) => {
            assert!(matches!(error, RuntimeError::UnsupportedCheckpoint { .. }), "{error}");
            assert!(!checkpoint.architecture().head_dim.is_multiple_of(16), "{error}");
        }
    }
    engines
}

#[test]
fn candle_transformers_agrees_on_unusual_shapes() {
    let tokens: Vec<u32> = (0..70).map(|index| (index * 37 + 5) % 320).collect();
    let mut untied = config(6, 3, 16);
    untied["tie_word_embeddings"] = json!(false);
    let mut biased = config(4, 2, 32);
    biased["attention_bias"] = json!(true);
    for (label, config, shards) in [
        ("multi-query", config(4, 1, 24), 1),
        ("no grouping", config(3, 3, 16), 1),
        ("untied, sharded", untied, 3),
        ("biases", biased, 2),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write_checkpoint(directory.path(), &config, shards);
        let expected = opinion(directory.path(), &config, &tokens);
        let largest = expected.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        for mut engine in engines(directory.path()) {
            let sequence = engine.allocate().unwrap();
            let step = SequenceStep { sequence, position: 0, tokens: &tokens, logits: LogitsAt::Last };
            let actual = engine.step(&[step]).unwrap().remove(0);
            let worst = actual.values().iter().zip(&expected).map(|(a, e)| (a - e).abs()).fold(0.0_f32, f32::max);
            assert_eq!(actual.values().len(), expected.len());
            let label = format!("{label} on {}", engine.description());
            assert!(worst <= 2e-4 * (largest / 10.0).max(1.0), "{label}: off by {worst} of {largest}");
        }
    }
}
