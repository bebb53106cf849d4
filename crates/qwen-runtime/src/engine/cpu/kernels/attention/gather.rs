//! The kernel: query rows on their way through the positions of a span.

use std::ops::Range;

use super::super::elementwise::exp;
use super::super::formats::F32;
use super::super::simd::{ROWS, Simd};
use super::pieces::{Half, Hints, Pieces, Source};
use super::tile::Tile;
use super::{BLOCK_LEN, CONVERTED_FROM, KvFormat, Mark, RUN_LEN, SCALED, Shape};

/// Room for the work on a run.
#[derive(Debug)]
pub(super) struct Scratch<'a> {
    /// `[row][position of the run]`
    pub(super) scores: &'a mut [f32],
    /// Room for what two vectors at a time go through, in single precision, if it is to be converted: the keys of two
    /// blocks, or 32 dimensions of the values of a run.
    pub(super) converted: &'a mut [f32],
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
        values.fill(0.0);
        marks.fill(Mark::NOTHING);
        let end = span.end.min(shape.past + shape.tokens);
        for start in span.step_by(RUN_LEN).take_while(|&start| start < end) {
            let run = Run { start, positions: RUN_LEN.min(end - start), shape };
            let pieces = Pieces::of(&source, shape.dim, start / BLOCK_LEN);
            let out = (&mut *scratch.scores, &mut *values, &mut *marks);
            // SAFETY: the caller compared all lengths; what is read of the blocks are positions
            // before `end`, or lanes beside them.
            unsafe {
                if !scratch.converted.is_empty() {
                    let halves = pieces.converted::<K>(Hints::Ahead, scratch.converted);
                    run.attend::<S, F32, K, 2>(halves, queries, out);
                } else if S::LANES == ROWS && !K::HAS_SCALES && shape.rows() < CONVERTED_FROM {
                    // Memory is waited for, so that it is best read in its order: a block at a time.
                    run.attend::<S, K, K, 1>(pieces.halves(source.hints), queries, out);
                } else {
                    run.attend::<S, K, K, 2>(pieces.halves(Hints::Ahead), queries, out);
                }
            }
        }
    }
}

/// The steps in which `V` vectors at a time go through `count` times 16 lanes: which of these are read in turns, and
/// the lane among theirs from which the first vector is.
fn turns<S: Simd, const V: usize>(count: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
    let at_once = (V * S::LANES / ROWS).max(1);
    (0..count).step_by(at_once).flat_map(move |first| {
        let ready = first..count.min(first + at_once);
        (0..ready.len() * ROWS).step_by(V * S::LANES).map(move |lane| (ready.clone(), lane))
    })
}

