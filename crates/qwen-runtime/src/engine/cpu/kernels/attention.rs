//! Attention of one key/value head over the blocks of one sequence.
//!
//! A block holds 16 positions of one layer and head: keys `[dim][16 positions]`, so that one lane
//! computes one position's score, then values `[dim / 16][16 positions][16]`. Scores and weighted
//! values are products like any other, of a few query rows with 16 lanes of the cache.
//!
//! Positions are read in runs of 64 from the sequence's start, each run with its softmax weights
//! and a correction of what was summed before (flash attention, arXiv 2205.14135). The runs depend
//! on positions only, so a token's result is the same in any chunk and any batch.

use super::elementwise::{exp, sum};
use super::formats::{Dense, F16, F32};
use super::memory::Number;
use super::product::{DenseWeights, dense_tile};
use super::set::Detected;
use super::simd::ROWS;

/// Positions of a block of the cache.
pub(crate) const BLOCK_LEN: usize = 16;
/// Blocks of a run.
const RUN: usize = 4;
const RUN_LEN: usize = RUN * BLOCK_LEN;
/// Query rows that go through the positions together.
const QUERIES: usize = 8;
/// Largest head.
pub(crate) const MAX_HEAD: usize = 256;

/// A type that keys and values are stored in.
pub(crate) trait KvElement: Number + Default + Send + Sync + 'static {
    #[doc(hidden)]
    type Load: LoadKv<Stored = Self>;
    /// Writes values as they are stored; both slices have the same length, a multiple of 16.
    fn convert(set: Detected, from: &[f32], to: &mut [Self]);
}

/// How the kernels load it.
pub(crate) trait LoadKv {
    type Stored;
    unsafe fn attend(
        set: Detected,
        blocks: *const Self::Stored,
        stride: usize,
        table: &[u32],
        attention: Shape,
        queries: &[f32],
        out: *mut f32,
    );
}

impl KvElement for f32 {
    type Load = F32;
    fn convert(_set: Detected, from: &[f32], to: &mut [Self]) {
        to.copy_from_slice(from);
    }
}

/// Half precision, as its bits.
impl KvElement for u16 {
    type Load = F16;
    fn convert(set: Detected, from: &[f32], to: &mut [Self]) {
        // SAFETY: the set was detected; slices check themselves.
        unsafe { halve(set, from, to) }
    }
}

macro_rules! load_kv {
    ($dense:ident, $stored:ty) => {
        impl LoadKv for $dense {
            type Stored = $stored;
            unsafe fn attend(
                set: Detected,
                blocks: *const $stored,
                stride: usize,
                table: &[u32],
                attention: Shape,
                queries: &[f32],
                out: *mut f32,
            ) {
                // SAFETY: the caller's.
                unsafe { attend::<$dense>(set, blocks, stride, table, attention, queries, out) }
            }
        }
    };
}
load_kv!(F32, f32);
load_kv!(F16, u16);

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

/// Elements of a block of one layer and head.
pub(crate) const fn block_elements(dim: usize) -> usize {
    2 * dim * BLOCK_LEN
}

/// The keys and values of one layer and head: blocks of every sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention<'a, T> {
    /// `[block][keys, values]`
    pub(crate) blocks: &'a [T],
    /// Elements from one block to the next.
    pub(crate) stride: usize,
    /// The sequence's blocks.
    pub(crate) table: &'a [u32],
}

impl<T: KvElement> Attention<'_, T> {
    /// Attends from `queries` `[token][query head][dim]`, which are scaled already, and writes the
    /// results into `out`, which has the same shape.
    ///
    /// # Panics
    /// When the lengths do not fit the shape.
    pub(crate) fn attend(self, set: Detected, shape: Shape, queries: &[f32], out: &mut [f32]) {
        let Shape { dim, group, past, tokens } = shape;
        assert!(dim.is_multiple_of(ROWS) && dim <= MAX_HEAD, "a head of {dim}");
        assert_eq!(queries.len(), tokens * group * dim, "queries");
        assert_eq!(out.len(), queries.len(), "results");
        let blocks = (past + tokens).div_ceil(BLOCK_LEN);
        let elements = block_elements(dim);
        assert!(
            self.table[..blocks].iter().all(|&block| block as usize * self.stride + elements <= self.blocks.len()),
            "a block that is not there"
        );
        // SAFETY: the lengths were just compared.
        unsafe { T::Load::attend(set, self.blocks.as_ptr(), self.stride, self.table, shape, queries, out.as_mut_ptr()) }
    }
}

