//! Attention of one key/value head over the blocks of one sequence.
//!
//! A block holds 16 positions of one layer and head: keys `[dim][16 positions]`, so that one lane
//! computes one position's score, and values `[dim / 16][16 positions][16]`. Scores and weighted
//! values are products like any other, of a few query rows with 16 lanes of the cache. Four blocks lie
//! in a bundle, as [`Layout`] says.
//!
//! Positions are read in runs of 64, as many as a bundle has, each with its softmax weights and a correction of what was
//! summed before (flash attention, arXiv 2205.14135). Spans of 1024 positions are summed apart and
//! merged in their order, so that threads can share a long sequence. Runs and spans depend on
//! positions only: a token's result is the same in any chunk, any batch, and on any threads.

mod format;
mod gather;
mod layout;
mod merge;
mod pieces;
mod q8;
#[cfg(test)]
mod tests;
mod tile;

use std::ops::Range;

use super::lines::Lines;
use super::set::Detected;
use super::simd::ROWS;
pub(crate) use format::KvFormat;
pub(crate) use layout::Layout;
pub(crate) use merge::{finish, merge};
use pieces::{Hints, Place, Source};
pub(crate) use q8::Q8;

/// Positions of a block of the cache.
pub(crate) const BLOCK_LEN: usize = 16;
/// Positions that are summed apart.
pub(crate) const SPAN_LEN: usize = 1024;
/// Values of a position that share a scale, where there are scales.
pub(crate) const SCALED: usize = 32;
/// Largest head.
pub(crate) const MAX_HEAD: usize = 256;
/// Blocks of a run, and of a bundle.
pub(crate) const RUN: usize = 4;
/// Query rows for which it is worth while to convert the blocks of a run to single precision.
const CONVERTED_FROM: usize = 12;
const RUN_LEN: usize = RUN * BLOCK_LEN;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Size of a head, a multiple of 16.
    pub(crate) dim: usize,
    /// Query heads of the key/value head.
    pub(crate) group: usize,
    /// Positions before the first query token.
    pub(crate) past: usize,
    /// Query tokens.
    pub(crate) tokens: usize,
}

impl Shape {
    fn rows(self) -> usize {
        self.tokens * self.group
    }

    /// Positions that a query row sees.
    fn visible(self, row: usize) -> usize {
        self.past + row / self.group + 1
    }

    /// The first query row that sees a position.
    fn first_row(self, position: usize) -> usize {
        position.saturating_sub(self.past) * self.group
    }
}

/// What the softmax of a query row has come to: its values are divided by `total` in the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// The largest score.
    largest: f32,
    /// Sums of e^(score - largest), every sixteenth position apart.
    total: [f32; ROWS],
}

impl Mark {
    pub(crate) const NOTHING: Self = Self { largest: f32::NEG_INFINITY, total: [0.0; ROWS] };
}

/// The keys and values of one layer and head: bundles of blocks of every sequence.
#[derive(Debug)]
pub(crate) struct Attention<'a, K: KvFormat> {
    /// Bundles, each at the place of a single-precision number.
    pub(crate) bundles: &'a [K::Stored],
    /// Elements from one bundle to the next.
    pub(crate) stride: usize,
    /// The sequence's blocks.
    pub(crate) table: &'a [u32],
    /// Bundles and blocks that are attended to next, so that memory can be asked for them; perhaps the same.
    pub(crate) next: (&'a [K::Stored], &'a [u32]),
}

impl<K: KvFormat> Attention<'_, K> {
    /// Attends from `queries` `[token][query head][dim]`, which are scaled already, to all that
    /// they see, and writes the results into `out`, which has the same shape.
    ///
    /// # Panics
    /// When the lengths do not fit the shape.
    pub(crate) fn attend(&self, set: Detected, shape: Shape, queries: &[f32], out: &mut [f32]) {
        let (dim, end) = (shape.dim, shape.past + shape.tokens);
        let mut marks = vec![Mark::NOTHING; shape.rows()];
        self.gather(set, shape, 0..SPAN_LEN, queries, (out, &mut marks));
        let mut span = (Lines::zeroed(if end > SPAN_LEN { out.len() } else { 0 }), marks.clone());
        for start in (SPAN_LEN..end).step_by(SPAN_LEN) {
            self.gather(set, shape, start..start + SPAN_LEN, queries, (&mut span.0, &mut span.1));
            for row in shape.first_row(start)..shape.rows() {
                let values = &span.0[row * dim..][..dim];
                merge(set, (&mut out[row * dim..][..dim], &mut marks[row]), (values, span.1[row]));
            }
        }
        for (row, mark) in out.chunks_exact_mut(dim).zip(marks) {
            finish(set, row, mark);
        }
    }

    /// Sums the values at `positions`, which begin a span, for each query row that sees any of
    /// them; to be merged and finished.
    ///
    /// # Panics
    /// When the lengths do not fit the shape.
    pub(crate) fn gather(
        &self,
        set: Detected,
        shape: Shape,
        positions: Range<usize>,
        queries: &[f32],
        (values, marks): (&mut [f32], &mut [Mark]),
    ) {
        let Shape { dim, past, tokens, .. } = shape;
        assert!(dim.is_multiple_of(ROWS) && dim <= MAX_HEAD, "a head of {dim}");
        assert!(positions.start.is_multiple_of(SPAN_LEN), "a span from {}", positions.start);
        assert_eq!(queries.len(), shape.rows() * dim, "queries");
        assert_eq!((values.len(), marks.len()), (queries.len(), shape.rows()), "results");
        let blocks = (past + tokens).div_ceil(BLOCK_LEN);
        let elements = Layout::of::<K>(dim).len();
        assert!(self.table.len() >= blocks, "a table of {} blocks for {blocks}", self.table.len());
        let table = &self.table[..blocks];
        assert!(
            table.iter().all(|&block| block as usize / RUN * self.stride + elements <= self.bundles.len()),
            "a block that is not there"
        );
        let bytes = self.stride * size_of::<K::Stored>();
        assert!(
            self.bundles.as_ptr().cast::<f32>().is_aligned() && bytes.is_multiple_of(align_of::<f32>()),
            "alignment"
        );
        let convert = K::CONVERTED && shape.rows() >= CONVERTED_FROM;
        // Keys of two blocks, or 32 dimensions of the values of a run.
        let mut converted = Lines::zeroed(if convert { 2 * dim.max(RUN * ROWS) * BLOCK_LEN } else { 0 });
        let mut scores = Lines::zeroed(shape.rows() * RUN_LEN);
        let scratch = gather::Scratch { scores: &mut scores, converted: &mut converted };
        // Found by measuring with AVX-512: where a core has much of memory under way, lines that were asked for far
        // ahead are not all there in time. Where it has less, its first-level cache is too small for them.
        let hints = if set.has_large_first_level() { Hints::Often } else { Hints::Far };
        let next = Place { bundles: self.next.0.as_ptr(), table: self.next.1 };
        let source =
            Source { place: Place { bundles: self.bundles.as_ptr(), table }, next, stride: self.stride, hints };
        // SAFETY: the lengths were just compared.
        unsafe { gather::gather::<K>(set, source, shape, positions, queries, scratch, values, marks) }
    }
}
