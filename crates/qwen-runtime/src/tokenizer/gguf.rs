//! Builds the tokenizer that a GGUF file describes in its metadata.

use serde_json::{Map, Value, json};

use crate::checkpoint::GgufFile;
use crate::error::RuntimeError;

/// The pre-tokenizer that Qwen2 and Qwen3 checkpoints ship in tokenizer.json (`pre = "qwen2"`).
pub(super) const QWEN2_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// llama.cpp's `enum llama_token_type`.
pub(super) const NORMAL: i64 = 1;
pub(super) const CONTROL: i64 = 3;
pub(super) const USER_DEFINED: i64 = 4;
pub(super) const UNUSED: i64 = 5;

/// The metadata as a `tokenizer.json`.
pub(super) fn tokenizer_json(file: &GgufFile) -> Result<Value, RuntimeError> {
    let path = file.path();
    let invalid = |reason: &str| RuntimeError::invalid(path, reason);
    match file.string("tokenizer.ggml.model") {
        Some("gpt2") => {}
        other => {
            return Err(RuntimeError::unsupported(path, format!("tokenizer.ggml.model is {other:?}, not \"gpt2\"")));
        }
    }
    match file.string("tokenizer.ggml.pre") {
        Some("qwen2") => {}
        other => {
            return Err(RuntimeError::unsupported(path, format!("tokenizer.ggml.pre is {other:?}, not \"qwen2\"")));
        }
    }
    let tokens = file.strings("tokenizer.ggml.tokens")?.ok_or_else(|| invalid("tokenizer.ggml.tokens is missing"))?;
    let merges = file.strings("tokenizer.ggml.merges")?.ok_or_else(|| invalid("tokenizer.ggml.merges is missing"))?;
    let types = file.integers("tokenizer.ggml.token_type")?.unwrap_or_default();
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(invalid("tokenizer.ggml.token_type and tokenizer.ggml.tokens differ in length"));
    }
    let mut vocab = Map::new();
    let mut added = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        match types.get(id).copied() {
            Some(UNUSED) => {}
            Some(kind @ (CONTROL | USER_DEFINED)) => added.push(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": kind == CONTROL,
            })),
            _ => {
                vocab.insert((*token).to_owned(), json!(id));
            }
        }
    }
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        ]},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges,
        },
    }))
}
