//! One decoder layer of Qwen3: attention with normed heads, and a gated feed-forward part.

use candle_core::{Device, Tensor};
use candle_nn::ops::{rms_norm, silu};
use candle_nn::rotary_emb::rope_thd;

use super::attention::attend;
use super::kv_cache::CachedSequence;
use super::linear::Linear;
use super::weights::Loader;
use crate::checkpoint::{AttentionBias, LayerTensor as L, TensorName};
use crate::error::RuntimeError;

/// The weights of a layer.
#[derive(Debug)]
pub(super) struct DecoderLayer {
    attention_norm: Tensor,    // (hidden)
    query: Linear,             // hidden -> heads * head_dim
    key: Linear,               // hidden -> kv_heads * head_dim
    value: Linear,             // hidden -> kv_heads * head_dim
    output: Linear,            // heads * head_dim -> hidden
    query_norm: Tensor,        // (head_dim)
    key_norm: Tensor,          // (head_dim)
    feed_forward_norm: Tensor, // (hidden)
    gate: Linear,              // hidden -> intermediate
    up: Linear,                // hidden -> intermediate
    down: Linear,              // intermediate -> hidden
    shape: HeadShape,
    eps: f32,
    /// Its number, which is that of its keys and values in the cache.
    index: usize,
}

#[derive(Debug, Clone, Copy)]
struct HeadShape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

/// One sequence's rows in the flat batch of a step.
pub(super) struct Rows {
    /// First row.
    pub(super) start: usize,
    /// Number of rows.
    pub(super) len: usize,
    /// `(len, past + len)`; absent for a single token, and where the kernel has its own.
    pub(super) mask: Option<Tensor>,
}

impl Rows {
    /// The same for layers of another device.
    pub(super) fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        let mask = self.mask.as_ref().map(|mask| mask.to_device(device)).transpose()?;
        Ok(Self { mask, ..*self })
    }
}

/// Where the tokens of a step stand: cos and sin of each row, `(tokens, head_dim / 2)`.
pub(super) struct Rotations {
    pub(super) cos: Tensor,
    pub(super) sin: Tensor,
}

impl Rotations {
    /// The same for layers of another device.
    pub(super) fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        Ok(Self { cos: self.cos.to_device(device)?, sin: self.sin.to_device(device)? })
    }
}

impl DecoderLayer {
    pub(super) fn load(loader: &Loader<'_>, index: usize) -> Result<Self, RuntimeError> {
        let architecture = loader.checkpoint.architecture();
        let bias = |tensor: L| match architecture.attention_bias {
            AttentionBias::Present => Some(tensor),
            AttentionBias::Absent => None,
        };
        let norm = |tensor: L| loader.vector(TensorName::Layer(index, tensor));
        Ok(Self {
            attention_norm: norm(L::AttentionNorm)?,
            query: loader.linear(index, L::Query, bias(L::QueryBias))?,
            key: loader.linear(index, L::Key, bias(L::KeyBias))?,
            value: loader.linear(index, L::Value, bias(L::ValueBias))?,
            output: loader.linear(index, L::Output, bias(L::OutputBias))?,
            query_norm: norm(L::QueryNorm)?,
            key_norm: norm(L::KeyNorm)?,
            feed_forward_norm: norm(L::FeedForwardNorm)?,
            gate: loader.linear(index, L::Gate, None)?,
            up: loader.linear(index, L::Up, None)?,
            down: loader.linear(index, L::Down, None)?,
            shape: HeadShape {
                heads: architecture.heads,
                kv_heads: architecture.kv_heads,
                head_dim: architecture.head_dim,
            },
            eps: architecture.rms_norm_eps as f32,
            index,
        })
    }

    /// `(tokens, hidden)` to `(tokens, hidden)`. `sequences` are those of `batch`, in the same order;
    /// their new keys and values are appended.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rotations: &Rotations,
        batch: &[Rows],
        sequences: &mut [&mut CachedSequence],
    ) -> candle_core::Result<Tensor> {
        let HeadShape { heads, kv_heads, head_dim } = self.shape;
        let tokens = x.dim(0)?;
        let normed = rms_norm(x, &self.attention_norm, self.eps)?;
        let query = self.query.forward(&normed)?.reshape((1, tokens, heads, head_dim))?;
        let key = self.key.forward(&normed)?.reshape((1, tokens, kv_heads, head_dim))?;
        let value = self.value.forward(&normed)?.reshape((tokens, kv_heads, head_dim))?;
        let query = rms_norm(&query, &self.query_norm, self.eps)?;
        let key = rms_norm(&key, &self.key_norm, self.eps)?;
        let query = rope_thd(&query, &rotations.cos, &rotations.sin)?.squeeze(0)?;
        let key = rope_thd(&key, &rotations.cos, &rotations.sin)?.squeeze(0)?;

        let mut attended = Vec::with_capacity(batch.len());
        for (rows, sequence) in batch.iter().zip(sequences) {
            let of = |tensor: &Tensor| tensor.narrow(0, rows.start, rows.len);
            let (keys, values) = sequence.append(self.index, &of(&key)?, &of(&value)?)?;
            attended.push(attend(&of(&query)?, &keys, &values, rows.mask.as_ref())?);
        }
        let attended = Tensor::cat(&attended, 0)?; // (tokens, heads * head_dim)
        let x = (x + self.output.forward(&attended)?)?;

        let normed = rms_norm(&x, &self.feed_forward_norm, self.eps)?;
        let gated = (silu(&self.gate.forward(&normed)?)? * self.up.forward(&normed)?)?;
        x + self.down.forward(&gated)?
    }
}
