//! Keys and values, in blocks of 16 positions, which lie in bundles of four.

use std::collections::BTreeMap;

use super::config::KvType;
use super::kernels::{Attention, Chunks, Detected, F16, F32, KvFormat, Layout, Mark, Memory, Q8, RUN, SPAN_LEN, Shape};
use crate::checkpoint::Architecture;
use crate::engine::blocks::BlockCopy;
use crate::error::RuntimeError;

/// Every block of every layer. Memory is the system's until a block is first written, or populated.
#[derive(Debug)]
pub(super) enum KvCache {
    F16(Layers<F16>),
    F32(Layers<F32>),
    Q8(Layers<Q8>),
}

/// `[layer][bundle][kv_head][elements]`: the bundles in use lie together, so that they fill whole pages.
#[derive(Debug)]
pub(super) struct Layers<K: KvFormat> {
    memory: Memory<K::Stored>,
    bundles: usize,
    kv_heads: usize,
    /// Of a bundle of one head.
    layout: Layout,
}

/// The keys and values of a layer, for who writes them.
pub(super) enum HeadsMut<'a> {
    F16(LayerMut<'a, F16>),
    F32(LayerMut<'a, F32>),
    Q8(LayerMut<'a, Q8>),
}

/// `[bundle][kv_head]`, each of which can be taken once.
pub(super) struct LayerMut<'a, K: KvFormat> {
    parts: Chunks<'a, K::Stored>,
    kv_heads: usize,
}

impl KvCache {
    /// Room for `blocks` blocks.
    ///
    /// # Errors
    /// [`RuntimeError::Compute`] when there is no memory.
    pub(super) fn new(architecture: &Architecture, kv_type: KvType, blocks: usize) -> Result<Self, RuntimeError> {
        Ok(match kv_type {
            KvType::F16 => Self::F16(Layers::new(architecture, blocks)?),
            KvType::F32 => Self::F32(Layers::new(architecture, blocks)?),
            KvType::Q8_0 => Self::Q8(Layers::new(architecture, blocks)?),
        })
    }

    /// Has the system give some of the memory that was not written yet; says whether more is to be had.
    pub(super) fn populate(&mut self) -> bool {
        match self {
            Self::F16(layers) => layers.memory.populate(),
            Self::F32(layers) => layers.memory.populate(),
            Self::Q8(layers) => layers.memory.populate(),
        }
    }

    pub(super) fn copy(&mut self, copies: &[BlockCopy]) {
        for copy in copies {
            match self {
                Self::F16(layers) => layers.copy(copy.from.index(), copy.to.index()),
                Self::F32(layers) => layers.copy(copy.from.index(), copy.to.index()),
                Self::Q8(layers) => layers.copy(copy.from.index(), copy.to.index()),
            }
        }
    }

    /// The heads of a layer, to write into.
    pub(super) fn heads_mut(&mut self, layer: usize) -> HeadsMut<'_> {
        match self {
            Self::F16(layers) => HeadsMut::F16(layers.layer_mut(layer)),
            Self::F32(layers) => HeadsMut::F32(layers.layer_mut(layer)),
            Self::Q8(layers) => HeadsMut::Q8(layers.layer_mut(layer)),
        }
    }

    /// Attention of one head of a layer to the blocks of a sequence, after which comes that of `next`.
    pub(super) fn attend(&self, layer: usize, [head, next]: [Head<'_>; 2], set: Detected, rows: Rows<'_>) {
        match self {
            Self::F16(layers) => rows.attend(set, &layers.attention(layer, head, next)),
            Self::F32(layers) => rows.attend(set, &layers.attention(layer, head, next)),
            Self::Q8(layers) => rows.attend(set, &layers.attention(layer, head, next)),
        }
    }
}

/// One head of a sequence.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) head: usize,
    /// The sequence's blocks.
    pub(super) table: &'a [u32],
}

