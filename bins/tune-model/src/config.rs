//! Owns the file that says what is trained, and how.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use qwen_runtime::{Architecture, AttentionBias, HeadWeights, Rope, RopeScaling};
use qwen_tune::{AdamWOptions, Initialization, MuonOptions, Schedule};
use serde::{Deserialize, Serialize};

/// A training configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data: Data,
    /// What a new model is like; absent where an old one is trained on.
    pub(crate) model: Option<Model>,
    pub(crate) training: Training,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    /// Conversations, one a line.
    pub(crate) conversations: PathBuf,
    /// The directory of the tokenizer; the model that is trained on has its own.
    pub(crate) tokenizer: Option<PathBuf>,
    /// The directory of a model that is trained on, in F32, F16 or BF16; absent for a new one.
    pub(crate) base: Option<PathBuf>,
    /// The directory of the model that is made.
    pub(crate) out: PathBuf,
    /// Tokens of a row.
    pub(crate) row_length: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    hidden_size: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    intermediate_size: usize,
    max_context: usize,
    rope_theta: f64,
    /// What it begins with: `normal`, or `induction`, which can copy from the start.
    #[serde(default)]
    pub(crate) initialization: Initialization,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Training {
    pub(crate) seed: u64,
    steps: usize,
    pub(crate) rows_per_step: usize,
    learning_rate: f64,
    warm_up: usize,
    floor: f64,
    weight_decay: f64,
    /// What changes the matrices between embedding and logits.
    #[serde(default)]
    optimizer: Optimizer,
    /// Steps between checkpoints.
    pub(crate) save_every: usize,
}

/// How matrices are changed; embedding, logits and vectors are AdamW's always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Optimizer {
    #[default]
    AdamW,
    Muon,
}

impl Config {
    /// Reads a file; its paths are made relative to where this program stands.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut config: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let Data { conversations, tokenizer, base, out, .. } = &mut config.data;
        for path in [conversations, out].into_iter().chain(tokenizer).chain(base) {
            *path = folder.join(&*path);
        }
        anyhow::ensure!(config.training.save_every > 0, "{}: save_every must be at least 1", path.display());
        Ok(config)
    }
}

impl Model {
    /// The shape of the model, with a row for each token.
    pub(crate) fn architecture(&self, vocab_size: usize) -> Architecture {
        Architecture {
            hidden_size: self.hidden_size,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            intermediate_size: self.intermediate_size,
            vocab_size,
            rms_norm_eps: 1e-6,
            max_context: self.max_context,
            rope: Rope { theta: self.rope_theta, scaling: RopeScaling::None },
            head: HeadWeights::Tied,
            attention_bias: AttentionBias::Absent,
        }
    }
}

impl Training {
    pub(crate) fn schedule(&self) -> Result<Schedule> {
        Ok(Schedule::new(self.learning_rate, self.warm_up, self.steps, self.floor)?)
    }

    pub(crate) fn adamw(&self) -> AdamWOptions {
        AdamWOptions { weight_decay: self.weight_decay, ..AdamWOptions::default() }
    }

    pub(crate) fn muon(&self) -> Option<MuonOptions> {
        let options = MuonOptions { weight_decay: self.weight_decay, ..MuonOptions::default() };
        (self.optimizer == Optimizer::Muon).then_some(options)
    }
}
