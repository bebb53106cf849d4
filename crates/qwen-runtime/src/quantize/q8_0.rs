//! Owns Q8_0: 34 bytes for 32 values, `x ≈ d·q` with `q` in `-127..=127`. Must not know the other formats.
//!
//! The blocks are those of ggml, byte for byte. −128 is not used: some kernels negate the bytes.

use half::f16;

pub(super) const BYTES: usize = 34;
pub(super) const BLOCK: usize = 32;
const HIGHEST: f32 = 127.0;

/// Writes a block.
pub(super) fn encode(x: &[f32; BLOCK], out: &mut [u8; BYTES]) {
    let d = x.iter().fold(0.0_f32, |largest, x| largest.max(x.abs())) / HIGHEST;
    let inverse = if d > 0.0 { d.recip() } else { 0.0 };
    let (factor, levels) = out.split_at_mut(2);
    factor.copy_from_slice(&f16::from_f32(d).to_le_bytes());
    for (out, x) in levels.iter_mut().zip(x) {
        // A factor below the smallest normal number has no finite inverse; the cast takes what comes of it.
        *out = ((x * inverse).round() as i8).to_le_bytes()[0];
    }
}
