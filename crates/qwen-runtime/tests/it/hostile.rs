//! Checkpoints that are cut off, lie or are not what they seem.

use std::path::Path;

use proptest::prelude::*;
use qwen_runtime::{ChatTemplate, Checkpoint, RuntimeError, Tokenizer};
use serde_json::json;

use crate::{golden, second_opinion};

/// Opens everything that a file can offer; whatever happens, it is a value and no panic.
fn open(path: &Path) -> Result<(), RuntimeError> {
    let checkpoint = Checkpoint::open(path)?;
    let _ = checkpoint.generation_defaults();
    let _ = Tokenizer::of_checkpoint(&checkpoint);
    let _ = ChatTemplate::of_checkpoint(&checkpoint);
    Ok(())
}

fn gguf() -> Vec<u8> {
    std::fs::read(golden::own("k256-gguf/model-Q4_K_M.gguf")).unwrap()
}

fn open_bytes(bytes: &[u8], name: &str) -> Result<(), RuntimeError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    open(&path)
}

/// The test's own checkpoint directory with the bytes of its safetensors file replaced.
fn open_safetensors(bytes: &[u8]) -> Result<(), RuntimeError> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(golden::own("tied-f32/config.json"), directory.path().join("config.json")).unwrap();
    std::fs::write(directory.path().join("model.safetensors"), bytes).unwrap();
    open(directory.path())
}

fn header(tensors: &serde_json::Value, data: usize) -> Vec<u8> {
    let text = tensors.to_string();
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn a_cut_off_gguf_is_named() {
    let whole = gguf();
    assert!(open_bytes(&whole, "whole.gguf").is_ok());
    for len in [0, 3, 4, 20, 1000, whole.len() / 2, whole.len() - 1] {
        let error = open_bytes(&whole[..len], "cut.gguf").unwrap_err();
        assert!(matches!(error, RuntimeError::InvalidCheckpoint { .. }), "{len}: {error}");
    }
}

#[test]
fn a_cut_off_or_lying_safetensors_is_named() {
    let whole = std::fs::read(golden::own("tied-f32/model.safetensors")).unwrap();
    assert!(open_safetensors(&whole).is_ok());
    for len in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        assert!(matches!(open_safetensors(&whole[..len]), Err(RuntimeError::InvalidCheckpoint { .. })), "{len}");
    }
    let tensor = |shape: serde_json::Value, end: u64| json!({"model.norm.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}});
    for (label, tensors, data) in [
        ("past the end", tensor(json!([64]), 256), 16),
        ("overflowing shape", tensor(json!([u64::MAX, 8]), 256), 256),
        ("wrong length", tensor(json!([63]), 256), 256),
        ("not JSON", json!("text"), 0),
        ("tensors missing", tensor(json!([64]), 256), 256),
    ] {
        let error = open_safetensors(&header(&tensors, data)).unwrap_err();
        assert!(matches!(error, RuntimeError::InvalidCheckpoint { .. }), "{label}: {error}");
    }
    let mut lying = u64::MAX.to_le_bytes().to_vec();
    lying.extend_from_slice(b"{}");
    assert!(matches!(open_safetensors(&lying), Err(RuntimeError::InvalidCheckpoint { .. })));
}

#[test]
fn a_wrong_tensor_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let config = second_opinion::config(4, 2, 16);
    second_opinion::write_checkpoint(directory.path(), &config, 2);
    assert!(open(directory.path()).is_ok());
    let mut wider = config.clone();
    wider["intermediate_size"] = json!(96);
    std::fs::write(directory.path().join("config.json"), wider.to_string()).unwrap();
    let error = open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("mlp.gate_proj.weight") && error.contains("[96, 48]"), "{error}");
    let mut deeper = config.clone();
    deeper["num_hidden_layers"] = json!(4);
    std::fs::write(directory.path().join("config.json"), deeper.to_string()).unwrap();
    let error = open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("model.layers.3") && error.contains("missing"), "{error}");
    // An index that leads out of its directory.
    let index = json!({"weight_map": {"model.norm.weight": "../../etc/passwd"}});
    std::fs::write(directory.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    assert!(matches!(open(directory.path()), Err(RuntimeError::InvalidCheckpoint { .. })));
    // A shard that is not there.
    let index = json!({"weight_map": {"model.norm.weight": "model-00009-of-00009.safetensors"}});
    std::fs::write(directory.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    assert!(matches!(open(directory.path()), Err(RuntimeError::Io { .. })));
}

#[test]
fn another_kind_of_tensor_or_model_is_unsupported() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = second_opinion::config(4, 2, 16);
    second_opinion::write_checkpoint(directory.path(), &config, 1);
    config["model_type"] = json!("qwen3_moe");
    config["architectures"] = json!(["Qwen3MoeForCausalLM"]);
    std::fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(&error, RuntimeError::UnsupportedCheckpoint { .. }), "{error}");
    // The same file with a ggml type that no one knows: type numbers follow the tensor's dimensions.
    let mut bytes = gguf();
    let name = b"output_norm.weight";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4 + 8;
    bytes[at] = 99;
    let error = open_bytes(&bytes, "strange.gguf").unwrap_err();
    assert!(matches!(&error, RuntimeError::UnsupportedCheckpoint { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_are_no_checkpoint(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(open_bytes(&bytes, "random.gguf").is_err());
        prop_assert!(open_safetensors(&bytes).is_err());
        let mut with_magic = b"GGUF\x03\0\0\0".to_vec();
        with_magic.extend_from_slice(&bytes);
        prop_assert!(open_bytes(&with_magic, "random.gguf").is_err());
    }

    #[test]
    fn mutated_headers_never_panic(
        changes in prop::collection::vec((0_usize..20_000, any::<u8>()), 1..6), cut in prop::option::of(0_usize..60_000)
    ) {
        let mut bytes = gguf();
        for (at, byte) in &changes {
            bytes[*at] = *byte;
        }
        bytes.truncate(cut.unwrap_or(bytes.len()));
        let _ = open_bytes(&bytes, "mutated.gguf");
        let mut bytes = std::fs::read(golden::own("tied-f32/model.safetensors")).unwrap();
        for (at, byte) in changes {
            bytes[at % 3000] = byte;
        }
        let _ = open_safetensors(&bytes);
    }

    #[test]
    fn mutated_tokenizers_and_configs_never_panic(at in 0_usize..30_000, byte in any::<u8>()) {
        let directory = tempfile::tempdir().unwrap();
        for name in ["tokenizer.json", "config.json", "generation_config.json"] {
            let mut bytes = std::fs::read(golden::own("tied-f32").join(name)).unwrap();
            let len = bytes.len();
            bytes[at % len] = byte;
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        std::fs::copy(golden::own("tied-f32/model.safetensors"), directory.path().join("model.safetensors")).unwrap();
        let _ = open(directory.path());
        let _ = Tokenizer::from_file(&directory.path().join("tokenizer.json"));
    }
}
