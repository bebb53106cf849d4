//! [`CandleEngine`]: Qwen3 on candle's tensors. The reference, and the way onto a GPU.
//!
//! The one module that knows candle.

mod attention;
mod device;
mod kv_cache;
mod layer;
mod linear;
mod model;
mod rotary;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::DType;

use super::step::StepCheck;
use super::weight_form::WeightForm;
use super::{Capacity, Engine, Logits, SequenceId, SequenceStep, require_length};
use crate::TokenId;
use crate::checkpoint::{Architecture, Checkpoint};
use crate::error::RuntimeError;
pub use device::{ComputeDevice, Devices};
use kv_cache::{CachedSequence, KvCache};
use layer::Rows;
use model::{FlatBatch, Model};
use weights::Loader;

/// How a [`CandleEngine`] is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandleConfig {
    /// Where it computes.
    pub devices: Devices,
    /// In which form it holds the matrices; it quantizes none.
    pub weights: WeightForm,
    /// Most sequences at once.
    pub max_sequences: usize,
    /// Tokens that the KV cache holds at most, over all sequences.
    pub max_tokens: usize,
}

/// An engine on candle.
#[derive(Debug)]
pub struct CandleEngine {
    architecture: Architecture,
    config: CandleConfig,
    model: Model,
    cache: KvCache,
    dtype: DType,
}

impl From<candle_core::Error> for RuntimeError {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(error.to_string())
    }
}

