//! Owns what the block formats share: the sizes, the weights of values in an error, and sums that compilers can
//! spread over vector lanes. Must not know any format.

/// Values of a super-block of the K formats.
pub(super) const SUPER_BLOCK: usize = 256;

/// Partial sums that are kept beside each other; eight fill two or four vector registers.
const LANES: usize = 8;

/// The least weight, as a share of the mean: a value that no activation has touched is still approximated.
const LEAST_WEIGHT: f32 = 1e-5;

/// What is added and taken away again to round to the nearest integer: 1.5 × 2²³, above which a float has no
/// fraction. Unlike `round`, it becomes two vector instructions on every processor.
const ROUNDING: f32 = 12_582_912.0;

/// How much the error of each value counts, with a mean of one.
pub(super) fn weights(importance: Option<&[f32]>) -> [f32; SUPER_BLOCK] {
    let mut weights = [1.0; SUPER_BLOCK];
    let Some(importance) = importance else { return weights };
    let mean = importance.iter().map(|&value| f64::from(value)).sum::<f64>() / importance.len() as f64;
    if mean > 0.0 {
        for (weight, &value) in weights.iter_mut().zip(importance) {
            *weight = ((f64::from(value) / mean) as f32).max(LEAST_WEIGHT);
        }
    }
    weights
}

/// A sub-block of `N` values, and how much the error of each counts.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, const N: usize> {
    pub(super) x: &'a [f32; N],
    pub(super) w: &'a [f32; N],
}

/// The sub-blocks of a super-block, whose `SUPER_BLOCK / N` is `COUNT`.
pub(super) fn parts<'a, const N: usize, const COUNT: usize>(
    x: &'a [f32; SUPER_BLOCK],
    w: &'a [f32; SUPER_BLOCK],
) -> [Part<'a, N>; COUNT] {
    let (xs, ws) = (x.as_chunks::<N>().0, w.as_chunks::<N>().0);
    std::array::from_fn(|j| Part { x: &xs[j], w: &ws[j] })
}

/// The integer nearest to `value`, as a float, within `low..=high`.
#[inline(always)]
pub(super) fn nearest(value: f32, low: f32, high: f32) -> f32 {
    // Limits first: beyond 2²² the rounding would not hold.
    (value.max(low).min(high) + ROUNDING) - ROUNDING
}

/// Sums `K` terms of every index below `N`.
#[inline(always)]
pub(super) fn sums<const N: usize, const K: usize>(terms: impl Fn(usize) -> [f32; K]) -> [f64; K] {
    let mut lanes = [[0.0_f32; LANES]; K];
    for start in (0..N).step_by(LANES) {
        for lane in 0..LANES {
            let term = terms(start + lane);
            for (sum, value) in lanes.iter_mut().zip(term) {
                sum[lane] += value;
            }
        }
    }
    lanes.map(|sum| sum.iter().map(|&value| f64::from(value)).sum())
}