/// Writes the key and the value of one position into its block.
///
/// # Panics
/// When they are longer than [`MAX_HEAD`] or do not fit the block.
pub(crate) fn store<T: KvElement>(set: Detected, block: &mut [T], position: usize, key: &[f32], value: &[f32]) {
    let mut row = [T::default(); MAX_HEAD];
    let row = &mut row[..key.len()];
    let (keys, values) = block.split_at_mut(key.len() * BLOCK_LEN);
    T::convert(set, key, row);
    for (to, key) in keys.chunks_exact_mut(BLOCK_LEN).zip(&*row) {
        to[position] = *key;
    }
    T::convert(set, value, row);
    for (to, value) in values.chunks_exact_mut(BLOCK_LEN * ROWS).zip(row.chunks_exact(ROWS)) {
        to[position * ROWS..][..ROWS].copy_from_slice(value);
    }
}

kernel! {
    /// To half precision; what is too large for it becomes its largest number, not infinity.
    unsafe fn halve<S>(from: &[f32], to: &mut [u16]) {
        for (from, to) in from.as_chunks::<ROWS>().0.iter().zip(to.as_chunks_mut::<ROWS>().0) {
            let finite = from.map(|x| x.clamp(-65504.0, 65504.0));
            for lane in (0..ROWS).step_by(S::LANES) {
                // SAFETY: both arrays have 16 elements, and the lanes divide 16.
                unsafe { S::store_f16(to.as_mut_ptr().add(lane), S::load(finite.as_ptr().add(lane))) }
            }
        }
    }
}

/// What a few query rows have gathered on their way through the positions.
#[repr(align(64))]
struct Rows {
    scores: [[f32; RUN_LEN]; QUERIES],
    /// Sum of softmax weights times values.
    values: [[f32; MAX_HEAD]; QUERIES],
    largest: [f32; QUERIES],
    total: [f32; QUERIES],
}

impl Rows {
    const EMPTY: Self = Self {
        scores: [[0.0; RUN_LEN]; QUERIES],
        values: [[0.0; MAX_HEAD]; QUERIES],
        largest: [f32::NEG_INFINITY; QUERIES],
        total: [0.0; QUERIES],
    };

    /// Turns the scores of row `n` into weights, of which the first `visible` count, and corrects
    /// what was gathered before to the new largest score.
    #[inline(always)]
    fn weigh(&mut self, n: usize, visible: usize, dim: usize) {
        let scores = &mut self.scores[n];
        scores[visible..].fill(f32::NEG_INFINITY);
        let mut largest = [self.largest[n]; ROWS];
        for lanes in scores.chunks_exact(ROWS) {
            for (largest, &score) in largest.iter_mut().zip(lanes) {
                *largest = if score > *largest { score } else { *largest };
            }
        }
        let largest = largest.iter().fold(f32::NEG_INFINITY, |most, &score| if score > most { score } else { most });
        let mut parts = [0.0_f32; ROWS];
        for lanes in scores.chunks_exact_mut(ROWS) {
            for (part, score) in parts.iter_mut().zip(lanes) {
                let hidden = *score == f32::NEG_INFINITY;
                let weight = exp(*score - largest);
                *score = if hidden { 0.0 } else { weight };
                *part += *score;
            }
        }
        let correction = exp(self.largest[n] - largest);
        self.total[n] = self.total[n].mul_add(correction, sum(&parts));
        if largest > self.largest[n] {
            self.values[n][..dim].iter_mut().for_each(|value| *value *= correction);
            self.largest[n] = largest;
        }
    }
}

