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
    embedding: Weight, // (vocab, hidden), on the first device
    stages: Vec<Stage>,
    norm: Tensor, // (hidden), on the last device
    head: Linear, // hidden -> vocab, on the last device
    eps: f32,
    rotary: RotaryTable,
    dtype: DType,
}

/// Layers that follow each other, on one device.
#[derive(Debug)]
struct Stage {
    device: Device,
    layers: Vec<DecoderLayer>,
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
    /// Loads every tensor; `progress` hears how many layers of how many are there. There is a loader for each device,
    /// at least one, and no more than layers.
    pub(super) fn load(loaders: &[Loader<'_>], progress: &dyn Fn(usize, usize)) -> Result<Self, RuntimeError> {
        let (first, last) = (&loaders[0], &loaders[loaders.len() - 1]);
        let architecture = first.checkpoint.architecture();
        let embedding = first.matrix(TensorName::Embedding)?;
        let mut stages = Vec::with_capacity(loaders.len());
        for (number, loader) in loaders.iter().enumerate() {
            let begin = |stage: usize| stage * architecture.layers / loaders.len();
            let mut layers = Vec::new();
            for index in begin(number)..begin(number + 1) {
                progress(index, architecture.layers);
                layers.push(DecoderLayer::load(loader, index)?);
            }
            stages.push(Stage { device: loader.device.clone(), layers });
        }
        progress(architecture.layers, architecture.layers);
        let head = match architecture.head {
            HeadWeights::Tied if last.device.same_device(first.device) => embedding.clone(),
            HeadWeights::Tied => last.matrix(TensorName::Embedding)?,
            HeadWeights::Untied => last.matrix(TensorName::Head)?,
        };
        Ok(Self {
            embedding,
            stages,
            norm: last.vector(TensorName::OutputNorm)?,
            head: Linear::new(head, None),
            eps: architecture.rms_norm_eps as f32,
            rotary: RotaryTable::new(architecture),
            dtype: first.dtype,
        })
    }

    /// The device of the first layers, where a step begins.
    pub(super) fn first_device(&self) -> &Device {
        &self.stages[0].device
    }

    /// Runs the batch and returns the logits of its wanted rows, row-major `(wanted, vocab)`.
    ///
    /// `sequences` are those of `batch.rows`, in the same order.
    pub(super) fn forward(
        &mut self,
        batch: &FlatBatch,
        sequences: &mut [&mut CachedSequence],
    ) -> candle_core::Result<Vec<f32>> {
        let first = self.first_device().clone();
        let ids = Tensor::new(batch.tokens.as_slice(), &first)?;
        let mut x = self.embedding.rows(&ids, self.dtype)?; // (tokens, hidden)
        let (cos, sin) = self.rotary.rows(&batch.positions, &first)?;
        let rotations = Rotations { cos: cos.to_dtype(self.dtype)?, sin: sin.to_dtype(self.dtype)? };
        for Stage { device, layers } in &self.stages {
            // Only a step's rows travel from device to device; nothing is copied within one.
            x = x.to_device(device)?;
            let rotations = rotations.to_device(device)?;
            let rows = batch.rows.iter().map(|rows| rows.to_device(device)).collect::<Result<Vec<_>, _>>()?;
            for layer in layers {
                x = layer.forward(&x, &rotations, &rows, sequences)?;
            }
        }
        if batch.wanted.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = Tensor::new(batch.wanted.as_slice(), x.device())?;
        let x = rms_norm(&x.index_select(&wanted, 0)?, &self.norm, self.eps)?;
        self.head.forward(&x)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}
