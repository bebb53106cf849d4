//! [`Activations`]: what a product multiplies weights with, in each precision that one needs.

use super::lines::Lines;
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

impl Need {
    /// So many, if they are needed.
    fn of(self, count: usize) -> usize {
        if self == Self::Yes { count } else { 0 }
    }
}

/// 256 activations in 8 bits with one scale, for K-quants. Lies on cache lines of its own, since another thread may
/// fill the next one.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Q8Super {
    pub(super) values: [i8; SUPER],
    /// Sums of 16 values each, times -32: what weights that are stored 32 too large give too much.
    pub(super) offsets: [i32; SUPER / 16],
    /// Sums of 32 values each, two and two as `i16`.
    pub(super) pairs: [i32; SUPER / (2 * SMALL)],
    pub(super) scale: f32,
}

/// 256 activations in 8 bits with a scale for each 32.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Q8Smalls {
    pub(super) values: [i8; SUPER],
    /// Sums of 32 values each, negated.
    pub(super) negative_sums: [i32; SUPER / SMALL],
    pub(super) scales: [f32; SUPER / SMALL],
}

/// 256 activations in 8 bits; of a row's last ones perhaps fewer.
pub(super) trait Q8Block: Clone {
    const ZERO: Self;
    fn fill(&mut self, row: &[f32]);
}

impl Q8Block for Q8Super {
    const ZERO: Self = Self { values: [0; SUPER], offsets: [0; SUPER / 16], pairs: [0; SUPER / 64], scale: 0.0 };

    #[inline(always)]
    fn fill(&mut self, row: &[f32]) {
        let (row, _) = row.as_chunks::<SUPER>();
        self.scale = round(&row[0], &mut self.values);
        let sums: [i32; SUPER / 16] = std::array::from_fn(|unit| sum(&self.values[16 * unit..][..16]));
        self.offsets = sums.map(|sum| -32 * sum);
        for (pair, sums) in self.pairs.iter_mut().zip(sums.chunks_exact(4)) {
            *pair = ((sums[0] + sums[1]) & 0xffff) | (sums[2] + sums[3]) << 16;
        }
    }
}

impl Q8Block for Q8Smalls {
    const ZERO: Self = Self { values: [0; SUPER], negative_sums: [0; SUPER / SMALL], scales: [0.0; SUPER / SMALL] };

    #[inline(always)]
    fn fill(&mut self, row: &[f32]) {
        let parts = row.as_chunks::<SMALL>().0.iter().zip(self.values.as_chunks_mut::<SMALL>().0);
        for (index, (row, values)) in parts.enumerate() {
            self.scales[index] = round(row, values);
            self.negative_sums[index] = -sum(values);
        }
    }
}

/// To whole numbers in -127..=127, the largest becoming 127, and what they must be multiplied by.
#[inline(always)]
fn round<const LEN: usize>(row: &[f32; LEN], values: &mut [i8; LEN]) -> f32 {
    /// Adding it leaves the nearest whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let mut largest = [0.0_f32; ROWS];
    // Rows are whole numbers of 16. Of a known length, the sixteen stay in registers.
    for part in row.as_chunks::<ROWS>().0 {
        for lane in 0..ROWS {
            let size = part[lane].abs();
            largest[lane] = if size > largest[lane] { size } else { largest[lane] };
        }
    }
    let largest = largest.iter().fold(0.0_f32, |most, &value| if value > most { value } else { most });
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    for (value, &x) in values.iter_mut().zip(row) {
        *value = (x * inverse + ROUND).to_bits() as i8;
    }
    largest / 127.0
}

#[inline(always)]
fn sum(values: &[i8]) -> i32 {
    values.iter().map(|&value| i32::from(value)).sum()
}

/// Rows of activations, as floats and quantized, in parts of 256 columns. Blocks of the same columns lie together, since a
/// product reads those of several tokens at once: from one place on, at distances that are known when it is compiled.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    tokens: usize,
    columns: usize,
    precision: Precision,
    /// `[token][parts * 256]`
    floats: Lines,
    /// `[part][token]`
    supers: Vec<Q8Super>,
    /// `[part][token]`
    smalls: Vec<Q8Smalls>,
}

