//! Owns the metadata of the file: what llama.cpp's convert_hf_to_gguf.py and quantizer write for Qwen3. Must not
//! know bytes.

use std::path::Path;

use serde_json::Value as Json;

use super::gguf_writer::Value;
use super::imatrix::Importance;
use super::options::{FileType, QuantizeOptions};
use crate::checkpoint::{Architecture, Checkpoint, CheckpointFiles, RampBounds, RopeScaling};
use crate::error::RuntimeError;
use crate::tokenizer::GgufLists;

/// ggml's `GGML_QNT_VERSION`.
const QUANTIZATION_VERSION: u32 = 2;

/// Keys and values in the order of the file.
#[derive(Debug, Default)]
struct Entries(Vec<(String, Value)>);

impl Entries {
    fn put(&mut self, key: &str, value: Value) {
        self.0.push((key.to_owned(), value));
    }

    fn number(&mut self, key: &str, value: usize) {
        // Every number of a validated architecture is far below the limit.
        self.put(key, Value::U32(u32::try_from(value).unwrap_or(u32::MAX)));
    }

    fn float(&mut self, key: &str, value: f64) {
        self.put(key, Value::F32(value as f32));
    }

    fn text(&mut self, key: &str, value: impl Into<String>) {
        self.put(key, Value::Text(value.into()));
    }
}

/// The entries for a checkpoint.
pub(super) fn entries(
    checkpoint: &Checkpoint,
    options: &QuantizeOptions,
    importance: Option<&Importance>,
    weights: u64,
) -> Result<Vec<(String, Value)>, RuntimeError> {
    let mut entries = Entries::default();
    let architecture = checkpoint.architecture();
    put_general(&mut entries, &options.name.clone().unwrap_or_else(|| name_of(checkpoint.path())), weights);
    put_sampling(&mut entries, checkpoint)?;
    put_architecture(&mut entries, architecture);
    put_rope(&mut entries, architecture, checkpoint.path())?;
    put_file_type(&mut entries, options.file_type);
    put_tokenizer(&mut entries, checkpoint.side_files(), architecture.vocab_size)?;
    if let Some(importance) = importance {
        put_importance(&mut entries, importance);
    }
    Ok(entries.0)
}

/// The entries for weights that come from nowhere; without `tokenizer`, for token ids alone.
pub(super) fn entries_without_checkpoint(
    name: &str,
    architecture: &Architecture,
    file_type: FileType,
    tokenizer: Option<&CheckpointFiles>,
) -> Result<Vec<(String, Value)>, RuntimeError> {
    let mut entries = Entries::default();
    put_general(&mut entries, name, architecture.weights());
    put_architecture(&mut entries, architecture);
    put_rope(&mut entries, architecture, Path::new(name))?;
    put_file_type(&mut entries, file_type);
    match tokenizer {
        Some(files) => put_tokenizer(&mut entries, files, architecture.vocab_size)?,
        None => {
            // llama.cpp makes a nameless token for each row.
            entries.text("tokenizer.ggml.model", "no_vocab");
            entries.number("qwen3.vocab_size", architecture.vocab_size);
        }
    }
    Ok(entries.0)
}

fn put_general(entries: &mut Entries, name: &str, weights: u64) {
    entries.text("general.architecture", "qwen3");
    entries.text("general.type", "model");
    entries.text("general.name", name);
    entries.text("general.size_label", size_label(weights));
}

