//! What a checkpoint says about generating: the ids that end a text, and sampling values.

use serde::Deserialize;

use super::files::CheckpointFiles;
use super::gguf::GgufFile;
use crate::TokenId;
use crate::error::RuntimeError;
use crate::sampling::SamplingOptions;

/// The tokens that end a turn and a document in every Qwen vocabulary; llama.cpp takes the same.
pub(crate) const END_TOKENS: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// A checkpoint's own defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationDefaults {
    /// Ids that end a text.
    pub eos: Vec<TokenId>,
    /// Sampling values; what the checkpoint does not name is `None`.
    pub sampling: SamplingOptions,
}

#[derive(Debug, Default, Deserialize)]
struct GenerationConfigJson {
    eos_token_id: Option<OneOrMore>,
    do_sample: Option<bool>,
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

/// `eos_token_id` is a number or a list of numbers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(TokenId),
    More(Vec<TokenId>),
}

impl From<OneOrMore> for Vec<TokenId> {
    fn from(ids: OneOrMore) -> Self {
        match ids {
            OneOrMore::One(id) => vec![id],
            OneOrMore::More(ids) => ids,
        }
    }
}

fn read<T: for<'de> Deserialize<'de> + Default>(files: &CheckpointFiles, name: &str) -> Result<T, RuntimeError> {
    let Some(bytes) = files.read(name)? else { return Ok(T::default()) };
    serde_json::from_slice(&bytes).map_err(|error| RuntimeError::invalid(&files.path_of(name), error.to_string()))
}

/// Reads `generation_config.json`; the ids also from `config.json`.
pub(crate) fn from_files(files: &CheckpointFiles) -> Result<GenerationDefaults, RuntimeError> {
    #[derive(Default, Deserialize)]
    struct EosOnly {
        eos_token_id: Option<OneOrMore>,
    }
    let json: GenerationConfigJson = read(files, "generation_config.json")?;
    let eos = match json.eos_token_id {
        Some(ids) => ids.into(),
        None => {
            let config: EosOnly = read(files, "config.json")?;
            config.eos_token_id.map(Into::into).unwrap_or_default()
        }
    };
    let sampling = SamplingOptions {
        // transformers samples only when told to; its default is greedy.
        temperature: if json.do_sample == Some(false) { Some(0.0) } else { json.temperature },
        top_k: json.top_k,
        top_p: json.top_p,
        min_p: json.min_p,
        repetition_penalty: json.repetition_penalty,
        ..SamplingOptions::default()
    };
    Ok(GenerationDefaults { eos, sampling })
}

/// Reads the metadata of a GGUF file, and a `generation_config.json` beside it where it exists.
pub(crate) fn from_gguf(file: &GgufFile, beside: &CheckpointFiles) -> Result<GenerationDefaults, RuntimeError> {
    let mut defaults = from_files(beside)?;
    if defaults.eos.is_empty() {
        let named = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];
        let id = |value: Option<u64>| value.and_then(|value| TokenId::try_from(value).ok());
        defaults.eos.extend(named.iter().filter_map(|key| id(file.integer(key))));
        for (index, token) in file.strings("tokenizer.ggml.tokens")?.unwrap_or_default().iter().enumerate() {
            if END_TOKENS.contains(token) {
                defaults.eos.extend(TokenId::try_from(index));
            }
        }
        defaults.eos.sort_unstable();
        defaults.eos.dedup();
    }
    let float = |key: &str| file.float(&format!("general.sampling.{key}")).map(|value| value as f32);
    let top_k = file.integer("general.sampling.top_k").and_then(|value| u32::try_from(value).ok());
    let sampling = &mut defaults.sampling;
    sampling.temperature = sampling.temperature.or(float("temp"));
    sampling.top_p = sampling.top_p.or(float("top_p"));
    sampling.min_p = sampling.min_p.or(float("min_p"));
    sampling.repetition_penalty = sampling.repetition_penalty.or(float("penalty_repeat"));
    sampling.top_k = sampling.top_k.or(top_k);
    Ok(defaults)
}
