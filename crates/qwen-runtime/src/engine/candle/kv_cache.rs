//! The keys and values of every sequence, owned by the engine.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};

use crate::checkpoint::Architecture;
use crate::engine::SequenceId;

/// Smallest buffer of a sequence in tokens; it doubles from there.
const FIRST_CAPACITY: usize = 128;

/// One sequence: how many tokens it has, and a buffer for each layer.
///
/// What lies in a buffer beyond `len` is never read. A step writes there, and becomes real only
/// when `len` is raised at its end; so a step that fails in the middle has changed nothing.
#[derive(Debug, Default)]
pub(super) struct CachedSequence {
    pub(super) len: usize,
    layers: Vec<LayerCache>,
}

#[derive(Debug, Clone)]
struct LayerCache {
    keys: Tensor,   // (kv_heads, capacity, head_dim)
    values: Tensor, // (kv_heads, capacity, head_dim)
}

impl CachedSequence {
    /// Writes new keys and values at the end and returns all of them, old and new.
    ///
    /// Both are `(tokens, kv_heads, head_dim)`; the result is `(kv_heads, len + tokens, head_dim)`.
    pub(super) fn append(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let (tokens, kv_heads, head_dim) = keys.dims3()?;
        let needed = self.len + tokens;
        if self.layers.len() <= layer {
            let shape = (kv_heads, needed.next_power_of_two().max(FIRST_CAPACITY), head_dim);
            let zeros = || Tensor::zeros(shape, keys.dtype(), keys.device());
            self.layers.push(LayerCache { keys: zeros()?, values: zeros()? });
        }
        let cache = &mut self.layers[layer];
        if cache.keys.dim(1)? < needed {
            let capacity = needed.next_power_of_two();
            cache.keys = enlarged(&cache.keys, self.len, capacity)?;
            cache.values = enlarged(&cache.values, self.len, capacity)?;
        }
        cache.keys.slice_set(&keys.transpose(0, 1)?.contiguous()?, 1, self.len)?;
        cache.values.slice_set(&values.transpose(0, 1)?.contiguous()?, 1, self.len)?;
        Ok((cache.keys.narrow(1, 0, needed)?, cache.values.narrow(1, 0, needed)?))
    }

    /// A copy of the first `len` tokens.
    pub(super) fn fork(&self, len: usize) -> Result<Self> {
        let capacity = len.next_power_of_two().max(FIRST_CAPACITY);
        let copy = |layer: &LayerCache| -> Result<LayerCache> {
            let keys = enlarged(&layer.keys, len, capacity)?;
            Ok(LayerCache { keys, values: enlarged(&layer.values, len, capacity)? })
        };
        let layers = if len == 0 { Vec::new() } else { self.layers.iter().map(copy).collect::<Result<_>>()? };
        Ok(Self { len, layers })
    }
}

/// A new buffer of `capacity` tokens with the first `len` of an old one.
fn enlarged(old: &Tensor, len: usize, capacity: usize) -> Result<Tensor> {
    let (kv_heads, _, head_dim) = old.dims3()?;
    let new = Tensor::zeros((kv_heads, capacity, head_dim), old.dtype(), old.device())?;
    if len > 0 {
        new.slice_set(&old.narrow(1, 0, len)?.contiguous()?, 1, 0)?;
    }
    Ok(new)
}

/// All sequences of an engine.
#[derive(Debug, Default)]
pub(super) struct KvCache {
    pub(super) sequences: BTreeMap<SequenceId, CachedSequence>,
    next: u64,
}

impl KvCache {
    pub(super) fn insert(&mut self, sequence: CachedSequence) -> SequenceId {
        let id = SequenceId::new(self.next);
        self.next += 1;
        self.sequences.insert(id, sequence);
        id
    }

    /// Tokens of all sequences.
    pub(super) fn tokens(&self) -> usize {
        self.sequences.values().map(|sequence| sequence.len).sum()
    }
}

/// The causal mask of `tokens` new positions after `past` old ones, `(tokens, past + tokens)`;
/// `None` for one token, which sees everything.
pub(super) fn causal_mask(tokens: usize, past: usize, device: &Device) -> Result<Option<Tensor>> {
    if tokens == 1 {
        return Ok(None);
    }
    let row = |token: usize| {
        let visible = past + token + 1;
        (0..past + tokens).map(move |position| if position < visible { 0.0 } else { f32::NEG_INFINITY })
    };
    let values: Vec<f32> = (0..tokens).flat_map(row).collect();
    Tensor::from_vec(values, (tokens, past + tokens), device).map(Some)
}

/// Bytes that one token takes in the cache.
pub(super) fn bytes_per_token(architecture: &Architecture, dtype: DType) -> usize {
    2 * architecture.layers * architecture.kv_size() * dtype.size_in_bytes()
}
