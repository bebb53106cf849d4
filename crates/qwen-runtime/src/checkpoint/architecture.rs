//! [`Architecture`]: the numbers that make a Qwen3 model, validated once.

use std::fmt;
use std::path::Path;

use crate::error::RuntimeError;

/// Upper limits that no real model reaches; beyond them a header lies.
const MAX_DIMENSION: usize = 1 << 24;
const MAX_LAYERS: usize = 1 << 12;

/// The shape of a dense Qwen3 model (`Qwen3ForCausalLM` of transformers).
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Size of one head, even; independent of `hidden_size / heads`.
    pub head_dim: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    /// Rows of the embedding and of the logits; may exceed the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// Epsilon of every RMS norm.
    pub rms_norm_eps: f64,
    /// Largest context in tokens.
    pub max_context: usize,
    /// Rotary position embedding.
    pub rope: Rope,
    /// Whether the head is the embedding.
    pub head: HeadWeights,
    /// Whether the attention projections have biases.
    pub attention_bias: AttentionBias,
}

/// Where the output head's weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadWeights {
    /// The embedding serves as the head.
    Tied,
    /// A tensor of its own.
    Untied,
}

/// Whether q, k, v and o projections have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionBias {
    /// They do not (all published Qwen3 models).
    Absent,
    /// They do (`attention_bias: true`).
    Present,
}

/// Rotary position embedding in the NeoX form (halves, not pairs).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// How frequencies are changed for long contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are changed for long contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// They are not.
    None,
    /// All positions are divided by the factor.
    Linear {
        /// The divisor, at least 1.
        factor: f64,
    },
    /// YaRN (arXiv 2309.00071), as transformers computes it.
    Yarn {
        /// Context extension, at least 1.
        factor: f64,
        /// The context that the model was trained with, in tokens.
        original_context: f64,
        /// Factor on cos and sin.
        attention_factor: f64,
        /// Rotations above which a dimension is not interpolated.
        beta_fast: f64,
        /// Rotations below which a dimension is wholly interpolated.
        beta_slow: f64,
        /// Whether the bounds of the ramp are rounded to whole dimensions.
        ramp: RampBounds,
    },
}

/// Whether YaRN's ramp starts and ends at whole dimensions (`truncate` in a config.json).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RampBounds {
    /// Rounded outwards, the default.
    Whole,
    /// Left as they are.
    Fractional,
}

impl fmt::Display for Architecture {
    /// For people: `Qwen3, 28 layers of 1024, 16 heads and 8 key/value heads of 128`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hidden_size, layers, heads, kv_heads, head_dim, .. } = self;
        write!(f, "Qwen3, {layers} layers of {hidden_size}, {heads} heads and {kv_heads} key/value heads of {head_dim}")
    }
}

impl Architecture {
    /// Query width, `heads × head_dim`.
    pub fn query_size(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Key (and value) width, `kv_heads × head_dim`.
    pub fn kv_size(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Checks what the forward pass relies on; `path` names the file in the error.
    pub(crate) fn validated(self, path: &Path) -> Result<Self, RuntimeError> {
        let fail = |reason: String| Err(RuntimeError::invalid(path, reason));
        for (name, value) in [
            ("hidden size", self.hidden_size),
            ("attention heads", self.heads),
            ("key/value heads", self.kv_heads),
            ("head size", self.head_dim),
            ("intermediate size", self.intermediate_size),
            ("vocabulary size", self.vocab_size),
            ("context length", self.max_context),
        ] {
            if value == 0 || value > MAX_DIMENSION {
                return fail(format!("{name} is {value}, which must be between 1 and {MAX_DIMENSION}"));
            }
        }
        if self.layers == 0 || self.layers > MAX_LAYERS {
            return fail(format!("the number of layers is {}, which must be between 1 and {MAX_LAYERS}", self.layers));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return fail(format!("{} heads cannot be divided among {} key/value heads", self.heads, self.kv_heads));
        }
        if !self.head_dim.is_multiple_of(2) {
            return fail(format!("head size {} is odd; rotary embedding needs halves", self.head_dim));
        }
        if !(self.rms_norm_eps >= 0.0 && self.rms_norm_eps < 1.0) {
            return fail(format!("rms_norm_eps is {}", self.rms_norm_eps));
        }
        if !(self.rope.theta.is_finite() && self.rope.theta > 1.0) {
            return fail(format!("rope_theta is {}", self.rope.theta));
        }
        if let RopeScaling::Linear { factor } | RopeScaling::Yarn { factor, .. } = self.rope.scaling
            && !(factor.is_finite() && factor >= 1.0)
        {
            return fail(format!("the rope scaling factor is {factor}, which must be at least 1"));
        }
        if let RopeScaling::Yarn { original_context, attention_factor, beta_fast, beta_slow, .. } = self.rope.scaling
            && ![original_context, attention_factor, beta_fast, beta_slow].iter().all(|x| x.is_finite() && *x > 0.0)
        {
            return fail(format!("YaRN's values must be positive: {:?}", self.rope.scaling));
        }
        Ok(self)
    }
}
