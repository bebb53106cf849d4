//! The kernel: query rows on their way through the positions of a span.

use std::ops::Range;

use super::super::elementwise::exp;
use super::super::formats::F32;
use super::super::simd::{ROWS, Simd};
use super::{BLOCK_LEN, KvFormat, Mark, RUN, RUN_LEN, SCALED, Shape};

/// The blocks of a sequence, unchecked.
#[derive(Debug)]
pub(super) struct Source<'a, K: KvFormat> {
    pub(super) blocks: *const K::Stored,
    pub(super) stride: usize,
    pub(super) table: &'a [u32],
    /// Whether lines are asked for a second time, shortly before they are read.
    pub(super) asks_twice: bool,
}

/// Room for the work on a run.
#[derive(Debug)]
pub(super) struct Scratch<'a> {
    /// `[row][position of the run]`
    pub(super) scores: &'a mut [f32],
    /// Room for the blocks of a run in single precision, if they are to be converted.
    pub(super) converted: &'a mut [f32],
}

/// Halves of the blocks of a run, keys or values, and what is asked for while they are read: the
/// places of as many halves of the cache, any address.
#[derive(Debug)]
struct Halves<W: KvFormat, K: KvFormat> {
    read: [*const W::Stored; RUN],
    ahead: [*const K::Stored; RUN],
    /// Whether what is read soon is asked for too.
    asks_twice: bool,
    /// The scales of each, if the cache has some.
    scales: [*const f32; RUN],
}

kernel! {
    unsafe fn gather<S, K: KvFormat>(
        source: Source<'_, K>,
        shape: Shape,
        span: Range<usize>,
        queries: &[f32],
        scratch: Scratch<'_>,
        values: &mut [f32],
        marks: &mut [Mark],
    ) {
        let (dim, half) = (shape.dim, K::half_block(shape.dim));
        values.fill(0.0);
        marks.fill(Mark::NOTHING);
        let end = span.end.min(shape.past + shape.tokens);
        for start in span.step_by(RUN_LEN).take_while(|&start| start < end) {
            let run = Run { start, positions: RUN_LEN.min(end - start), shape };
            // SAFETY: the caller compared all lengths; what is read of the blocks are positions
            // before `end`, or lanes beside them.
            unsafe {
                let place = |index: usize| match source.table.get(index) {
                    Some(block) => source.blocks.wrapping_add(*block as usize * source.stride),
                    None => source.blocks,
                };
                let blocks: [*const K::Stored; RUN] = std::array::from_fn(|index| place(start / BLOCK_LEN + index));
                // After the last position, most often the first ones of the next head, which lies behind this one.
                let last = start + RUN_LEN >= shape.past + shape.tokens;
                let (after, skip) = if last { (0, 2 * half) } else { (start + RUN_LEN, 0) };
                let next: [*const K::Stored; RUN] =
                    std::array::from_fn(|index| place(after / BLOCK_LEN + index).wrapping_add(skip));
                let later = |blocks: [*const K::Stored; RUN]| blocks.map(|block| block.wrapping_add(half));
                let scales = |halves: [*const K::Stored; RUN]| halves.map(|half| half.wrapping_add(dim * BLOCK_LEN).cast());
                if !scratch.converted.is_empty() {
                    // The next run is on its way while this one is computed.
                    let to = scratch.converted.as_mut_ptr();
                    let single: [*const f32; RUN] = std::array::from_fn(|index| to.add(index * 2 * dim * BLOCK_LEN).cast_const());
                    for index in 0..run.blocks() {
                        let to = single[index].cast_mut();
                        convert_half::<S, K>(blocks[index], to, dim);
                        convert_half::<S, K>(blocks[index].add(half), to.add(dim * BLOCK_LEN), dim);
                    }
                    let keys = Halves::<F32, K> { read: single, ahead: next, asks_twice: false, scales: scales(blocks) };
                    run.score::<S, F32, K>(&keys, queries, scratch.scores);
                    run.weigh::<S>(scratch.scores, values, marks);
                    let read = single.map(|block| block.wrapping_add(dim * BLOCK_LEN));
                    let halves = Halves::<F32, K> { read, ahead: later(next), asks_twice: false, scales: scales(later(blocks)) };
                    run.add::<S, F32, K>(&halves, scratch.scores, values);
                } else {
                    // Values are on their way while keys are read, and the next keys while values are.
                    let (read, asks_twice) = (later(blocks), source.asks_twice);
                    let keys = Halves::<K, K> { read: blocks, ahead: read, asks_twice, scales: scales(blocks) };
                    run.score::<S, K, K>(&keys, queries, scratch.scores);
                    run.weigh::<S>(scratch.scores, values, marks);
                    let halves = Halves::<K, K> { read, ahead: next, asks_twice, scales: scales(read) };
                    run.add::<S, K, K>(&halves, scratch.scores, values);
                }
            }
        }
    }
}

