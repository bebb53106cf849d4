//! One block of the KV cache.

/// A block of the KV cache: its place in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockId(u32);

impl BlockId {
    pub(super) fn new(index: u32) -> Self {
        Self(index)
    }

    /// The block at a place of a pool, which has no more than a number of 32 bits counts.
    pub(super) fn at(index: usize) -> Self {
        Self(index as u32)
    }

    /// Its place in the pool, from 0.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Rows to copy before a step writes: a sequence gets a block of its own for one that it shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockCopy {
    /// The shared block, which keeps its rows.
    pub(crate) from: BlockId,
    /// The new block.
    pub(crate) to: BlockId,
    /// How many rows to copy, from the first on.
    pub(crate) tokens: usize,
}