kernel! {
    unsafe fn attend<S, W: Dense>(
        blocks: *const W::Stored,
        stride: usize,
        table: &[u32],
        shape: Shape,
        queries: &[f32],
        out: *mut f32,
    ) {
        let Shape { dim, group, past, tokens } = shape;
        let count = tokens * group;
        let mut first = 0;
        while first < count {
            let rows = QUERIES.min(count - first);
            let visible = |row: usize| past + (first + row) / group + 1;
            // The last row sees the most.
            let end = visible(rows - 1);
            let mut state = Rows::EMPTY;
            // SAFETY: the caller compared all lengths; what is read of the blocks are positions
            // before `end`, or lanes beside them.
            unsafe {
                let query = queries.as_ptr().add(first * dim);
                for start in (0..end).step_by(RUN_LEN) {
                    let positions = RUN_LEN.min(end - start);
                    let run = &table[start / BLOCK_LEN..][..positions.div_ceil(BLOCK_LEN)];
                    // Keys of the next run are asked for while values are read, and these while keys are.
                    let next = table.get(start / BLOCK_LEN + RUN..).unwrap_or(run);
                    for (index, block) in run.iter().enumerate() {
                        let keys = blocks.add(*block as usize * stride);
                        for lane in (0..ROWS).step_by(S::LANES) {
                            let at = keys.add(lane);
                            let w = DenseWeights { at, stride: BLOCK_LEN, len: dim, ahead: keys.add(dim * BLOCK_LEN) };
                            let mut n = 0;
                            while n < rows {
                                with_columns!((rows - n).min(S::COLUMNS), N => {
                                    let x = query.add(n * dim);
                                    let scores = if n + lane == 0 {
                                        dense_tile::<S, W, 1, N>([S::splat(0.0); N], w, x, dim)
                                    } else {
                                        dense_tile::<S, W, 0, N>([S::splat(0.0); N], w, x, dim)
                                    };
                                    for (i, scores) in scores.into_iter().enumerate() {
                                        S::store(state.scores[n + i].as_mut_ptr().add(index * BLOCK_LEN + lane), scores);
                                    }
                                    n += N;
                                });
                            }
                        }
                    }
                    for n in 0..rows {
                        state.weigh(n, visible(n).saturating_sub(start).min(positions), dim);
                    }
                    for part in 0..dim / ROWS {
                        for lane in (0..ROWS).step_by(S::LANES) {
                            let mut n = 0;
                            while n < rows {
                                with_columns!((rows - n).min(S::COLUMNS), N => {
                                    let mut sums = [S::splat(0.0); N];
                                    for (i, sum) in sums.iter_mut().enumerate() {
                                        *sum = S::load(state.values[n + i].as_ptr().add(part * ROWS + lane));
                                    }
                                    for (index, block) in run.iter().enumerate() {
                                        let values = blocks.add(*block as usize * stride + dim * BLOCK_LEN);
                                        let w = DenseWeights {
                                            at: values.add(part * ROWS * BLOCK_LEN + lane),
                                            stride: ROWS,
                                            len: BLOCK_LEN.min(positions - index * BLOCK_LEN),
                                            ahead: blocks.wrapping_add(
                                                next.get(index).map_or(0, |block| *block as usize) * stride
                                                    + part * ROWS * BLOCK_LEN,
                                            ),
                                        };
                                        let x = state.scores[n].as_ptr().add(index * BLOCK_LEN);
                                        sums = if n + lane == 0 {
                                            dense_tile::<S, W, 1, N>(sums, w, x, RUN_LEN)
                                        } else {
                                            dense_tile::<S, W, 0, N>(sums, w, x, RUN_LEN)
                                        };
                                    }
                                    for (i, sum) in sums.into_iter().enumerate() {
                                        S::store(state.values[n + i].as_mut_ptr().add(part * ROWS + lane), sum);
                                    }
                                    n += N;
                                });
                            }
                        }
                    }
                }
                for n in 0..rows {
                    let inverse = S::splat(1.0 / state.total[n]);
                    for part in 0..dim / ROWS {
                        let to = out.add((first + n) * dim + part * ROWS);
                        for lane in (0..ROWS).step_by(S::LANES) {
                            S::store(to.add(lane), S::mul(S::load(state.values[n].as_ptr().add(part * ROWS + lane)), inverse));
                        }
                    }
                }
            }
            first += rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::cpu::kernels::KernelSet;

    proptest! {
        #[test]
        fn every_set_halves_alike(values in prop::collection::vec(prop::num::f32::ANY, 32)) {
            // What no model computes has no meaning here.
            let values: Vec<f32> = values.iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect();
            let expected: Vec<u16> =
                values.iter().map(|x| f16::from_f32(x.clamp(-65504.0, 65504.0)).to_bits()).collect();
            for set in KernelSet::available() {
                let mut halves = vec![0; values.len()];
                u16::convert(Detected::new(set).unwrap(), &values, &mut halves);
                prop_assert_eq!(&halves, &expected, "{}", set);
            }
        }
    }
}
