//! Small checkpoints to put into repositories and directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::hub::{Access, Repo, Trouble};

/// A safetensors file with one float32 tensor of `elements` elements.
pub(crate) fn safetensors(elements: usize) -> Vec<u8> {
    let header = json!({
        "__metadata__": {"format": "pt"},
        "weight": {"dtype": "F32", "shape": [elements], "data_offsets": [0, elements * 4]},
    })
    .to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(std::iter::repeat_n(0, elements * 4));
    bytes
}

/// The smallest beginning of a GGUF file: magic, version 3, no tensor, no metadata.
pub(crate) fn gguf() -> Vec<u8> {
    [b"GGUF".as_slice(), &[3, 0, 0, 0], &[0; 16]].concat()
}

fn texts() -> BTreeMap<String, Vec<u8>> {
    [("config.json", r#"{"model_type": "qwen3"}"#), ("tokenizer.json", r#"{"version": "1.0"}"#)]
        .map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec()))
        .into()
}

/// A checkpoint in one file.
pub(crate) fn checkpoint() -> BTreeMap<String, Vec<u8>> {
    let mut files = texts();
    files.insert("model.safetensors".to_owned(), safetensors(1000));
    files
}

/// A checkpoint in two shards.
pub(crate) fn sharded() -> BTreeMap<String, Vec<u8>> {
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut files = texts();
    let index = json!({"metadata": {}, "weight_map": {"a": shards[0], "b": shards[1], "c": shards[1]}});
    files.insert("model.safetensors.index.json".to_owned(), index.to_string().into_bytes());
    for shard in shards {
        files.insert(shard.to_owned(), safetensors(50));
    }
    files
}

/// A repository as they are: the checkpoint among files that nobody here needs.
pub(crate) fn repo(id: &'static str) -> Repo {
    let mut files = checkpoint();
    for (file, bytes) in [
        ("README.md", b"# Tiny".to_vec()),
        ("pytorch_model.bin", b"pickle".to_vec()),
        ("chat_template.jinja", b"{{ messages }}".to_vec()),
        ("onnx/model.safetensors", safetensors(1)),
        ("tiny-Q8_0.gguf", gguf()),
    ] {
        files.insert(file.to_owned(), bytes);
    }
    Repo { id, files, access: Access::Open, trouble: Trouble::None }
}

/// Writes files into a directory, which is made.
pub(crate) fn write(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    fs::create_dir_all(dir).unwrap();
    for (file, bytes) in files {
        fs::write(dir.join(file), bytes).unwrap();
    }
}
