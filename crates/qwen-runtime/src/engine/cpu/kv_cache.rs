//! Keys and values, in blocks of 16 positions.

use super::config::KvType;
use super::kernels::{Attention, Chunks, Detected, KvElement, Shape, block_elements, store};
use crate::checkpoint::Architecture;
use crate::engine::blocks::BlockCopy;

/// Every block of every layer. Memory is the system's until a block is first written.
#[derive(Debug)]
pub(super) enum KvCache {
    F16(Layers<u16>),
    F32(Layers<f32>),
}

/// `[layer][kv_head][block][elements]`
#[derive(Debug)]
pub(super) struct Layers<T> {
    layers: Vec<Vec<T>>,
    blocks: usize,
    elements: usize,
}

/// The keys and values of a layer's heads, for who writes them.
pub(super) enum HeadsMut<'a> {
    F16(Chunks<'a, u16>, usize),
    F32(Chunks<'a, f32>, usize),
}

impl KvCache {
    pub(super) fn new(architecture: &Architecture, kv_type: KvType, blocks: usize) -> Self {
        match kv_type {
            KvType::F16 => Self::F16(Layers::new(architecture, blocks)),
            KvType::F32 => Self::F32(Layers::new(architecture, blocks)),
        }
    }

    pub(super) fn copy(&mut self, copies: &[BlockCopy]) {
        for copy in copies {
            match self {
                Self::F16(layers) => layers.copy(copy.from.index(), copy.to.index()),
                Self::F32(layers) => layers.copy(copy.from.index(), copy.to.index()),
            }
        }
    }

    /// The heads of a layer, to write into; each can be taken once.
    pub(super) fn heads_mut(&mut self, layer: usize) -> HeadsMut<'_> {
        match self {
            Self::F16(layers) => layers.heads(layer, HeadsMut::F16),
            Self::F32(layers) => layers.heads(layer, HeadsMut::F32),
        }
    }

    /// Attention of one head of a layer to the blocks of `table`.
    pub(super) fn attend(&self, place: (usize, usize), table: &[u32], set: Detected, rows: Rows<'_>) {
        match self {
            Self::F16(layers) => layers.head(place, table).attend(set, rows.shape, rows.queries, rows.out),
            Self::F32(layers) => layers.head(place, table).attend(set, rows.shape, rows.queries, rows.out),
        }
    }
}

/// Query rows and the results that they get, both `[token][query head][dim]`.
pub(super) struct Rows<'a> {
    pub(super) shape: Shape,
    pub(super) queries: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl<T: KvElement> Layers<T> {
    fn new(architecture: &Architecture, blocks: usize) -> Self {
        let elements = block_elements(architecture.head_dim);
        let layer = || vec![T::default(); architecture.kv_heads * blocks * elements];
        Self { layers: (0..architecture.layers).map(|_| layer()).collect(), blocks, elements }
    }

    fn copy(&mut self, from: usize, to: usize) {
        let (head, elements) = (self.blocks * self.elements, self.elements);
        for layer in &mut self.layers {
            for head in layer.chunks_exact_mut(head) {
                head.copy_within(from * elements..(from + 1) * elements, to * elements);
            }
        }
    }

    /// The heads of a layer and the elements of their blocks.
    fn heads<'a, R>(&'a mut self, layer: usize, make: impl FnOnce(Chunks<'a, T>, usize) -> R) -> R {
        let elements = self.elements;
        make(Chunks::new(&mut self.layers[layer], self.blocks * elements), elements)
    }

    fn head<'a>(&'a self, (layer, head): (usize, usize), table: &'a [u32]) -> Attention<'a, T> {
        let len = self.blocks * self.elements;
        Attention { blocks: &self.layers[layer][head * len..][..len], table }
    }
}

/// Writes a key and a value: block, position in it, key, value.
type WriteKv<'a> = dyn FnMut(usize, usize, &[f32], &[f32]) + 'a;

impl HeadsMut<'_> {
    /// Has `write` write into the head's blocks.
    pub(super) fn write(&self, set: Detected, head: usize, write: impl FnOnce(&mut WriteKv<'_>)) {
        match self {
            Self::F16(heads, elements) => write_head(set, heads.take(head), *elements, write),
            Self::F32(heads, elements) => write_head(set, heads.take(head), *elements, write),
        }
    }
}

fn write_head<T: KvElement>(set: Detected, blocks: &mut [T], elements: usize, write: impl FnOnce(&mut WriteKv<'_>)) {
    write(&mut |block, position, key, value| {
        store(set, &mut blocks[block * elements..][..elements], position, key, value);
    });
}
