//! How each format's weights lie in a row group, and how they come out of it.
//!
//! A group is 16 rows, interleaved by 4 bytes: a vector holds, for each row, weights of four
//! consecutive columns. No format takes more bytes than in its file. For K columns a group is
//!
//! | format | planes | blocks |
//! |---|---|---|
//! | Q4_K | | K/256 × (d f16×16, dmin f16×16, 8 × (scale \| min<<6) ×16, min>>2 ×16 as 8 nibbles, nibbles 2048) |
//! | Q5_K | | the same, but 8 × (nibbles 256, fifth bits 64) |
//! | Q6_K | d f16×16 for each block | K/256 × (scales i8 16×16, 8 × (nibbles 256, pairs of high bits 128)) |
//! | Q8_0, Q4_0 | | K/64 × (2 × d f16×16, 2 × (512 or 256 bytes)), of an odd number of blocks half at the end |
//!
//! Within 32 columns, `g` counts fours: the byte of nibbles number `j` has `g = 2j` below and
//! `g = 2j + 1` above. Sources: ggml's `block_q4_K`, `block_q5_K`, `block_q6_K`, `block_q8_0`, `block_q4_0`.

use super::simd::{ROWS, Simd};

/// Columns of a super-block.
pub(crate) const SUPER: usize = 256;
/// Columns of a small block.
pub(crate) const SMALL: usize = 32;

/// Bytes of 32 columns of 16 rows at 4 bits.
const NIBBLES: usize = ROWS * SMALL / 2;
/// d, dmin, scales and mins of a Q4_K or Q5_K super-block.
const AFFINE_HEADER: usize = 256;

/// A super-block of 256 columns: integer scales for each 16 or 32, one real scale for all. What is
/// given here is the form of Q4_K and Q5_K, whose header holds scales and minima.
pub(super) trait SuperBlocks {
    /// Largest weight.
    const MAX: i32;
    /// Columns that share a scale: 32, or 16 with weights that are stored 32 too large.
    const SHARE: usize;
    /// Whether there is a minimum for each 32 columns.
    const MINIMA: bool;
    /// Bytes of a block.
    const BLOCK: usize;

    /// Where block `index` of a group of `blocks` starts, and where its `d` is.
    #[inline(always)]
    unsafe fn block(group: *const u8, index: usize, _blocks: usize) -> Block {
        // SAFETY: the caller's group holds more than `index` blocks.
        let at = unsafe { group.add(index * Self::BLOCK) };
        Block { at, d: at }
    }
    /// Eight vectors of the 32 columns number `part`.
    unsafe fn weights<S: Simd>(block: Block, part: usize, lane: usize) -> [S::I; 8];
    /// The scale number `index`, a whole number.
    #[inline(always)]
    unsafe fn scale<S: Simd>(block: Block, index: usize, lane: usize) -> S::F {
        // SAFETY: the header holds 8 × 16 bytes of scales after 64 bytes of d and dmin.
        unsafe { S::to_f(S::and(S::load_u8(block.at.add(64 + 16 * index + lane)), S::splat_i(63))) }
    }
    /// Minima of the 32 columns number `2 · pair` and the next, as two `i16`.
    #[inline(always)]
    unsafe fn minima<S: Simd>(block: Block, pair: usize, lane: usize) -> S::I {
        // SAFETY: the header holds 8 × 16 bytes of scales and then 16 × 4 bytes of mins.
        unsafe {
            let low = S::shr::<6>(S::load_u8(block.at.add(64 + 32 * pair + lane)));
            let next = S::shr::<6>(S::load_u8(block.at.add(64 + 32 * pair + 16 + lane)));
            let high = S::load_i(block.at.add(192 + 4 * lane));
            let high = match pair {
                0 => high,
                1 => S::shr::<8>(high),
                2 => S::shr::<16>(high),
                _ => S::shr::<24>(high),
            };
            // The nibble of the first goes to bits 2..6, that of the second to bits 18..22.
            let first = S::and(S::shl::<2>(high), S::splat_i(0x3c));
            let second = S::and(S::shl::<14>(high), S::splat_i(0x3c_0000));
            S::or(S::or(low, S::shl::<16>(next)), S::or(first, second))
        }
    }
    #[inline(always)]
    unsafe fn d<S: Simd>(block: Block, lane: usize) -> S::F {
        // SAFETY: 16 halves stand there.
        unsafe { S::load_f16(block.d.cast::<u16>().add(lane)) }
    }
    /// The factor of the minima, negated.
    #[inline(always)]
    unsafe fn d_min<S: Simd>(block: Block, lane: usize) -> S::F {
        // SAFETY: and in the header 16 more.
        unsafe { S::load_f16(block.d.cast::<u16>().add(ROWS + lane)) }
    }
}

/// The places of a block.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) at: *const u8,
    pub(super) d: *const u8,
}

/// Bytes that f16 scales of so many blocks take before the weights, so that these stay on a cache line.
pub(crate) const fn plane(blocks: usize) -> usize {
    (blocks * 2 * ROWS).next_multiple_of(64)
}

