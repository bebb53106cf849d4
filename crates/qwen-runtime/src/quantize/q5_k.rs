//! Owns the layout of Q5_K: 176 bytes for 256 values. Must not know how scales are found.

use super::affine;
use super::block::SUPER_BLOCK;
use super::q4_k::{HEADER, write_header, write_nibbles};

pub(super) const BYTES: usize = 176;
/// Bytes of the fifth bits.
const FIFTH_BITS: usize = SUPER_BLOCK / 8;

/// Writes a super-block.
pub(super) fn encode(x: &[f32; SUPER_BLOCK], w: &[f32; SUPER_BLOCK], out: &mut [u8; BYTES]) {
    let block = affine::quantize::<31>(x, w);
    let (header, rest) = out.split_at_mut(HEADER);
    let (fifth_bits, nibbles) = rest.split_at_mut(FIFTH_BITS);
    write_header(&block, header);
    // Byte i holds the fifth bits of value i of each sub-block, the first sub-block lowest.
    for (i, out) in fifth_bits.iter_mut().enumerate() {
        let bits = block.levels[i..].iter().step_by(FIFTH_BITS).enumerate();
        *out = bits.fold(0, |byte, (j, level)| byte | (level >> 4) << j);
    }
    write_nibbles(&block.levels, nibbles);
}