impl<W: KvFormat, K: KvFormat> Halves<W, K> {
    /// What is read soon: `behind` elements behind the place `at` of a half block of `len`. Where that ends before, the
    /// half that is read `step` blocks later, and after the last one the beginning of what is read then.
    fn soon(&self, (block, step): (usize, usize), (at, behind): (usize, usize), len: usize) -> *const K::Stored {
        match ((at + behind).checked_sub(len), block + step) {
            (None, _) => self.read[block].cast::<K::Stored>().wrapping_add(at + behind),
            (Some(at), next) if next < RUN => self.read[next].cast::<K::Stored>().wrapping_add(at),
            (Some(at), next) => self.ahead[0].wrapping_add(at + (next - RUN) * behind),
        }
    }
}

/// Writes half a block in single precision, in the same order.
#[inline(always)]
unsafe fn convert_half<S: Simd, K: KvFormat>(from: *const K::Stored, to: *mut f32, dim: usize) {
    for at in (0..dim * BLOCK_LEN).step_by(S::LANES) {
        // SAFETY: the caller's half blocks have so many values.
        unsafe { S::store(to.add(at), K::load::<S>(from.add(at))) }
    }
}

/// Some positions that follow each other, and who attends to them.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    positions: usize,
    shape: Shape,
}

impl Run {
    fn blocks(self) -> usize {
        self.positions.div_ceil(BLOCK_LEN)
    }

    /// The query rows that see any of it.
    fn rows(self) -> Range<usize> {
        self.shape.first_row(self.start)..self.shape.rows()
    }

    /// The scores of all positions, and of those that fill the last block.
    #[inline(always)]
    unsafe fn score<S: Simd, W: KvFormat, K: KvFormat>(self, keys: &Halves<W, K>, queries: &[f32], scores: &mut [f32]) {
        let (dim, rows) = (self.shape.dim, self.rows());
        let vectors = self.blocks() * BLOCK_LEN / S::LANES;
        let (half, step) = (dim / 2, (2 * S::LANES / ROWS).max(1));
        for vector in (0..vectors).step_by(2) {
            // Where there is no second one, the first is computed twice.
            let places = [vector, (vector + 1).min(vectors - 1)].map(|at| (at * S::LANES / ROWS, at * S::LANES % ROWS));
            let read = places.map(|(block, lane)| keys.read[block].wrapping_add(lane));
            let ahead = places.map(|(block, lane)| keys.ahead[block].wrapping_add(lane));
            let mut row = rows.start;
            while row < rows.end {
                with_columns!((rows.end - row).min(S::PAIR_COLUMNS), N => {
                    // SAFETY: the caller's blocks and rows are there.
                    unsafe {
                        let x = queries.as_ptr().add(row * dim);
                        let mut scores_of = [[S::splat(0.0); 2]; N];
                        let mut tile = Tile::<S, N>::empty();
                        let unscaled = if keys.asks_twice { half } else { dim };
                        let at_once = if K::HAS_SCALES { SCALED } else { unscaled };
                        for first in (0..dim).step_by(at_once) {
                            let len = at_once.min(dim - first);
                            let read = read.map(|read| read.wrapping_add(first * BLOCK_LEN));
                            let ahead = ahead.map(|ahead| ahead.wrapping_add(first * BLOCK_LEN));
                            let x = x.add(first);
                            if row > rows.start {
                                tile.add::<W, K, _>(read, [], len, x, dim);
                            } else if keys.asks_twice {
                                let soon = places.map(|(block, lane)| {
                                    keys.soon((block, step), (first * BLOCK_LEN + lane, half * BLOCK_LEN), dim * BLOCK_LEN)
                                });
                                tile.add::<W, K, _>(read, [ahead, soon], len, x, dim);
                            } else {
                                tile.add::<W, K, _>(read, [ahead], len, x, dim);
                            }
                            if !K::HAS_SCALES {
                                continue;
                            }
                            let sums = std::mem::replace(&mut tile, Tile::empty()).sums();
                            for v in 0..2 {
                                let (block, lane) = places[v];
                                let scale = S::load(keys.scales[block].add(first / SCALED * BLOCK_LEN + lane));
                                for n in 0..N {
                                    scores_of[n][v] = S::fma(sums[n][v], scale, scores_of[n][v]);
                                }
                            }
                        }
                        if !K::HAS_SCALES {
                            scores_of = tile.sums();
                        }
                        for (n, sums) in scores_of.into_iter().enumerate() {
                            let to = scores.as_mut_ptr().add((row + n) * RUN_LEN);
                            for ((block, lane), sum) in places.into_iter().zip(sums) {
                                S::store(to.add(block * BLOCK_LEN + lane), sum);
                            }
                        }
                    }
                    row += N;
                });
            }
        }
    }

