//! The keys and values of every sequence, owned by the engine.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use candle_core::{DType, Result, Tensor};

use crate::TokenId;
use crate::checkpoint::Architecture;
use crate::engine::SequenceId;

/// Smallest buffer of a sequence in tokens; it doubles from there.
const FIRST_CAPACITY: usize = 128;

/// One sequence: its tokens, and a buffer for each layer.
///
/// What lies in a buffer beyond the tokens is never read. A step writes there, and becomes real only
/// when its tokens are added at its end; so a step that fails in the middle has changed nothing.
#[derive(Default)]
pub(super) struct CachedSequence {
    pub(super) tokens: Vec<TokenId>,
    layers: Vec<LayerCache>,
}

#[derive(Debug, Clone)]
struct LayerCache {
    keys: Tensor,   // (kv_heads, capacity, head_dim)
    values: Tensor, // (kv_heads, capacity, head_dim)
}

impl CachedSequence {
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Writes new keys and values at the end and returns all of them, old and new.
    ///
    /// Both are `(tokens, kv_heads, head_dim)`; the result is `(kv_heads, len + tokens, head_dim)`.
    pub(super) fn append(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let (tokens, kv_heads, head_dim) = keys.dims3()?;
        let past = self.len();
        let needed = past + tokens;
        if self.layers.len() <= layer {
            let shape = (kv_heads, needed.next_power_of_two().max(FIRST_CAPACITY), head_dim);
            let zeros = || Tensor::zeros(shape, keys.dtype(), keys.device());
            self.layers.push(LayerCache { keys: zeros()?, values: zeros()? });
        }
        let cache = &mut self.layers[layer];
        if cache.keys.dim(1)? < needed {
            let capacity = needed.next_power_of_two();
            cache.keys = enlarged(&cache.keys, past, capacity)?;
            cache.values = enlarged(&cache.values, past, capacity)?;
        }
        cache.keys.slice_set(&keys.transpose(0, 1)?.contiguous()?, 1, past)?;
        cache.values.slice_set(&values.transpose(0, 1)?.contiguous()?, 1, past)?;
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
        Ok(Self { tokens: self.tokens[..len].to_vec(), layers })
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

/// Shows the length only: tokens are the words of patients.
impl fmt::Debug for CachedSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CachedSequence({} tokens)", self.len())
    }
}

/// All sequences of an engine, and some that are over: what they hold may begin another one.
#[derive(Debug, Default)]
pub(super) struct KvCache {
    pub(super) sequences: BTreeMap<SequenceId, CachedSequence>,
    /// From the least recently used on.
    idle: VecDeque<CachedSequence>,
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
        self.sequences.values().map(CachedSequence::len).sum()
    }

    /// Keeps a sequence that is over, of at most `most`.
    pub(super) fn retire(&mut self, sequence: CachedSequence, most: usize) {
        self.idle.push_back(sequence);
        while self.idle.len() > most {
            self.idle.pop_front();
        }
    }

    /// Drops sequences that are over until at most `max_tokens` are there with the others.
    pub(super) fn trim(&mut self, max_tokens: usize) {
        while self.tokens() + self.idle.iter().map(CachedSequence::len).sum::<usize>() > max_tokens
            && self.idle.pop_front().is_some()
        {}
    }

    /// A copy of the longest beginning of `tokens` that any sequence holds.
    pub(super) fn beginning(&mut self, tokens: &[TokenId]) -> Result<CachedSequence> {
        let common = |sequence: &CachedSequence| sequence.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let longest = (0..self.idle.len()).max_by_key(|&index| common(&self.idle[index]));
        // What is used again goes last.
        let used = longest.and_then(|index| self.idle.remove(index));
        self.idle.extend(used);
        let all = self.idle.back().into_iter().chain(self.sequences.values());
        let longest = all.max_by_key(|sequence| common(sequence));
        longest.map_or_else(|| Ok(CachedSequence::default()), |sequence| sequence.fork(common(sequence)))
    }
}

/// Bytes that one token takes in the cache.
pub(super) fn bytes_per_token(architecture: &Architecture, dtype: DType) -> usize {
    2 * architecture.layers * architecture.kv_size() * dtype.size_in_bytes()
}