impl CandleEngine {
    /// Loads a checkpoint; `progress` hears, layer by layer, how much of how much is loaded.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidParameter`] for a configuration that cannot be, in this build or at all,
    /// [`RuntimeError::Compute`] when a device is not there or has no memory left, and whatever
    /// is wrong with the checkpoint.
    pub fn load(
        checkpoint: &Checkpoint,
        config: CandleConfig,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Self, RuntimeError> {
        if config.max_sequences == 0 || config.max_tokens == 0 {
            return Err(RuntimeError::parameter("max_sequences, max_tokens", "both must be at least 1"));
        }
        if let WeightForm::Quantized(_) = config.weights {
            return Err(RuntimeError::parameter("weights", "candle does not quantize; the cpu engine does"));
        }
        let architecture = checkpoint.architecture().clone();
        let (devices, dtype) = config.devices.open()?;
        if devices.len() > architecture.layers {
            let reason = format!("{} devices for {} layers", devices.len(), architecture.layers);
            return Err(RuntimeError::parameter("device", reason));
        }
        let loader = |device| Loader { checkpoint, device, dtype, weights: config.weights };
        let model = Model::load(&devices.iter().map(loader).collect::<Vec<_>>(), progress)?;
        let kv_bytes = kv_cache::bytes_per_token(&architecture, dtype).saturating_mul(config.max_tokens);
        tracing::info!(devices = %config.devices, ?dtype, max_kv_mib = kv_bytes >> 20, "candle engine loaded");
        Ok(Self { architecture, config, model, cache: KvCache::default(), dtype })
    }

    fn sequence(&self, id: SequenceId) -> Result<&CachedSequence, RuntimeError> {
        self.cache.sequences.get(&id).ok_or(RuntimeError::UnknownSequence)
    }

    /// Sequences that are over give way at once.
    fn free_tokens(&self) -> usize {
        self.config.max_tokens.saturating_sub(self.cache.tokens())
    }

    fn require_room(&self, sequences: usize, tokens: usize) -> Result<(), RuntimeError> {
        let room = |needed: usize, max: usize, used: usize| match max.saturating_sub(used) {
            available if needed > available => Err(RuntimeError::CacheFull { needed, available }),
            _ => Ok(()),
        };
        room(sequences, self.config.max_sequences, self.cache.sequences.len())?;
        room(tokens, self.config.max_tokens, self.cache.tokens())
    }

    /// Checks a step before anything is computed, and lays it out flat.
    fn flat_batch(&self, batch: &[SequenceStep<'_>]) -> Result<FlatBatch, RuntimeError> {
        let mut flat = FlatBatch { tokens: Vec::new(), positions: Vec::new(), rows: Vec::new(), wanted: Vec::new() };
        let mut check = StepCheck::new(self.architecture.vocab_size);
        for step in batch {
            let past = self.sequence(step.sequence)?.len();
            let len = step.tokens.len();
            check.part(step, past)?;
            let limit = self.capacity().max_sequence_len;
            if past + len > limit {
                return Err(RuntimeError::CacheFull { needed: len, available: limit - past });
            }
            let start = flat.tokens.len();
            flat.tokens.extend_from_slice(step.tokens);
            // Positions fit: the context is bounded by the architecture's checked limit.
            flat.positions.extend((past..past + len).map(|position| position as u32));
            let first_wanted = len - step.logits.rows(len);
            flat.wanted.extend((start + first_wanted..start + len).map(|row| row as u32));
            let mask = attention::causal_mask(len, past, (self.model.first_device(), self.dtype))?;
            flat.rows.push(Rows { start, len, mask });
        }
        self.require_room(0, flat.tokens.len())?;
        Ok(flat)
    }
}

impl Engine for CandleEngine {
    fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    fn description(&self) -> String {
        format!("candle on {}, {:?}", self.config.devices, self.dtype)
    }

    fn capacity(&self) -> Capacity {
        Capacity {
            max_sequences: self.config.max_sequences,
            sequences: self.cache.sequences.len(),
            // A context beyond what the model was trained for is the caller's decision.
            max_sequence_len: self.config.max_tokens,
            max_tokens: self.config.max_tokens,
            tokens: self.cache.tokens(),
            free_tokens: self.free_tokens(),
        }
    }

    fn allocate(&mut self) -> Result<SequenceId, RuntimeError> {
        self.require_room(1, 0)?;
        Ok(self.cache.insert(CachedSequence::default()))
    }

    fn resume(&mut self, tokens: &[TokenId]) -> Result<(SequenceId, usize), RuntimeError> {
        self.require_room(1, 0)?;
        let most = tokens.len().saturating_sub(1).min(self.free_tokens());
        let sequence = self.cache.beginning(&tokens[..most])?;
        let cached = sequence.len();
        let id = self.cache.insert(sequence);
        self.cache.trim(self.config.max_tokens);
        Ok((id, cached))
    }

    fn free(&mut self, sequence: SequenceId) -> Result<(), RuntimeError> {
        let sequence = self.cache.sequences.remove(&sequence).ok_or(RuntimeError::UnknownSequence)?;
        self.cache.retire(sequence, self.config.max_sequences);
        Ok(())
    }

    fn len(&self, sequence: SequenceId) -> Result<usize, RuntimeError> {
        Ok(self.sequence(sequence)?.len())
    }

    fn truncate(&mut self, sequence: SequenceId, length: usize) -> Result<(), RuntimeError> {
        let sequence = self.cache.sequences.get_mut(&sequence).ok_or(RuntimeError::UnknownSequence)?;
        require_length(sequence.len(), length)?;
        sequence.tokens.truncate(length);
        Ok(())
    }

    fn fork(&mut self, sequence: SequenceId, length: usize) -> Result<SequenceId, RuntimeError> {
        let original = self.sequence(sequence)?;
        require_length(original.len(), length)?;
        self.require_room(1, length)?;
        let copy = original.fork(length)?;
        let id = self.cache.insert(copy);
        self.cache.trim(self.config.max_tokens);
        Ok(id)
    }

    fn step(&mut self, batch: &[SequenceStep<'_>]) -> Result<Vec<Logits>, RuntimeError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let flat = self.flat_batch(batch)?;
        self.cache.trim(self.config.max_tokens - flat.tokens.len());
        let mut by_id: BTreeMap<SequenceId, &mut CachedSequence> =
            self.cache.sequences.iter_mut().map(|(id, sequence)| (*id, sequence)).collect();
        let mut sequences: Vec<&mut CachedSequence> =
            batch.iter().filter_map(|step| by_id.remove(&step.sequence)).collect();
        let values = self.model.forward(&flat, &mut sequences)?;
        for (step, sequence) in batch.iter().zip(sequences) {
            sequence.tokens.extend_from_slice(step.tokens);
        }
        Ok(Logits::split(&Arc::new(values), batch, self.architecture.vocab_size))
    }
}
