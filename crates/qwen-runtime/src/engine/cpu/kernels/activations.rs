//! [`Activations`]: what a product multiplies weights with, in each precision that one needs.

use super::product::QuantizedPlaces;
use super::set::Detected;
use super::simd::ROWS;
use super::team::Chunks;
use super::{SMALL, SUPER};

/// What the weights that the activations meet need of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Precision {
    /// Blocks of 256 with one scale, for K-quants (ggml's `block_q8_K`).
    pub(crate) supers: Need,
    /// Blocks of 32 with one scale each (ggml's `block_q8_0`).
    pub(crate) smalls: Need,
}

impl Precision {
    /// What either needs.
    pub(crate) fn and(self, other: Self) -> Self {
        let either = |a: Need, b: Need| if a == Need::Yes { a } else { b };
        Self { supers: either(self.supers, other.supers), smalls: either(self.smalls, other.smalls) }
    }
}

/// Whether something is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Need {
    #[default]
    No,
    Yes,
}

/// Rows of activations, as floats and quantized.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    tokens: usize,
    columns: usize,
    /// `[token][columns]`
    floats: Vec<f32>,
    supers: Quantized,
    smalls: Quantized,
}

#[derive(Debug, Default)]
struct Quantized {
    /// `[token][stride]`
    values: Vec<i8>,
    /// `[token][columns / block]`
    scales: Vec<f32>,
    /// `[token][columns / unit]`, negated.
    sums: Vec<i32>,
    /// `[token][columns / 64]`, two sums of 32 columns each.
    pairs: Vec<i32>,
}

/// Bytes from one token's values to the next: a cache line more than a round number, so that
/// tokens do not all fall into the same part of the cache.
fn stride(columns: usize) -> usize {
    columns.next_multiple_of(64) + 64
}

impl Activations {
    /// Rows to be filled: as many tokens of as many columns.
    pub(crate) fn rows(&mut self, tokens: usize, columns: usize, precision: Precision) -> ActivationRows<'_> {
        (self.tokens, self.columns) = (tokens, columns);
        self.floats.resize(tokens * columns, 0.0);
        let sizes = |quantized: &mut Quantized, need: Need, block: usize, unit: usize| {
            let tokens = if need == Need::Yes { tokens } else { 0 };
            quantized.values.resize(tokens * stride(columns), 0);
            quantized.scales.resize(tokens * columns.div_ceil(block), 0.0);
            quantized.sums.resize(tokens * columns.div_ceil(unit), 0);
            quantized.pairs.resize(tokens * columns.div_ceil(2 * SMALL), 0);
        };
        sizes(&mut self.supers, precision.supers, SUPER, 16);
        sizes(&mut self.smalls, precision.smalls, SMALL, SMALL);
        ActivationRows {
            floats: Chunks::new(&mut self.floats, columns),
            supers: QuantizedParts::new(&mut self.supers, columns, SUPER, 16),
            smalls: QuantizedParts::new(&mut self.smalls, columns, SMALL, SMALL),
            precision,
        }
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn floats(&self) -> &[f32] {
        &self.floats
    }

    /// Blocks of 256; they were asked for.
    pub(super) fn supers(&self) -> QuantizedPlaces {
        self.supers.places(self, SUPER, 16)
    }

    /// Blocks of 32; they were asked for.
    pub(super) fn smalls(&self) -> QuantizedPlaces {
        self.smalls.places(self, SMALL, SMALL)
    }
}

impl Quantized {
    fn places(&self, of: &Activations, block: usize, unit: usize) -> QuantizedPlaces {
        let stride = stride(of.columns);
        assert!(self.values.len() >= of.tokens * stride, "activations were not quantized for this product");
        QuantizedPlaces {
            values: self.values.as_ptr(),
            stride,
            scales: self.scales.as_ptr(),
            scale_stride: of.columns.div_ceil(block),
            sums: self.sums.as_ptr(),
            sum_stride: of.columns.div_ceil(unit),
            pairs: self.pairs.as_ptr(),
            pair_stride: of.columns.div_ceil(2 * SMALL),
        }
    }
}