/// Which of the 16 lanes, and from which lane on, each vector of a step is. Where there is no second one, the first is
/// taken twice.
fn places<S: Simd, const V: usize>(ready: &Range<usize>, lane: usize) -> [(usize, usize); V] {
    std::array::from_fn(|v| {
        let lane = (lane + v * S::LANES).min(ready.len() * ROWS - S::LANES);
        (ready.start + lane / ROWS, lane % ROWS)
    })
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

    /// These rows in tiles: the number of each, its first row, and in which steps of its way through the pieces it asks
    /// for others. In each step one tile does, and all take turns, so that memory never has too much to do at once.
    fn tiles<S: Simd>(self) -> impl Iterator<Item = (usize, usize, impl Fn(usize) -> bool)> {
        let tiles = self.rows().step_by(S::PAIR_COLUMNS);
        let count = tiles.len();
        tiles.enumerate().map(move |(number, row)| (number, row, move |step: usize| step % count == number))
    }

    /// Adds what the rows get from the run to their values and marks, by way of their scores.
    #[inline(always)]
    unsafe fn attend<S: Simd, W: KvFormat, K: KvFormat, const V: usize>(
        self,
        [keys, held]: [Half<'_, W, K>; 2],
        queries: &[f32],
        (scores, values, marks): (&mut [f32], &mut [f32], &mut [Mark]),
    ) {
        // SAFETY: the caller's blocks and rows are there.
        unsafe {
            self.score::<S, W, K, V>(&keys, queries, scores);
            self.weigh::<S>(scores, values, marks);
            self.add::<S, W, K, V>(&held, scores, values);
        }
    }

    /// The scores of all positions, and of those that fill the last block.
    #[inline(always)]
    unsafe fn score<S: Simd, W: KvFormat, K: KvFormat, const V: usize>(
        self,
        keys: &Half<'_, W, K>,
        queries: &[f32],
        scores: &mut [f32],
    ) {
        let (dim, rows) = (self.shape.dim, self.rows());
        let columns = dim / ROWS;
        for (ready, at) in turns::<S, V>(self.blocks()) {
            if at == 0 {
                // SAFETY: the caller's blocks are there, and room for so many.
                unsafe { keys.prepare::<S>(ready.start * columns..ready.end * columns) }
            }
            let places = places::<S, V>(&ready, at);
            for (number, row, asks) in self.tiles::<S>() {
                with_columns!((rows.end - row).min(S::PAIR_COLUMNS), N => {
                    // SAFETY: the caller's blocks and rows are there.
                    unsafe {
                        let x = queries.as_ptr().add(row * dim);
                        let mut scores_of = [[S::splat(0.0); V]; N];
                        let mut tile = Tile::<S, N, V>::empty();
                        // What is asked for lies elsewhere for each piece.
                        let at_once = if K::HAS_SCALES { SCALED } else if number < columns { ROWS } else { dim };
                        for first in (0..dim).step_by(at_once) {
                            let len = at_once.min(dim - first);
                            let pieces = places.map(|(block, lane)| (block * columns + first / ROWS, lane));
                            let pieces = (pieces, ready.start * columns);
                            keys.add_to(&mut tile, pieces, len, (x.add(first), dim), asks(first / at_once));
                            if !K::HAS_SCALES {
                                continue;
                            }
                            let sums = std::mem::replace(&mut tile, Tile::empty()).sums();
                            for v in 0..V {
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
    unsafe fn add<S: Simd, W: KvFormat, K: KvFormat, const V: usize>(
        self,
        held: &Half<'_, W, K>,
        weights: &[f32],
        values: &mut [f32],
    ) {
        let (dim, rows) = (self.shape.dim, self.rows());
        for (ready, at) in turns::<S, V>(dim / ROWS) {
            if at == 0 {
                // SAFETY: the caller's blocks are there, and room for so many.
                unsafe { held.prepare::<S>(ready.start * self.blocks()..ready.end * self.blocks()) }
            }
            let places = places::<S, V>(&ready, at);
            let offsets = places.map(|(column, lane)| column * ROWS + lane);
            for (_, row, asks) in self.tiles::<S>() {
                with_columns!((rows.end - row).min(S::PAIR_COLUMNS), N => {
                    // SAFETY: the caller's blocks and rows are there.
                    unsafe {
                        let out = values.as_mut_ptr().add(row * dim);
                        let mut tile = Tile::<S, N, V>::empty();
                        let mut scaled = [[0.0; BLOCK_LEN]; N];
                        for n in 0..N {
                            for v in 0..V {
                                tile.even[n][v] = S::load(out.add(n * dim + offsets[v]).cast_const());
                            }
                        }
                        for block in 0..self.blocks() {
                            let len = BLOCK_LEN.min(self.positions - block * BLOCK_LEN);
                            let mut x = weights.as_ptr().add(row * RUN_LEN + block * BLOCK_LEN);
                            let mut x_stride = RUN_LEN;
                            if K::HAS_SCALES {
                                // All values of the tile share the scales of their positions.
                                let scales = held.scales[block].add(offsets[0] / SCALED * BLOCK_LEN);
                                for n in 0..N {
                                    for lane in (0..BLOCK_LEN).step_by(S::LANES) {
                                        let weight = S::mul(S::load(x.add(n * RUN_LEN + lane)), S::load(scales.add(lane)));
                                        S::store(scaled[n].as_mut_ptr().add(lane), weight);
                                    }
                                }
                                (x, x_stride) = (scaled.as_ptr().cast(), BLOCK_LEN);
                            }
                            let pieces = places.map(|(column, lane)| (column * self.blocks() + block, lane));
                            let pieces = (pieces, ready.start * self.blocks());
                            held.add_to(&mut tile, pieces, len, (x, x_stride), asks(block));
                        }
                        for (n, sums) in tile.sums().into_iter().enumerate() {
                            for (offset, sum) in offsets.into_iter().zip(sums) {
                                S::store(out.add(n * dim + offset), sum);
                            }
                        }
                    }
                });
            }
        }
    }
}