/// Eight vectors of the nibbles of 32 columns.
#[inline(always)]
unsafe fn nibbles<S: Simd>(from: *const u8, lane: usize) -> [S::I; 8] {
    // SAFETY: the caller's block holds 256 bytes of nibbles here.
    unsafe {
        let mask = S::splat_i(0x0f0f_0f0f);
        let mut out = [mask; 8];
        for j in 0..4 {
            let both = S::load_i(from.add(64 * j + 4 * lane));
            out[2 * j] = S::and(both, mask);
            out[2 * j + 1] = S::and(S::shr::<4>(both), mask);
        }
        out
    }
}

pub(crate) struct Q4K;

impl SuperBlocks for Q4K {
    const MAX: i32 = 15;
    const SHARE: usize = 32;
    const MINIMA: bool = true;
    const BLOCK: usize = AFFINE_HEADER + 8 * NIBBLES;

    #[inline(always)]
    unsafe fn weights<S: Simd>(block: Block, part: usize, lane: usize) -> [S::I; 8] {
        // SAFETY: `part` is below 8, so that the nibbles are inside the block.
        unsafe { nibbles::<S>(block.at.add(AFFINE_HEADER + part * NIBBLES), lane) }
    }
}

pub(crate) struct Q5K;

/// 32 columns of Q5_K: nibbles and fifth bits, together since they are read together.
const Q5K_PART: usize = NIBBLES + ROWS * SMALL / 8;

impl SuperBlocks for Q5K {
    const MAX: i32 = 31;
    const SHARE: usize = 32;
    const MINIMA: bool = true;
    const BLOCK: usize = AFFINE_HEADER + 8 * Q5K_PART;

    #[inline(always)]
    unsafe fn weights<S: Simd>(block: Block, part: usize, lane: usize) -> [S::I; 8] {
        // SAFETY: `part` is below 8; 64 bytes of fifth bits follow the nibbles of each. Bit `g` of each byte belongs
        // to four number `g`.
        unsafe {
            let from = block.at.add(AFFINE_HEADER + part * Q5K_PART);
            let mut out = nibbles::<S>(from, lane);
            let bits = S::load_i(from.add(NIBBLES + 4 * lane));
            let mask = S::splat_i(0x1010_1010);
            out[0] = S::or(out[0], S::and(S::shl::<4>(bits), mask));
            out[1] = S::or(out[1], S::and(S::shl::<3>(bits), mask));
            out[2] = S::or(out[2], S::and(S::shl::<2>(bits), mask));
            out[3] = S::or(out[3], S::and(S::shl::<1>(bits), mask));
            out[4] = S::or(out[4], S::and(bits, mask));
            out[5] = S::or(out[5], S::and(S::shr::<1>(bits), mask));
            out[6] = S::or(out[6], S::and(S::shr::<2>(bits), mask));
            out[7] = S::or(out[7], S::and(S::shr::<3>(bits), mask));
            out
        }
    }
}

pub(crate) struct Q6K;

/// Scales of a Q6_K super-block, before its nibbles.
const Q6K_SCALES: usize = 16 * ROWS;
/// 32 columns of Q6_K: nibbles and pairs of high bits.
const Q6K_PART: usize = NIBBLES + ROWS * SMALL / 4;

impl SuperBlocks for Q6K {
    const MAX: i32 = 63;
    const SHARE: usize = 16;
    const MINIMA: bool = false;
    const BLOCK: usize = Q6K_SCALES + 8 * Q6K_PART;

    #[inline(always)]
    unsafe fn block(group: *const u8, index: usize, blocks: usize) -> Block {
        // SAFETY: the caller's group is a plane of `d` and then `blocks` blocks.
        unsafe { Block { at: group.add(plane(blocks) + index * Self::BLOCK), d: group.add(2 * ROWS * index) } }
    }
    #[inline(always)]
    unsafe fn weights<S: Simd>(block: Block, part: usize, lane: usize) -> [S::I; 8] {
        // SAFETY: `part` is below 8; 128 bytes of high bits follow the nibbles of each. Bits 2i and 2i + 1 of each byte
        // of the first 64 belong to four `i`, of the second to four `4 + i`.
        unsafe {
            let from = block.at.add(Q6K_SCALES + part * Q6K_PART);
            let mut out = nibbles::<S>(from, lane);
            let mask = S::splat_i(0x3030_3030);
            for half in 0..2 {
                let bits = S::load_i(from.add(NIBBLES + 64 * half + 4 * lane));
                let four = 4 * half;
                out[four] = S::or(out[four], S::and(S::shl::<4>(bits), mask));
                out[four + 1] = S::or(out[four + 1], S::and(S::shl::<2>(bits), mask));
                out[four + 2] = S::or(out[four + 2], S::and(bits, mask));
                out[four + 3] = S::or(out[four + 3], S::and(S::shr::<2>(bits), mask));
            }
            out
        }
    }
    #[inline(always)]
    unsafe fn scale<S: Simd>(block: Block, index: usize, lane: usize) -> S::F {
        // SAFETY: a block starts with 16 × 16 bytes of scales.
        unsafe { S::to_f(S::load_i8(block.at.add(16 * index + lane))) }
    }
    #[inline(always)]
    unsafe fn minima<S: Simd>(_block: Block, _pair: usize, _lane: usize) -> S::I {
        // SAFETY: the caller's.
        unsafe { S::splat_i(0) }
    }
    #[inline(always)]
    unsafe fn d_min<S: Simd>(_block: Block, _lane: usize) -> S::F {
        // SAFETY: the caller's.
        unsafe { S::splat(0.0) }
    }
}

