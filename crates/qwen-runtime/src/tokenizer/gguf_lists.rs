//! Writes a `tokenizer.json` as the lists of a GGUF file's metadata: the way back of `gguf`.

use std::path::Path;

use serde_json::Value;

use super::Tokenizer;
use super::gguf::{CONTROL, NORMAL, QWEN2_PATTERN, UNUSED, USER_DEFINED};
use crate::checkpoint::CheckpointFiles;
use crate::error::RuntimeError;

/// The lists, as llama.cpp's convert_hf_to_gguf.py makes them.
#[derive(Debug, Default)]
pub(crate) struct GgufLists {
    /// One string for each row of the embedding; rows that are no token are called `[PAD<id>]`.
    pub(crate) tokens: Vec<String>,
    /// llama.cpp's `enum llama_token_type` for each of them.
    pub(crate) types: Vec<i32>,
    /// Pairs with a space between.
    pub(crate) merges: Vec<String>,
    /// The ids of added tokens.
    pub(crate) added: Vec<(String, u32)>,
}

impl GgufLists {
    /// The lists for the `tokenizer.json` among `files` and an embedding of `rows`.
    pub(crate) fn of_files(files: &CheckpointFiles, rows: usize) -> Result<Self, RuntimeError> {
        let (json, path) = Tokenizer::json_of(files)?;
        // What this crate cannot use is not written either.
        drop(Tokenizer::from_value(json.clone(), &path)?);
        Self::from_value(&json, rows, &path)
    }

    fn from_value(json: &Value, rows: usize, path: &Path) -> Result<Self, RuntimeError> {
        let names_pattern = |value: &Value| value.to_string().contains(&Value::from(QWEN2_PATTERN).to_string());
        if !json.get("pre_tokenizer").is_some_and(names_pattern) {
            return Err(RuntimeError::unsupported(path, "the pre-tokenizer is not the one that GGUF calls qwen2"));
        }
        let model = json.get("model").unwrap_or(&Value::Null);
        let mut lists = Self { merges: merges(model, path)?, ..Self::default() };
        let mut tokens = vec![None; rows];
        let mut put = |id: Option<u64>, text: &str, kind: i64| -> Result<(), RuntimeError> {
            let index = id.and_then(|id| usize::try_from(id).ok());
            let slot = index.and_then(|index| tokens.get_mut(index)).ok_or_else(|| {
                RuntimeError::invalid(path, format!("token {text:?} has no row among the embedding's {rows}"))
            })?;
            *slot = Some((text.to_owned(), kind));
            Ok(())
        };
        let vocabulary = model.get("vocab").and_then(Value::as_object);
        for (text, id) in vocabulary.ok_or_else(|| RuntimeError::invalid(path, "it has no vocabulary"))? {
            put(id.as_u64(), text, NORMAL)?;
        }
        for token in json.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
            let text = token.get("content").and_then(Value::as_str).unwrap_or_default();
            let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
            let id = token.get("id").and_then(Value::as_u64);
            put(id, text, if special || looks_special(text) { CONTROL } else { USER_DEFINED })?;
            lists.added.extend(id.and_then(|id| u32::try_from(id).ok()).map(|id| (text.to_owned(), id)));
        }
        for (index, token) in tokens.into_iter().enumerate() {
            let (text, kind) = token.unwrap_or_else(|| (format!("[PAD{index}]"), UNUSED));
            lists.tokens.push(text);
            lists.types.push(kind as i32);
        }
        Ok(lists)
    }
}

/// Some control tokens are not marked as special, such as `<|fim_prefix|>`; llama.cpp knows them by their form.
fn looks_special(text: &str) -> bool {
    text.starts_with("<|") && text.ends_with("|>")
}

/// Merges are strings `"a b"` in older files and pairs in newer ones.
fn merges(model: &Value, path: &Path) -> Result<Vec<String>, RuntimeError> {
    let merges = model.get("merges").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |merge: &Value| match merge {
        Value::String(text) => Some(text.clone()),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(first), Value::String(second)] => Some(format!("{first} {second}")),
            _ => None,
        },
        _ => None,
    };
    let merges = merges.iter().map(|merge| text(merge).filter(|text| text.matches(' ').count() == 1));
    merges.collect::<Option<_>>().ok_or_else(|| RuntimeError::invalid(path, "a merge is not a pair of tokens"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lists(change: impl FnOnce(&mut Value)) -> Result<GgufLists, String> {
        let mut value = json!({
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}},
            "model": {"vocab": {"a": 0, "b": 1, "ab": 3}, "merges": [["a", "b"]]},
            "added_tokens": [
                {"id": 4, "content": "<|end|>", "special": true}, {"id": 5, "content": "<|fim|>", "special": false},
                {"id": 6, "content": "<think>", "special": false},
            ],
        });
        change(&mut value);
        GgufLists::from_value(&value, 8, Path::new("tokenizer.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_without_a_token_are_unused_and_control_tokens_are_known_by_their_form() {
        let lists = lists(|_| ()).unwrap();
        assert_eq!(lists.tokens, ["a", "b", "[PAD2]", "ab", "<|end|>", "<|fim|>", "<think>", "[PAD7]"]);
        assert_eq!(lists.types, [1, 1, 5, 1, 3, 3, 4, 5]);
        assert_eq!(lists.merges, ["a b"]);
        assert_eq!(lists.added[2], ("<think>".to_owned(), 6));
    }

    #[test]
    fn what_a_gguf_cannot_say_is_named() {
        assert!(lists(|json| json["pre_tokenizer"] = Value::Null).unwrap_err().contains("qwen2"));
        assert!(lists(|json| json["model"]["vocab"]["c"] = json!(8)).unwrap_err().contains("\"c\""));
        assert!(lists(|json| json["model"]["merges"] = json!([["a b", "c"]])).unwrap_err().contains("merge"));
        assert!(lists(|json| json["model"]["vocab"] = json!([])).unwrap_err().contains("vocabulary"));
    }
}