    /// Turns scores into softmax weights, hidden ones into zeros, and corrects what was gathered
    /// before to the new largest score.
    #[inline(always)]
    unsafe fn weigh<S: Simd>(self, scores: &mut [f32], values: &mut [f32], marks: &mut [Mark]) {
        let dim = self.shape.dim;
        for row in self.rows() {
            let (scores, mark) = (&mut scores[row * RUN_LEN..][..RUN_LEN], &mut marks[row]);
            let visible = (self.shape.visible(row) - self.start).min(RUN_LEN);
            scores[visible..].fill(f32::NEG_INFINITY);
            let mut most = [mark.largest; ROWS];
            for lanes in scores.chunks_exact(ROWS) {
                for (most, &score) in most.iter_mut().zip(lanes) {
                    *most = if score > *most { score } else { *most };
                }
            }
            let mut largest = mark.largest;
            for lanes in most.chunks_exact(S::LANES) {
                // SAFETY: the caller has the instruction set, and so many lanes are there.
                let score = unsafe { S::largest(S::load(lanes.as_ptr())) };
                largest = if score > largest { score } else { largest };
            }
            let correction = exp(mark.largest - largest);
            mark.total.iter_mut().for_each(|part| *part *= correction);
            for lanes in scores.chunks_exact_mut(ROWS) {
                for (part, score) in mark.total.iter_mut().zip(lanes) {
                    let hidden = *score == f32::NEG_INFINITY;
                    let weight = exp(*score - largest);
                    *score = if hidden { 0.0 } else { weight };
                    *part += *score;
                }
            }
            if largest > mark.largest {
                values[row * dim..][..dim].iter_mut().for_each(|value| *value *= correction);
                mark.largest = largest;
            }
        }
    }

