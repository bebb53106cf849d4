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