fn put_file_type(entries: &mut Entries, file_type: FileType) {
    entries.put("general.file_type", Value::U32(file_type.number()));
    entries.put("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
}

fn put_importance(entries: &mut Entries, importance: &Importance) {
    entries.text("quantize.imatrix.file", importance.path().display().to_string());
    if let Some(dataset) = &importance.dataset {
        entries.text("quantize.imatrix.dataset", dataset);
    }
    entries.number("quantize.imatrix.entries_count", importance.len());
    if let Some(chunks) = importance.chunks {
        entries.put("quantize.imatrix.chunks_count", Value::U32(chunks));
    }
}

fn put_sampling(entries: &mut Entries, checkpoint: &Checkpoint) -> Result<(), RuntimeError> {
    let sampling = checkpoint.generation_defaults()?.sampling;
    if let Some(top_k) = sampling.top_k.and_then(|top_k| i32::try_from(top_k).ok()) {
        entries.put("general.sampling.top_k", Value::I32(top_k));
    }
    for (key, value) in [
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("temp", sampling.temperature),
        ("penalty_repeat", sampling.repetition_penalty),
    ] {
        if let Some(value) = value {
            entries.put(&format!("general.sampling.{key}"), Value::F32(value));
        }
    }
    Ok(())
}

fn put_architecture(entries: &mut Entries, architecture: &Architecture) {
    entries.number("qwen3.block_count", architecture.layers);
    entries.number("qwen3.context_length", architecture.max_context);
    entries.number("qwen3.embedding_length", architecture.hidden_size);
    entries.number("qwen3.feed_forward_length", architecture.intermediate_size);
    entries.number("qwen3.attention.head_count", architecture.heads);
    entries.number("qwen3.attention.head_count_kv", architecture.kv_heads);
    entries.number("qwen3.attention.key_length", architecture.head_dim);
    entries.number("qwen3.attention.value_length", architecture.head_dim);
    entries.float("qwen3.attention.layer_norm_rms_epsilon", architecture.rms_norm_eps);
    entries.float("qwen3.rope.freq_base", architecture.rope.theta);
}

fn put_rope(entries: &mut Entries, architecture: &Architecture, path: &Path) -> Result<(), RuntimeError> {
    match architecture.rope.scaling {
        RopeScaling::None => {}
        RopeScaling::Linear { factor } => {
            entries.text("qwen3.rope.scaling.type", "linear");
            entries.float("qwen3.rope.scaling.factor", factor);
        }
        RopeScaling::Yarn { ramp: RampBounds::Fractional, .. } => {
            return Err(RuntimeError::unsupported(path, "YaRN with truncate = false, which a GGUF cannot say"));
        }
        RopeScaling::Yarn {
            factor,
            original_context,
            attention_factor,
            beta_fast,
            beta_slow,
            ramp: RampBounds::Whole,
        } => {
            entries.text("qwen3.rope.scaling.type", "yarn");
            entries.float("qwen3.rope.scaling.factor", factor);
            // The cast saturates; no context is that long.
            entries.put("qwen3.rope.scaling.original_context_length", Value::U32(original_context as u32));
            // llama.cpp multiplies by YaRN's own factor, which transformers' value already holds.
            let own = 0.1 * factor.ln() + 1.0;
            if (attention_factor / own - 1.0).abs() > 1e-6 {
                entries.float("qwen3.rope.scaling.attn_factor", attention_factor / own);
            }
            entries.float("qwen3.rope.scaling.yarn_beta_fast", beta_fast);
            entries.float("qwen3.rope.scaling.yarn_beta_slow", beta_slow);
        }
    }
    Ok(())
}

fn put_tokenizer(entries: &mut Entries, files: &CheckpointFiles, rows: usize) -> Result<(), RuntimeError> {
    let lists = GgufLists::of_files(files, rows)?;
    let tokenizer_config = files.tokenizer_config()?;
    let config = files.config()?;
    entries.text("tokenizer.ggml.model", "gpt2");
    entries.text("tokenizer.ggml.pre", "qwen2");
    for role in ["eos", "pad", "bos"] {
        let named = tokenizer_config.get(format!("{role}_token"));
        let named = named.and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
        let of_name = named.and_then(|name| lists.added.iter().find(|(text, _)| text == name)).map(|(_, id)| *id);
        let of_config = config.get(format!("{role}_token_id")).and_then(Json::as_u64);
        let id = of_name.or_else(|| of_config.and_then(|id| u32::try_from(id).ok()));
        if let Some(id) = id.filter(|id| (*id as usize) < lists.tokens.len()) {
            entries.put(&format!("tokenizer.ggml.{role}_token_id"), Value::U32(id));
        }
    }
    entries.put("tokenizer.ggml.tokens", Value::Texts(lists.tokens));
    entries.put("tokenizer.ggml.token_type", Value::I32s(lists.types));
    entries.put("tokenizer.ggml.merges", Value::Texts(lists.merges));
    // Templates write every control token.
    entries.put("tokenizer.ggml.add_bos_token", Value::Bool(false));
    if let Some(template) = files.chat_template()? {
        entries.text("tokenizer.chat_template", template);
    }
    Ok(())
}

/// The directory's name; of a directory of the Hub's cache, which is called by its commit, the repository's.
fn name_of(path: &Path) -> String {
    let part = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let own = part(Some(path)).unwrap_or_else(|| "qwen3".to_owned());
    let is_snapshot = part(path.parent()).is_some_and(|name| name == "snapshots");
    let repository = part(path.parent().and_then(Path::parent)).filter(|_| is_snapshot);
    repository.as_deref().and_then(|name| name.rsplit("--").next()).map_or(own, str::to_owned)
}

/// The number of weights with two significant digits at least, as llama.cpp's tools write it.
fn size_label(weights: u64) -> String {
    let (unit, suffix) = match weights {
        1_000_000_000_000.. => (1e12, "T"),
        1_000_000_000.. => (1e9, "B"),
        1_000_000.. => (1e6, "M"),
        _ => (1e3, "K"),
    };
    let scaled = weights as f64 / unit;
    let digits = usize::from(scaled.round() < 10.0);
    format!("{scaled:.digits$}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_are_those_of_llama_cpp() {
        assert_eq!(size_label(596_049_920), "596M");
        assert_eq!(size_label(4_022_468_096), "4.0B");
        assert_eq!(size_label(1_720_574_976), "1.7B");
        assert_eq!(size_label(135_104), "135K");
        assert_eq!(name_of(Path::new("models/my-qwen3")), "my-qwen3");
        assert_eq!(name_of(Path::new("m/models--Qwen--Qwen3-0.6B/snapshots/0123")), "Qwen3-0.6B");
    }
}
