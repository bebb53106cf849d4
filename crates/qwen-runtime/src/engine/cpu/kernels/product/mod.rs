//! Matrix products: one group of 16 rows times the activations of all tokens of a step.
//!
//! Each of the three kinds (super-blocks, small blocks, dense) fixes the order of its sums, the
//! same for one token and for hundreds: a token's result does not depend on its company.

mod dense;
mod row_group;
mod small_blocks;
mod super_blocks;
#[cfg(test)]
mod tests;

pub(crate) use row_group::RowGroup;

use crate::engine::cpu::kernels::simd::Simd;

/// Asks for a block of `bytes` a little at a time: for its share `now` of `times` shares, a block that is read in so
/// many steps. Every line is asked for once, and as many in each step: memory always has something to do.
#[inline(always)]
unsafe fn ask<S: Simd>(block: *const u8, bytes: usize, now: usize, times: usize) {
    let lines = bytes / 64;
    for line in now * lines / times..(now + 1) * lines / times {
        // SAFETY: any address may be asked for.
        unsafe { S::prefetch(block.wrapping_add(64 * line)) };
    }
}

/// Quantized activations: where those of token `t` are.
#[derive(Clone, Copy)]
pub(super) struct QuantizedPlaces {
    /// `[token][stride]`
    pub(super) values: *const i8,
    pub(super) stride: usize,
    /// `[token][scale_stride]`: one for each super-block or each small block.
    pub(super) scales: *const f32,
    pub(super) scale_stride: usize,
    /// `[token][sum_stride]`: of each 16 columns (super-blocks) or 32 (small blocks), negated.
    pub(super) sums: *const i32,
    pub(super) sum_stride: usize,
    /// `[token][pair_stride]`: sums of twice 32 columns as two `i16`; for super-blocks.
    pub(super) pairs: *const i32,
    pub(super) pair_stride: usize,
}

impl QuantizedPlaces {
    #[inline(always)]
    unsafe fn token(self, token: usize) -> Self {
        // SAFETY: the caller's token is one of those that the pointers are good for.
        unsafe {
            Self {
                values: self.values.add(token * self.stride),
                scales: self.scales.add(token * self.scale_stride),
                sums: self.sums.add(token * self.sum_stride),
                pairs: self.pairs.add(token * self.pair_stride),
                ..self
            }
        }
    }
}
