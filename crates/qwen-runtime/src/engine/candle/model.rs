//! The forward pass of Qwen3 over a flat batch of tokens.

use candle_core::{DType, Device, Tensor};
use candle_nn::ops::rms_norm;

use super::kv_cache::CachedSequence;
use super::layer::{DecoderLayer, Rotations, Rows};
use super::linear::{Linear, Weight};
use super::weights::Loader;
use crate::checkpoint::{HeadWeights, TensorName};
use crate::engine::rope::RotaryTable;
use crate::error::RuntimeError;

/// The weights, and the rotary tables that they need.
#[derive(Debug)]
pub(super) struct Model {
    embedding: Weight, // (vocab, hidden)
    layers: Vec<DecoderLayer>,
    norm: Tensor, // (hidden)
    head: Linear, // hidden -> vocab
    eps: f32,
    rotary: RotaryTable,
    device: Device,
    dtype: DType,
}

/// The tokens of a step, one sequence after another.
pub(super) struct FlatBatch {
    pub(super) tokens: Vec<u32>,
    pub(super) positions: Vec<u32>,
    pub(super) rows: Vec<Rows>,
    /// The rows whose logits are wanted.
    pub(super) wanted: Vec<u32>,
}

impl Model {
    /// Loads every tensor; `progress` hears how many layers of how many are there.
    pub(super) fn load(loader: &Loader<'_>, progress: &dyn Fn(usize, usize)) -> Result<Self, RuntimeError> {
        let architecture = loader.checkpoint.architecture();
        let embedding = loader.matrix(TensorName::Embedding)?;
        let head = match architecture.head {
            HeadWeights::Tied => embedding.clone(),
            HeadWeights::Untied => loader.matrix(TensorName::Head)?,
        };
        let mut layers = Vec::with_capacity(architecture.layers);
        for index in 0..architecture.layers {
            progress(index, architecture.layers);
            layers.push(DecoderLayer::load(loader, index)?);
        }
        progress(architecture.layers, architecture.layers);
        Ok(Self {
            embedding,
            layers,
            norm: loader.vector(TensorName::OutputNorm)?,
            head: Linear::new(head, None),
            eps: architecture.rms_norm_eps as f32,
            rotary: RotaryTable::new(architecture),
            device: loader.device.clone(),
            dtype: loader.dtype,
        })
    }

    /// Runs the batch and returns the logits of its wanted rows, row-major `(wanted, vocab)`.
    ///
    /// `sequences` are those of `batch.rows`, in the same order.
    pub(super) fn forward(
        &mut self,
        batch: &FlatBatch,
        sequences: &mut [&mut CachedSequence],
    ) -> candle_core::Result<Vec<f32>> {
        let ids = Tensor::new(batch.tokens.as_slice(), &self.device)?;
        let mut x = self.embedding.rows(&ids, self.dtype)?; // (tokens, hidden)
        let (cos, sin) = self.rotary.rows(&batch.positions, &self.device)?;
        let rotations = Rotations { cos: cos.to_dtype(self.dtype)?, sin: sin.to_dtype(self.dtype)? };
        for layer in &self.layers {
            x = layer.forward(&x, &rotations, &batch.rows, sequences)?;
        }
        if batch.wanted.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = Tensor::new(batch.wanted.as_slice(), &self.device)?;
        let x = rms_norm(&x.index_select(&wanted, 0)?, &self.norm, self.eps)?;
        self.head.forward(&x)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}
