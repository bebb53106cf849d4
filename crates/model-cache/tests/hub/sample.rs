//! Small checkpoints to put into repositories and directories, and one large enough to be interrupted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::{Content, Repo};

/// The weights of a checkpoint in one file.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// A safetensors file with one float32 tensor of `elements` elements.
pub(crate) fn safetensors(elements: usize) -> Vec<u8> {
    let mut bytes = header(elements * 4);
    bytes.extend(std::iter::repeat_n(0, elements * 4));
    bytes
}

/// A safetensors file of about this length whose bytes do not repeat.
pub(crate) fn weights(len: usize) -> Vec<u8> {
    let mut bytes = header(len / 4 * 4);
    bytes.extend(noise(len as u64).flat_map(u64::to_le_bytes).take(len / 4 * 4));
    bytes
}

/// The same, as large as one likes, without being in memory.
pub(crate) fn endless_weights(len: u64) -> Content {
    let len = len / 4 * 4;
    let head = header(len as usize);
    let block: Vec<u8> = noise(len).flat_map(u64::to_le_bytes).take(1 << 23).collect();
    Content::Pattern { len: head.len() as u64 + len, head: head.into(), block: block.into() }
}

fn header(len: usize) -> Vec<u8> {
    let header = json!({
        "__metadata__": {"format": "pt"},
        "weight": {"dtype": "F32", "shape": [len / 4], "data_offsets": [0, len]},
    })
    .to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes
}

/// Numbers without end, always the same ones (xorshift64*).
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed | 1;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
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
    with_weights(safetensors(1000))
}

/// A checkpoint with these weights.
pub(crate) fn with_weights(weights: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let mut files = texts();
    files.insert(WEIGHTS.to_owned(), weights);
    files
}

/// A checkpoint in two shards.
pub(crate) fn sharded() -> BTreeMap<String, Vec<u8>> {
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut files = texts();
    let index = json!({"metadata": {}, "weight_map": {"a": shards[0], "b": shards[1], "c": shards[1]}});
    files.insert("model.safetensors.index.json".to_owned(), index.to_string().into_bytes());
    for (shard, elements) in shards.into_iter().zip([50, 60]) {
        files.insert(shard.to_owned(), safetensors(elements));
    }
    files
}

/// A repository as they are: the checkpoint among files that nobody here needs.
pub(crate) fn repo(id: &str) -> Repo {
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
    Repo::new(id, files)
}

/// A repository with a checkpoint of about this many bytes.
pub(crate) fn large_repo(id: &str, len: usize) -> Repo {
    Repo::new(id, with_weights(weights(len)))
}

/// Writes files into a directory, which is made.
pub(crate) fn write(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    fs::create_dir_all(dir).unwrap();
    for (file, bytes) in files {
        fs::write(dir.join(file), bytes).unwrap();
    }
}
