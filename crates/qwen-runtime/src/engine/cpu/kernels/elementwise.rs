//! What is done to single values and rows: norms, rotations, gates. Plain Rust, which the compiler
//! turns into vectors of each instruction set; sums have 16 parts, whatever the set, so that all
//! sets agree to the last bit.
//!
//! Activations between products are tiles `[width / 16][token][16]`, as products leave them.

use super::set::Detected;
use super::simd::ROWS;

/// The kernels of one instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elementwise(pub(crate) Detected);

/// `[width / 16][token][16]`, the groups [`tile_stride`] apart.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
}

impl Tiles<'_> {
    /// Those from a column on, the first one of a group.
    pub(crate) fn from(self, column: usize) -> Self {
        Self { values: &self.values[column / ROWS * self.stride..], ..self }
    }
}

/// Floats from one group's tile to the next: a cache line more than `tokens` take, so that a
/// token's parts do not all fall into the same few places of the cache.
pub(crate) const fn tile_stride(tokens: usize) -> usize {
    if tokens < ROWS { tokens * ROWS } else { (tokens + 1) * ROWS }
}

/// Weight and epsilon of an RMS norm.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) eps: f32,
}

impl Elementwise {
    /// The row of one token.
    pub(crate) fn gather(self, tiles: Tiles<'_>, token: usize, out: &mut [f32]) {
        // SAFETY: the set was detected; slices check themselves.
        unsafe { gather(self.0, tiles, token, out) }
    }

    /// The row of one token, divided by its root mean square and times `weight`.
    pub(crate) fn normalize(self, tiles: Tiles<'_>, token: usize, norm: Norm<'_>, out: &mut [f32]) {
        self.gather(tiles, token, out);
        // SAFETY: the set was detected; slices check themselves.
        unsafe { normalize(self.0, norm.weight, norm.eps, out) }
    }

    /// Norm and rotation of one head, times `scale`.
    pub(crate) fn rotate(self, head: &mut [f32], norm: Norm<'_>, turn: (&[f32], &[f32]), scale: f32) {
        // SAFETY: the set was detected; slices check themselves.
        unsafe {
            normalize(self.0, norm.weight, norm.eps, head);
            rotate(self.0, head, turn.0, turn.1, scale);
        }
    }

    /// `gate · sigmoid(gate) · up`, into `gate`.
    pub(crate) fn gate(self, gate: &mut [f32], up: &[f32]) {
        // SAFETY: the set was detected; slices check themselves.
        unsafe { silu(self.0, gate, up) }
    }
}

kernel! {
    unsafe fn gather<S>(tiles: Tiles<'_>, token: usize, out: &mut [f32]) {
        let mut groups = tiles.values.chunks_exact(tiles.stride);
        // Of a known length, a copy is one or two moves and no call.
        let (whole, rest) = out.as_chunks_mut::<ROWS>();
        for (to, group) in whole.iter_mut().zip(&mut groups) {
            if let Some(from) = group[token * ROWS..].first_chunk() {
                *to = *from;
                // The parts of a token lie far apart, so no cache guesses which come next.
                // SAFETY: any address may be asked for.
                unsafe { S::prefetch(from.as_ptr().wrapping_add(4 * ROWS).cast()) };
            }
        }
        if let Some(group) = groups.next() {
            rest.copy_from_slice(&group[token * ROWS..][..rest.len()]);
        }
    }
}

kernel! {
    unsafe fn normalize<S>(weight: &[f32], eps: f32, x: &mut [f32]) {
        let mut parts = [0.0_f32; ROWS];
        let whole = x.chunks_exact(ROWS);
        let rest = whole.remainder();
        for values in whole {
            for (part, value) in parts.iter_mut().zip(values) {
                *part = value.mul_add(*value, *part);
            }
        }
        for (part, value) in parts.iter_mut().zip(rest) {
            *part = value.mul_add(*value, *part);
        }
        let scale = 1.0 / (sum(&parts) / x.len() as f32 + eps).sqrt();
        for (value, weight) in x.iter_mut().zip(weight) {
            *value = *value * scale * weight;
        }
    }
}

kernel! {
    unsafe fn rotate<S>(head: &mut [f32], cos: &[f32], sin: &[f32], scale: f32) {
        let (first, second) = head.split_at_mut(cos.len());
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            let (x, y) = (*a, *b);
            *a = (x * cos - y * sin) * scale;
            *b = (y * cos + x * sin) * scale;
        }
    }
}

kernel! {
    unsafe fn silu<S>(gate: &mut [f32], up: &[f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp(-*gate)) * up;
        }
    }
}

/// The sum of 16 parts, in a fixed order.
#[inline(always)]
pub(super) fn sum(parts: &[f32; ROWS]) -> f32 {
    let mut folded = *parts;
    for half in [8, 4, 2, 1] {
        for index in 0..half {
            folded[index] += folded[index + half];
        }
    }
    folded[0]
}

/// e^x to 2 units in the last place; beyond ±87 as at ±87.
///
/// 2^n · e^r with x = n·ln 2 + r, and a polynomial for e^r (Cephes' `expf`).
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "Cephes' constants, as published")]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_375, x);
    let r = n.mul_add(2.121_944_40e-4, r);
    let mut p = 1.987_569_150_0e-4_f32;
    for coefficient in
        [1.398_199_950_7e-3, 8.333_451_907_3e-3, 4.166_579_589_4e-2, 1.666_666_545_9e-1, 5.000_000_120_1e-1]
    {
        p = p.mul_add(r, coefficient);
    }
    let e = p.mul_add(r * r, r) + 1.0;
    e * f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_two_units() {
        for step in -8700..=8700 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).exp();
            let off = ((f64::from(exp(x)) - exact) / exact).abs();
            assert!(off < 2.5e-7, "e^{x} is off by {off}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert_eq!(exp(0.0), 1.0);
    }
}
