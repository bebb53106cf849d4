//! [`Layout`]: where the blocks of one layer and head lie.

use std::ops::Range;

use super::super::simd::ROWS;
use super::{BLOCK_LEN, KvFormat, RUN};

/// Elements of a piece: one dimension of the keys of a block after the other, 16 of them, or the values of 16
/// dimensions.
pub(super) const PIECE: usize = BLOCK_LEN * ROWS;

/// Blocks lie in bundles of as many as a run has: their keys `[block][dim][16 positions]`, then their values
/// `[dim / 16][block][16 positions][16]`. So a run is read from its first byte to its last where a sequence has all
/// blocks of a bundle in their order, as it has while bundles are free. Behind the keys, and behind the values, stand their scales,
/// if there are some: `[block][dim / 32][16 positions]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    dim: usize,
    /// Elements of the scales of a block's keys.
    scales: usize,
}

impl Layout {
    /// Of a head of size `dim`, a multiple of 16.
    pub(crate) fn of<K: KvFormat>(dim: usize) -> Self {
        Self { dim, scales: K::scales(dim) }
    }

    /// Elements of a bundle.
    pub(crate) fn len(self) -> usize {
        2 * self.half()
    }

    /// Elements of the keys of a bundle, which are as many as those of the values.
    pub(super) fn half(self) -> usize {
        RUN * (self.dim * BLOCK_LEN + self.scales)
    }

    /// Where a piece of the keys of a block begins.
    pub(super) fn key(self, slot: usize, column: usize) -> usize {
        (slot * self.dim / ROWS + column) * PIECE
    }

    /// Where a piece of the values of a block begins.
    pub(super) fn value(self, slot: usize, column: usize) -> usize {
        self.half() + (column * RUN + slot) * PIECE
    }

    /// Where the scales of a block begin, behind the keys or behind the values.
    pub(super) fn scales(self, slot: usize) -> usize {
        RUN * self.dim * BLOCK_LEN + slot * self.scales
    }

    /// All places of a block.
    pub(crate) fn places(self, slot: usize) -> impl Iterator<Item = Range<usize>> {
        let columns = 0..self.dim / ROWS;
        let pieces = columns.flat_map(move |column| [self.key(slot, column), self.value(slot, column)]);
        let scales = [0, self.half()].map(|half| half + self.scales(slot));
        let range = |len: usize| move |start: usize| start..start + len;
        pieces.map(range(PIECE)).chain(scales.into_iter().map(range(self.scales)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Q8;
    use super::*;
    use crate::engine::cpu::kernels::{F16, F32};

    fn each_element_belongs_to_one_block<K: KvFormat>() {
        for dim in [16, 48, 128, 256] {
            let layout = Layout::of::<K>(dim);
            let mut owners = vec![0; layout.len()];
            for place in (0..RUN).flat_map(|slot| layout.places(slot)) {
                owners[place].iter_mut().for_each(|owners| *owners += 1);
            }
            assert!(owners.iter().all(|&owners| owners == 1), "{layout:?}");
        }
    }

    #[test]
    fn each_element_of_a_bundle_belongs_to_one_block() {
        each_element_belongs_to_one_block::<F16>();
        each_element_belongs_to_one_block::<F32>();
        each_element_belongs_to_one_block::<Q8>();
    }
}