/// Rows to be filled, by any threads.
pub(crate) struct ActivationRows<'a> {
    floats: Chunks<'a, f32>,
    supers: QuantizedParts<'a>,
    smalls: QuantizedParts<'a>,
    precision: Precision,
}

struct QuantizedParts<'a> {
    values: Chunks<'a, i8>,
    scales: Chunks<'a, f32>,
    sums: Chunks<'a, i32>,
    pairs: Chunks<'a, i32>,
}

impl<'a> QuantizedParts<'a> {
    fn new(quantized: &'a mut Quantized, columns: usize, block: usize, unit: usize) -> Self {
        Self {
            values: Chunks::new(&mut quantized.values, stride(columns)),
            scales: Chunks::new(&mut quantized.scales, columns.div_ceil(block)),
            sums: Chunks::new(&mut quantized.sums, columns.div_ceil(unit)),
            pairs: Chunks::new(&mut quantized.pairs, columns.div_ceil(2 * SMALL)),
        }
    }
}

impl ActivationRows<'_> {
    /// Has `write` write the row of a token, and quantizes it as needed. Each row is filled once.
    pub(crate) fn fill(&self, set: Detected, token: usize, write: impl FnOnce(&mut [f32])) {
        let row = self.floats.take(token);
        write(row);
        if self.precision.supers == Need::Yes {
            let sums = self.supers.sums.take(token);
            let (values, scales) = (self.supers.values.take(token), self.supers.scales.take(token));
            // SAFETY: the set was detected; slices check themselves.
            unsafe { quantize::<Super>(set, row, values, scales, sums) };
            for (pair, sums) in self.supers.pairs.take(token).iter_mut().zip(sums.chunks_exact(4)) {
                let (low, high) = (-(sums[0] + sums[1]), -(sums[2] + sums[3]));
                *pair = (low & 0xffff) | (high << 16);
            }
        }
        if self.precision.smalls == Need::Yes {
            let sums = self.smalls.sums.take(token);
            let (values, scales) = (self.smalls.values.take(token), self.smalls.scales.take(token));
            // SAFETY: the set was detected; slices check themselves.
            unsafe { quantize::<Small>(set, row, values, scales, sums) };
        }
    }
}

/// How many columns share a scale, and how many a sum.
pub(super) trait BlockLength {
    const LEN: usize;
    const UNIT: usize;
}
struct Super;
struct Small;
impl BlockLength for Super {
    const LEN: usize = SUPER;
    const UNIT: usize = 16;
}
impl BlockLength for Small {
    const LEN: usize = SMALL;
    const UNIT: usize = SMALL;
}

kernel! {
    /// To whole numbers in -127..=127, the largest of a block becoming 127, and their sums, negated.
    unsafe fn quantize<S, B: BlockLength>(row: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
        /// Adding it leaves the nearest whole number in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        for ((row, values), scale) in row.chunks(B::LEN).zip(values.chunks_mut(B::LEN)).zip(scales) {
            let mut largest = [0.0_f32; ROWS];
            // Blocks are whole numbers of 16. Of a known length, the sixteen stay in registers.
            for part in row.as_chunks::<ROWS>().0 {
                for lane in 0..ROWS {
                    let size = part[lane].abs();
                    largest[lane] = if size > largest[lane] { size } else { largest[lane] };
                }
            }
            let largest = largest.iter().fold(0.0_f32, |most, &value| if value > most { value } else { most });
            *scale = largest / 127.0;
            let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            for (value, &x) in values.iter_mut().zip(row) {
                *value = (x * inverse + ROUND).to_bits() as i8;
            }
        }
        for (sum, values) in sums.iter_mut().zip(values.chunks_exact(B::UNIT)) {
            *sum = -values.iter().map(|&value| i32::from(value)).sum::<i32>();
        }
    }
}