/// Query rows `[token][query head][dim]` and the results that they get.
pub(super) struct Rows<'a> {
    pub(super) shape: Shape,
    pub(super) queries: &'a [f32],
    pub(super) out: Output<'a>,
}

/// Where results are written, of the same shape as the queries.
pub(super) enum Output<'a> {
    /// Those of all positions.
    Finished(&'a mut [f32]),
    /// Those of the span that begins at a position, to be merged.
    Gathered(usize, &'a mut [f32], &'a mut [Mark]),
}

impl Rows<'_> {
    fn attend<K: KvFormat>(self, set: Detected, attention: &Attention<'_, K>) {
        match self.out {
            Output::Finished(out) => attention.attend(set, self.shape, self.queries, out),
            Output::Gathered(start, values, marks) => {
                attention.gather(set, self.shape, start..start + SPAN_LEN, self.queries, (values, marks));
            }
        }
    }
}

impl<K: KvFormat> Layers<K> {
    fn new(architecture: &Architecture, blocks: usize) -> Result<Self, RuntimeError> {
        let layout = Layout::of::<K>(architecture.head_dim);
        // Layers begin at different places of the system's large pages, so that a new bundle asks for
        // a few of them, not for one in each layer at the same moment.
        let bundles = blocks.div_ceil(RUN) | 1;
        let kv_heads = architecture.kv_heads;
        let len = architecture.layers.saturating_mul(bundles).saturating_mul(kv_heads * layout.len());
        Ok(Self { memory: Memory::zeroed(len, "the KV cache")?, bundles, kv_heads, layout })
    }

    /// Elements of a bundle of all heads.
    fn stride(&self) -> usize {
        self.kv_heads * self.layout.len()
    }

    fn copy(&mut self, from: usize, to: usize) {
        let (layout, stride) = (self.layout, self.stride());
        for layer in self.memory.chunks_exact_mut(self.bundles * stride) {
            for head in 0..self.kv_heads {
                let place = |block: usize| block / RUN * stride + head * layout.len();
                for (source, target) in layout.places(from % RUN).zip(layout.places(to % RUN)) {
                    layer.copy_within(place(from) + source.start..place(from) + source.end, place(to) + target.start);
                }
            }
        }
    }

    fn layer_mut(&mut self, layer: usize) -> LayerMut<'_, K> {
        let len = self.bundles * self.stride();
        let parts = Chunks::new(&mut self.memory[layer * len..][..len], self.layout.len());
        LayerMut { parts, kv_heads: self.kv_heads }
    }

    fn attention<'a>(&'a self, layer: usize, head: Head<'a>, next: Head<'a>) -> Attention<'a, K> {
        let stride = self.stride();
        let len = self.bundles * stride;
        let bundles = |head: usize| &self.memory[layer * len..][..len][head * self.layout.len()..];
        Attention { bundles: bundles(head.head), stride, table: head.table, next: (bundles(next.head), next.table) }
    }
}

/// Writes a key and a value: block, position in it, key, value.
type WriteKv<'a> = dyn FnMut(usize, usize, &[f32], &[f32]) + 'a;

impl HeadsMut<'_> {
    /// Has `write` write into the head's blocks.
    pub(super) fn write(&self, set: Detected, head: usize, write: impl FnOnce(&mut WriteKv<'_>)) {
        match self {
            Self::F16(layer) => layer.write(set, head, write),
            Self::F32(layer) => layer.write(set, head, write),
            Self::Q8(layer) => layer.write(set, head, write),
        }
    }
}

impl<K: KvFormat> LayerMut<'_, K> {
    fn write(&self, set: Detected, head: usize, write: impl FnOnce(&mut WriteKv<'_>)) {
        // Where no bundle is free, sequences share one, so that several may write into it.
        let mut parts = BTreeMap::new();
        write(&mut |block, position, key, value| {
            let part = parts.entry(block / RUN).or_insert_with(|| self.parts.take(block / RUN * self.kv_heads + head));
            K::store(set, part, (block % RUN, position), key, value);
        });
    }
}
