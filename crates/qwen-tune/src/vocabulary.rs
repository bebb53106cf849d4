//! [`train_tokenizer`]: a byte-level BPE of the kind that Qwen3 has, learnt from texts.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use crate::error::TuneError;

/// How Qwen3's `tokenizer.json` cuts text into words.
const WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The control tokens of Qwen3's `tokenizer.json`, in their order, behind all others.
const SPECIAL: [&str; 14] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
];
/// Those of them that are shown when text is decoded.
const SHOWN: [&str; 12] = [
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
];

/// Learns a vocabulary of at most `size` tokens, Qwen3's control tokens included, from texts, and writes
/// it as a `tokenizer.json`.
///
/// # Errors
/// [`TuneError::Parameter`] for a size that has no room for bytes and control tokens, or when nothing
/// can be learnt; [`TuneError::Io`].
pub fn train_tokenizer(texts: impl Iterator<Item = String> + Send, size: usize, path: &Path) -> Result<(), TuneError> {
    let least = 256 + SPECIAL.len() + SHOWN.len();
    if size < least {
        return Err(TuneError::parameter("vocab_size", format!("it must be at least {least}")));
    }
    let failed = |error: tokenizers::Error| TuneError::parameter("tokenizer", error.to_string());
    let mut tokenizer: Tokenizer = serde_json::from_value(untrained()).map_err(|error| failed(error.into()))?;
    let trainer = BpeTrainer::builder()
        .vocab_size(size - SPECIAL.len() - SHOWN.len())
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), texts).map_err(failed)?;
    let text = tokenizer.to_string(false).map_err(failed)?;
    let mut json: Value = serde_json::from_str(&text).map_err(|error| failed(error.into()))?;
    json["added_tokens"] = added(tokenizer.get_vocab_size(false));
    std::fs::write(path, json.to_string()).map_err(TuneError::io(path))
}

/// Everything but the vocabulary.
fn untrained() -> Value {
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": false},
            byte_level,
        ]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": {}, "merges": []},
    })
}

/// The control tokens, from id `first` on.
fn added(first: usize) -> Value {
    let all = SPECIAL.iter().map(|content| (content, true)).chain(SHOWN.iter().map(|content| (content, false)));
    let token = |(id, (content, special)): (usize, (&&str, bool))| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": special})
    };
    (first..).zip(all).map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back_and_learnt_words_are_short() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokenizer.json");
        let texts = (0..50).map(|n| format!("The patient takes Metformin {n}mg twice daily."));
        train_tokenizer(texts, 400, &path).unwrap();
        let tokenizer = qwen_runtime::Tokenizer::from_file(&path).unwrap();
        assert!(tokenizer.id_count() <= 400);
        for text in ["The patient takes Metformin 500mg.", "Ärzte, 薬, 😀\r\n\t x", "<|im_start|>"] {
            assert_eq!(tokenizer.decode(&tokenizer.encode_text(text).unwrap()), text);
        }
        assert_eq!(tokenizer.encode_text(" Metformin").unwrap().len(), 1);
        assert!(tokenizer.is_special(tokenizer.added_token("<|im_end|>").unwrap()));
        assert!(!tokenizer.is_special(tokenizer.added_token("</think>").unwrap()));
        assert!(train_tokenizer(std::iter::empty(), 100, &path).is_err());
    }
}
