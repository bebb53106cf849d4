//! Products of dense weights, and of whatever else is laid out as they are.

use crate::engine::cpu::kernels::formats::{Dense, SUPER};
use crate::engine::cpu::kernels::simd::{ROWS, Simd};

/// Where the weights of a tile are, `[k][w_stride]`, and which are asked for meanwhile.
#[derive(Clone, Copy)]
pub(in super::super) struct DenseWeights<T> {
    pub(in super::super) at: *const T,
    pub(in super::super) stride: usize,
    pub(in super::super) len: usize,
    /// What is read next, laid out in the same way; any address, since nothing else is done with it.
    pub(in super::super) ahead: *const T,
}

/// `start + Σ w[k] · x[token][k]` for `N` tokens and one vector of rows, the even and the odd `k`
/// summed apart, so that no addition waits for the one before. `LINES` cache lines are asked for
/// ahead with each two `k`.
#[inline(always)]
pub(in super::super) unsafe fn dense_tile<S: Simd, W: Dense, const LINES: usize, const N: usize>(
    start: [S::F; N],
    w: DenseWeights<W::Stored>,
    x: *const f32,
    x_stride: usize,
) -> [S::F; N] {
    let mut even = start;
    // SAFETY: the caller's weights and activations reach to `len`.
    unsafe {
        let mut odd = [S::splat(0.0); N];
        let mut k = 0;
        while k + 2 <= w.len {
            for line in 0..LINES {
                S::prefetch(w.ahead.wrapping_add(k * w.stride).cast::<u8>().wrapping_add(64 * line));
            }
            let at = w.at.add(k * w.stride);
            let (first, second) = (W::load::<S>(at), W::load::<S>(at.add(w.stride)));
            for n in 0..N {
                even[n] = S::fma(first, S::splat(x.add(n * x_stride + k).read()), even[n]);
                odd[n] = S::fma(second, S::splat(x.add(n * x_stride + k + 1).read()), odd[n]);
            }
            k += 2;
        }
        if k < w.len {
            let last = W::load::<S>(w.at.add(k * w.stride));
            for n in 0..N {
                even[n] = S::fma(last, S::splat(x.add(n * x_stride + k).read()), even[n]);
            }
        }
        for n in 0..N {
            even[n] = S::add(even[n], odd[n]);
        }
    }
    even
}

/// How far ahead memory is asked for weights, in values.
const AHEAD: usize = 2048;

kernel! {
    /// Adds a dense group `[column][16 rows]` times `tokens` rows of activations, `x_stride` apart, to `out`,
    /// `[token][16 rows]`. Sums of 256 columns are made apart, as quantized ones are.
    unsafe fn dense_product<S, W: Dense>(
        group: *const W::Stored,
        columns: usize,
        x: *const f32,
        x_stride: usize,
        tokens: usize,
        out: *mut f32,
    ) {
        // SAFETY: as for `super_product`.
        unsafe {
            for column in (0..columns).step_by(SUPER) {
                let len = SUPER.min(columns - column);
                let mut token = 0;
                while token < tokens {
                    let tile = (tokens - token).min(S::COLUMNS);
                    for lane in (0..ROWS).step_by(S::LANES) {
                        let (at, x) = (group.add(column * ROWS + lane), x.add(token * x_stride + column));
                        let w = DenseWeights { at, stride: ROWS, len, ahead: at.wrapping_add(AHEAD) };
                        with_columns!(tile, N => {
                            // The first tile of the first lanes asks for all.
                            let sums = if token + lane == 0 {
                                dense_tile::<S, W, 2, N>([S::splat(0.0); N], w, x, x_stride)
                            } else {
                                dense_tile::<S, W, 0, N>([S::splat(0.0); N], w, x, x_stride)
                            };
                            for (n, sum) in sums.into_iter().enumerate() {
                                let to = out.add((token + n) * ROWS + lane);
                                S::store(to, S::add(S::load(to), sum));
                            }
                        });
                    }
                    token += tile;
                }
            }
        }
    }
}