/// `len` blocks to be filled. They stay as many as were ever needed, since a layer needs more and less in turns.
fn room<B: Q8Block>(blocks: &mut Vec<B>, len: usize) -> &mut [B] {
    if blocks.len() < len {
        blocks.resize(len, B::ZERO);
    }
    &mut blocks[..len]
}

impl Activations {
    /// Rows to be filled: as many tokens of as many columns.
    ///
    /// # Panics
    /// When the columns are no whole blocks of what is needed.
    pub(crate) fn rows(&mut self, tokens: usize, columns: usize, precision: Precision) -> ActivationRows<'_> {
        (self.tokens, self.columns, self.precision) = (tokens, columns, precision);
        let block = precision.supers.of(SUPER).max(precision.smalls.of(SMALL)).max(1);
        assert!(columns.is_multiple_of(block), "{columns} columns are no whole blocks of {block}");
        let blocks = tokens * columns.div_ceil(SUPER);
        ActivationRows {
            tokens,
            columns,
            precision,
            floats: Chunks::new(self.floats.room(blocks * SUPER), SUPER),
            supers: Chunks::new(room(&mut self.supers, precision.supers.of(blocks)), 1),
            smalls: Chunks::new(room(&mut self.smalls, precision.smalls.of(blocks)), 1),
        }
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// `[token][columns]`, and how far apart tokens are.
    pub(super) fn floats(&self) -> (*const f32, usize) {
        (self.floats.as_ptr(), self.columns.next_multiple_of(SUPER))
    }

    /// `[part][token]`
    ///
    /// # Panics
    /// When they were not asked for.
    pub(super) fn supers(&self) -> *const Q8Super {
        assert_eq!(self.precision.supers, Need::Yes, "activations were not quantized for this product");
        self.supers.as_ptr()
    }

    /// `[part][token]`
    ///
    /// # Panics
    /// When they were not asked for.
    pub(super) fn smalls(&self) -> *const Q8Smalls {
        assert_eq!(self.precision.smalls, Need::Yes, "activations were not quantized for this product");
        self.smalls.as_ptr()
    }
}

/// Rows to be filled, by any threads.
pub(crate) struct ActivationRows<'a> {
    tokens: usize,
    columns: usize,
    precision: Precision,
    floats: Chunks<'a, f32>,
    supers: Chunks<'a, Q8Super>,
    smalls: Chunks<'a, Q8Smalls>,
}

impl ActivationRows<'_> {
    /// Parts of 256 columns, the last one perhaps of fewer.
    pub(crate) fn parts(&self) -> usize {
        self.columns.div_ceil(SUPER)
    }

    /// Has `write` write the row of a token, and quantizes it as needed. Each part of a row is filled once.
    pub(crate) fn fill(&self, set: Detected, token: usize, write: impl FnOnce(&mut [f32])) {
        let row = &mut self.floats.take_run(token * self.parts(), self.parts())[..self.columns];
        write(row);
        for (part, values) in row.chunks(SUPER).enumerate() {
            self.quantize(set, token, part, values);
        }
    }

    /// The same for one part of it: `write` is given the part's first column, too.
    pub(crate) fn fill_part(&self, set: Detected, token: usize, part: usize, write: impl FnOnce(usize, &mut [f32])) {
        let first = part * SUPER;
        let values = &mut self.floats.take(token * self.parts() + part)[..SUPER.min(self.columns - first)];
        write(first, values);
        self.quantize(set, token, part, values);
    }

    fn quantize(&self, set: Detected, token: usize, part: usize, values: &[f32]) {
        let block = part * self.tokens + token;
        // SAFETY: the set was detected; slices check themselves.
        unsafe {
            if self.precision.supers == Need::Yes {
                quantize::<Q8Super>(set, values, &mut self.supers.take(block)[0]);
            }
            if self.precision.smalls == Need::Yes {
                quantize::<Q8Smalls>(set, values, &mut self.smalls.take(block)[0]);
            }
        }
    }
}

kernel! {
    unsafe fn quantize<S, B: Q8Block>(values: &[f32], block: &mut B) {
        block.fill(values);
    }
}
