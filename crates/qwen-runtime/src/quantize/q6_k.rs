//! Owns Q6_K: 210 bytes for 256 values, 16 sub-blocks of `x ≈ d·scale·q` with an 8-bit `scale` and `q` in `-32..32`,
//! and the search for the scales. Must not know the other formats.

use half::f16;

use super::block::{Part, SUPER_BLOCK, nearest, parts, sums};

pub(super) const BYTES: usize = 210;
const SUB_BLOCK: usize = 16;
const SUB_BLOCKS: usize = SUPER_BLOCK / SUB_BLOCK;
const LOWEST: f32 = -32.0;
const HIGHEST: f32 = 31.0;
/// Scales are signed bytes.
const SCALE_LIMIT: f32 = 128.0;
/// How often integers and factor take turns.
const ROUNDS: usize = 3;
/// Step widths tried for a sub-block, and how far they go to either side of the full range, in levels.
const WIDTHS: usize = 16;
const REACH: f32 = 2.0;

/// A scale, integer or not, and the error that it leaves.
#[derive(Clone, Copy)]
struct Choice {
    scale: f32,
    error: f64,
}

/// Writes a super-block.
pub(super) fn encode(x: &[f32; SUPER_BLOCK], w: &[f32; SUPER_BLOCK], out: &mut [u8; BYTES]) {
    let parts: [Part<'_, SUB_BLOCK>; SUB_BLOCKS] = parts(x, w);
    let fits = parts.map(Part::fit);
    let largest = fits.iter().copied().fold(0.0_f32, |a, b| if b.abs() > a.abs() { b } else { a });
    // The largest scale becomes −128, which a signed byte has on one side only.
    let mut d = representable(largest / -SCALE_LIMIT);
    let mut choices = fits.map(|scale| Choice { scale: if d == 0.0 { 0.0 } else { scale / d }, error: f64::INFINITY });
    let mut best = (f64::INFINITY, d, choices);
    for _ in 0..ROUNDS {
        for (part, choice) in parts.iter().zip(&mut choices) {
            *choice = part.choose(d, choice.scale);
        }
        let error = choices.iter().map(|choice| choice.error).sum();
        if error >= best.0 {
            break;
        }
        best = (error, d, choices);
        d = refine(&parts, &choices, d);
    }
    let (_, d, choices) = best;
    let mut levels = [0_u8; SUPER_BLOCK];
    for (j, out) in levels.as_chunks_mut::<SUB_BLOCK>().0.iter_mut().enumerate() {
        let inverse = inverse(d * choices[j].scale);
        *out = parts[j].x.map(|x| (nearest(x * inverse, LOWEST, HIGHEST) - LOWEST) as u8);
    }
    write(d, &choices.map(|choice| choice.scale as i8), &levels, out);
}

/// The factor as the file holds it.
fn representable(d: f32) -> f32 {
    f16::from_f32(d).to_f32()
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { scale.recip() }
}

impl Part<'_, SUB_BLOCK> {
    /// The best scale of the sub-block alone, of several step widths with either sign.
    fn fit(self) -> f32 {
        let extreme = self.x.iter().copied().fold(0.0_f32, |a, b| if b.abs() > a.abs() { b } else { a });
        if extreme == 0.0 {
            return 0.0;
        }
        let mut best = (f64::INFINITY, extreme / LOWEST);
        for step in 0..WIDTHS {
            let levels = LOWEST - REACH + 2.0 * REACH * step as f32 / (WIDTHS - 1) as f32;
            let fitted = self.least_squares(extreme / levels);
            if fitted.0 < best.0 {
                best = fitted;
            }
        }
        best.1
    }

    /// The best scale for the levels that `scale` gives the values, and its error.
    fn least_squares(self, scale: f32) -> (f64, f32) {
        let inverse = inverse(scale);
        let [xx, qx, qq] = sums::<SUB_BLOCK, 3>(|i| {
            let (x, w) = (self.x[i], self.w[i]);
            let q = nearest(x * inverse, LOWEST, HIGHEST);
            [w * x * x, w * q * x, w * q * q]
        });
        if qq > 0.0 { (xx - qx * qx / qq, (qx / qq) as f32) } else { (xx, scale) }
    }

    /// The best integer around `scale`.
    fn choose(self, d: f32, scale: f32) -> Choice {
        let middle = nearest(scale, -SCALE_LIMIT, SCALE_LIMIT - 1.0);
        let mut best = self.judged(d, middle);
        for other in [middle - 1.0, middle + 1.0] {
            if (-SCALE_LIMIT..SCALE_LIMIT).contains(&other) {
                let other = self.judged(d, other);
                if other.error < best.error {
                    best = other;
                }
            }
        }
        best
    }

    fn judged(self, d: f32, scale: f32) -> Choice {
        let factor = d * scale;
        let inverse = inverse(factor);
        let [error] = sums::<SUB_BLOCK, 1>(|i| {
            let difference = factor * nearest(self.x[i] * inverse, LOWEST, HIGHEST) - self.x[i];
            [self.w[i] * difference * difference]
        });
        Choice { scale, error }
    }
}

/// The best factor for the integers that `choices` and `d` give.
fn refine(parts: &[Part<'_, SUB_BLOCK>; SUB_BLOCKS], choices: &[Choice; SUB_BLOCKS], d: f32) -> f32 {
    let (mut ax, mut aa) = (0.0_f64, 0.0_f64);
    for (part, choice) in parts.iter().zip(choices) {
        let inverse = inverse(d * choice.scale);
        let [qx, qq] = sums::<SUB_BLOCK, 2>(|i| {
            let q = nearest(part.x[i] * inverse, LOWEST, HIGHEST);
            [part.w[i] * q * part.x[i], part.w[i] * q * q]
        });
        let scale = f64::from(choice.scale);
        ax += scale * qx;
        aa += scale * scale * qq;
    }
    if aa > 0.0 { representable((ax / aa) as f32) } else { d }
}

/// Of 128 values: 64 bytes with the lower four bits (values 0 to 63 below, 64 to 127 above), and 32 bytes with the
/// upper two bits of four values each; then the scales, then the factor.
fn write(d: f32, scales: &[i8; SUB_BLOCKS], levels: &[u8; SUPER_BLOCK], out: &mut [u8; BYTES]) {
    let (low_bits, rest) = out.split_at_mut(SUPER_BLOCK / 2);
    let (high_bits, rest) = rest.split_at_mut(SUPER_BLOCK / 4);
    for (half, levels) in levels.as_chunks::<128>().0.iter().enumerate() {
        for (i, out) in low_bits[64 * half..][..64].iter_mut().enumerate() {
            *out = (levels[i] & 15) | (levels[i + 64] & 15) << 4;
        }
        for (i, out) in high_bits[32 * half..][..32].iter_mut().enumerate() {
            *out = (0..4).fold(0, |byte, part| byte | (levels[i + 32 * part] >> 4) << (2 * part));
        }
    }
    let (packed_scales, factor) = rest.split_at_mut(SUB_BLOCKS);
    for (out, scale) in packed_scales.iter_mut().zip(scales) {
        *out = scale.to_le_bytes()[0];
    }
    factor.copy_from_slice(&f16::from_f32(d).to_le_bytes());
}
