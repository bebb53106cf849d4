//! Owns the layout of Q4_K: 144 bytes for 256 values. Must not know how scales are found.

use super::affine::{self, AffineBlock, SUB_BLOCKS};
use super::block::SUPER_BLOCK;

pub(super) const BYTES: usize = 144;
/// `d`, `dmin` and the twelve bytes of scales.
pub(super) const HEADER: usize = 16;

/// Writes a super-block.
pub(super) fn encode(x: &[f32; SUPER_BLOCK], w: &[f32; SUPER_BLOCK], out: &mut [u8; BYTES]) {
    let block = affine::quantize::<15>(x, w);
    let (header, nibbles) = out.split_at_mut(HEADER);
    write_header(&block, header);
    write_nibbles(&block.levels, nibbles);
}

/// The factors, and the 6-bit integers in twelve bytes: the first four of each kind whole, with the upper two bits
/// of the last four above them; the lower four bits of those in the last four bytes.
pub(super) fn write_header(block: &AffineBlock, out: &mut [u8]) {
    let (factors, packed) = out.split_at_mut(4);
    factors[..2].copy_from_slice(&block.d.to_le_bytes());
    factors[2..].copy_from_slice(&block.dmin.to_le_bytes());
    let half = SUB_BLOCKS / 2;
    for j in 0..half {
        let (scale, min) = (block.scales[j + half], block.mins[j + half]);
        packed[j] = block.scales[j] | (scale >> 4) << 6;
        packed[j + half] = block.mins[j] | (min >> 4) << 6;
        packed[j + 2 * half] = (scale & 15) | (min & 15) << 4;
    }
}

/// The lower four bits of the levels: of 64 values, the first 32 below, the others above.
pub(super) fn write_nibbles(levels: &[u8; SUPER_BLOCK], out: &mut [u8]) {
    for (levels, out) in levels.chunks_exact(64).zip(out.chunks_exact_mut(32)) {
        let (low, high) = levels.split_at(32);
        for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
            *out = (low & 15) | (high & 15) << 4;
        }
    }
}