    /// Adds the values, times their weights.
    #[inline(always)]
    unsafe fn add<S: Simd, W: KvFormat, K: KvFormat>(self, halves: &Halves<W, K>, weights: &[f32], values: &mut [f32]) {
        let (dim, rows) = (self.shape.dim, self.rows());
        let vectors = dim / S::LANES;
        for vector in (0..vectors).step_by(2) {
            // Where there is no second one, the first is computed twice.
            let offsets = [vector, (vector + 1).min(vectors - 1)].map(|at| at * S::LANES);
            let places = offsets.map(|offset| offset / ROWS * ROWS * BLOCK_LEN + offset % ROWS);
            let mut row = rows.start;
            while row < rows.end {
                with_columns!((rows.end - row).min(S::PAIR_COLUMNS), N => {
                    // SAFETY: the caller's blocks and rows are there.
                    unsafe {
                        let out = values.as_mut_ptr().add(row * dim);
                        let mut tile = Tile::<S, N>::empty();
                        let mut scaled = [[0.0; BLOCK_LEN]; N];
                        for n in 0..N {
                            for v in 0..2 {
                                tile.even[n][v] = S::load(out.add(n * dim + offsets[v]).cast_const());
                            }
                        }
                        for block in 0..self.blocks() {
                            let len = BLOCK_LEN.min(self.positions - block * BLOCK_LEN);
                            let read = places.map(|place| halves.read[block].wrapping_add(place));
                            let ahead = places.map(|place| halves.ahead[block].wrapping_add(place));
                            let mut x = weights.as_ptr().add(row * RUN_LEN + block * BLOCK_LEN);
                            let mut x_stride = RUN_LEN;
                            if K::HAS_SCALES {
                                // All values of the tile share the scales of their positions.
                                let scales = halves.scales[block].add(offsets[0] / SCALED * BLOCK_LEN);
                                for n in 0..N {
                                    for lane in (0..BLOCK_LEN).step_by(S::LANES) {
                                        let weight = S::mul(S::load(x.add(n * RUN_LEN + lane)), S::load(scales.add(lane)));
                                        S::store(scaled[n].as_mut_ptr().add(lane), weight);
                                    }
                                }
                                (x, x_stride) = (scaled.as_ptr().cast(), BLOCK_LEN);
                            }
                            if row > rows.start {
                                tile.add::<W, K, _>(read, [], len, x, x_stride);
                            } else if halves.asks_twice {
                                let behind = (2 * S::LANES).max(ROWS) * BLOCK_LEN;
                                let soon = places.map(|at| halves.soon((block, RUN), (at, behind), dim * BLOCK_LEN));
                                tile.add::<W, K, _>(read, [ahead, soon], len, x, x_stride);
                            } else {
                                tile.add::<W, K, _>(read, [ahead], len, x, x_stride);
                            }
                        }
                        for (n, sums) in tile.sums().into_iter().enumerate() {
                            for (offset, sum) in offsets.into_iter().zip(sums) {
                                S::store(out.add(n * dim + offset), sum);
                            }
                        }
                    }
                    row += N;
                });
            }
        }
    }
}

/// Sums of products of two vectors of the cache with `N` rows, even and odd ones apart, so that no
/// addition waits for the one before.
struct Tile<S: Simd, const N: usize> {
    even: [[S::F; 2]; N],
    odd: [[S::F; 2]; N],
}

impl<S: Simd, const N: usize> Tile<S, N> {
    #[inline(always)]
    unsafe fn empty() -> Self {
        // SAFETY: the caller has the instruction set.
        unsafe { Self { even: [[S::splat(0.0); 2]; N], odd: [[S::splat(0.0); 2]; N] } }
    }

    /// Adds `Σ w[k] · x[row][k]` for `k` below `len`. Vectors of one lane of the blocks lie 16 values
    /// apart. Meanwhile the lines at `hints` are asked for.
    #[inline(always)]
    unsafe fn add<W: KvFormat, K: KvFormat, const HINTS: usize>(
        &mut self,
        read: [*const W::Stored; 2],
        hints: [[*const K::Stored; 2]; HINTS],
        len: usize,
        x: *const f32,
        x_stride: usize,
    ) {
        // SAFETY: the caller's vectors and rows reach to `len`; any address may be asked for.
        unsafe {
            let mut k = 0;
            while k + 2 <= len {
                for hint in hints.as_flattened() {
                    let line = hint.wrapping_add(k * ROWS).cast::<u8>();
                    S::prefetch(line);
                    if size_of::<K::Stored>() * 2 * ROWS > 64 {
                        S::prefetch(line.wrapping_add(64));
                    }
                }
                let mut first = [S::splat(0.0); 2];
                let mut second = first;
                for v in 0..2 {
                    first[v] = W::load::<S>(read[v].add(k * ROWS));
                    second[v] = W::load::<S>(read[v].add((k + 1) * ROWS));
                }
                for n in 0..N {
                    let x = x.add(n * x_stride + k);
                    let (x, y) = (S::splat(x.read()), S::splat(x.add(1).read()));
                    for v in 0..2 {
                        self.even[n][v] = S::fma(first[v], x, self.even[n][v]);
                        self.odd[n][v] = S::fma(second[v], y, self.odd[n][v]);
                    }
                }
                k += 2;
            }
            if k < len {
                for v in 0..2 {
                    let last = W::load::<S>(read[v].add(k * ROWS));
                    for n in 0..N {
                        self.even[n][v] = S::fma(last, S::splat(x.add(n * x_stride + k).read()), self.even[n][v]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn sums(mut self) -> [[S::F; 2]; N] {
        for n in 0..N {
            for v in 0..2 {
                // SAFETY: the caller has the instruction set.
                self.even[n][v] = unsafe { S::add(self.even[n][v], self.odd[n][v]) };
            }
        }
        self.even
    }
}
