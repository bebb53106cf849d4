//! Owns Q4_0: 18 bytes for 32 values, `x ≈ d·q` with `q` in `-8..8`. Must not know the other formats.
//!
//! The blocks are those of ggml, byte for byte.

use half::f16;

pub(super) const BYTES: usize = 18;
pub(super) const BLOCK: usize = 32;
const LOWEST: f32 = -8.0;
/// The largest integer, counted from the lowest.
const TOP: f32 = 15.0;

/// Writes a block: the factor, then the integers counted from the lowest, the first 16 in the lower halves.
pub(super) fn encode(x: &[f32; BLOCK], out: &mut [u8; BYTES]) {
    // The largest value becomes −8, which the integers have on one side only.
    let extreme = x.iter().copied().fold(0.0_f32, |a, b| if b.abs() > a.abs() { b } else { a });
    let d = extreme / LOWEST;
    let inverse = if d == 0.0 { 0.0 } else { d.recip() };
    let level = |x: f32| (x * inverse - LOWEST + 0.5).min(TOP) as u8;
    let (factor, nibbles) = out.split_at_mut(2);
    factor.copy_from_slice(&f16::from_f32(d).to_le_bytes());
    let (low, high) = x.split_at(BLOCK / 2);
    for ((out, &low), &high) in nibbles.iter_mut().zip(low).zip(high) {
        *out = level(low) | level(high) << 4;
    }
}