/// Where, in a group, the scales of small block `index` are, and where its weights. Two blocks stand behind their scales,
/// so that the weights stay on cache lines and the group is read from its start to its end.
#[inline(always)]
pub(crate) const fn small_block(index: usize, bytes: usize) -> (usize, usize) {
    let (pair, second) = (index / 2 * (plane(2) + 2 * bytes), index % 2);
    (pair + second * 2 * ROWS, pair + plane(2) + second * bytes)
}

/// Blocks of 32 columns with one real scale each.
pub(super) trait SmallBlocks {
    /// Bytes of a block's weights.
    const BLOCK: usize;

    /// Where block `index` of a group is.
    #[inline(always)]
    unsafe fn block(group: *const u8, index: usize) -> Block {
        let (d, at) = small_block(index, Self::BLOCK);
        // SAFETY: the caller's group holds more than `index` blocks.
        unsafe { Block { at: group.add(at), d: group.add(d) } }
    }
    /// Eight vectors of the 32 columns, ready for [`SmallBlocks::dot`].
    unsafe fn weights<S: Simd>(block: *const u8, lane: usize) -> [S::I; 8];
    /// Their dot products, of `V` vectors of rows, with 32 activations of each of `N` tokens, `stride` apart, whose sums
    /// are `-negative_sums`.
    unsafe fn dot<S: Simd, const V: usize, const N: usize>(
        w: &[[S::I; 8]; V],
        a: *const i8,
        stride: usize,
        negative_sums: [i32; N],
    ) -> [[S::I; V]; N];
}

pub(crate) struct Q80;

impl SmallBlocks for Q80 {
    const BLOCK: usize = ROWS * SMALL;

    #[inline(always)]
    unsafe fn weights<S: Simd>(block: *const u8, lane: usize) -> [S::I; 8] {
        // SAFETY: a block is eight vectors of 64 bytes.
        unsafe {
            let mut out = [S::splat_i(0); 8];
            for (g, vector) in out.iter_mut().enumerate() {
                *vector = S::signed(S::load_i(block.add(64 * g + 4 * lane)));
            }
            out
        }
    }
    #[inline(always)]
    unsafe fn dot<S: Simd, const V: usize, const N: usize>(
        w: &[[S::I; 8]; V],
        a: *const i8,
        stride: usize,
        negative_sums: [i32; N],
    ) -> [[S::I; V]; N] {
        // SAFETY: the caller's.
        unsafe { S::dot_signed(w, a, stride, negative_sums) }
    }
}

pub(crate) struct Q40;

impl SmallBlocks for Q40 {
    const BLOCK: usize = NIBBLES;

    #[inline(always)]
    unsafe fn weights<S: Simd>(block: *const u8, lane: usize) -> [S::I; 8] {
        // SAFETY: a block is 256 bytes of nibbles.
        unsafe { nibbles::<S>(block, lane) }
    }
    #[inline(always)]
    unsafe fn dot<S: Simd, const V: usize, const N: usize>(
        w: &[[S::I; 8]; V],
        a: *const i8,
        stride: usize,
        negative_sums: [i32; N],
    ) -> [[S::I; V]; N] {
        // SAFETY: the caller's.
        unsafe {
            let mut dots = [[S::splat_i(0); V]; N];
            for n in 0..N {
                // A stored weight is 8 too much.
                let start = S::shl::<3>(S::splat_i(negative_sums[n]));
                dots[n] = S::dot([start; V], w, a.add(n * stride), 15);
            }
            dots
        }
    }
}

/// Dense weights: `[column][16 rows]`.
pub(super) trait Dense {
    /// One value, as it is stored.
    type Stored: Copy;
    unsafe fn load<S: Simd>(from: *const Self::Stored) -> S::F;
}

#[derive(Debug)]
pub(crate) struct F32;
#[derive(Debug)]
pub(crate) struct F16;
pub(crate) struct BF16;

impl Dense for F32 {
    type Stored = f32;
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const f32) -> S::F {
        // SAFETY: the caller's pointer is good for a vector.
        unsafe { S::load(from) }
    }
}

impl Dense for F16 {
    type Stored = u16;
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u16) -> S::F {
        // SAFETY: the caller's pointer is good for a vector.
        unsafe { S::load_f16(from) }
    }
}

impl Dense for BF16 {
    type Stored = u16;
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u16) -> S::F {
        // SAFETY: the caller's pointer is good for a vector.
        unsafe { S::load_bf16(from) }
    }
}
