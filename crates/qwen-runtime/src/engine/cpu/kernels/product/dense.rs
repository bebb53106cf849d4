//! Products of dense weights, and of whatever else is laid out as they are.

use crate::engine::cpu::kernels::formats::{Dense, SUPER};
use crate::engine::cpu::kernels::simd::{ROWS, Simd};

/// `start + Σ w[k] · x[token][k]` for `N` tokens and one vector of rows, the even and the odd `k`
/// summed apart, so that no addition waits for the one before.
#[inline(always)]
pub(in super::super) unsafe fn dense_tile<S: Simd, W: Dense, const N: usize>(
    start: [S::F; N],
    w: *const W::Stored,
    w_stride: usize,
    len: usize,
    x: *const f32,
    x_stride: usize,
) -> [S::F; N] {
    let mut even = start;
    // SAFETY: the caller's weights and activations reach to `len`.
    unsafe {
        let mut odd = [S::splat(0.0); N];
        let mut k = 0;
        while k + 2 <= len {
            let (first, second) = (W::load::<S>(w.add(k * w_stride)), W::load::<S>(w.add((k + 1) * w_stride)));
            for n in 0..N {
                even[n] = S::fma(first, S::splat(x.add(n * x_stride + k).read()), even[n]);
                odd[n] = S::fma(second, S::splat(x.add(n * x_stride + k + 1).read()), odd[n]);
            }
            k += 2;
        }
        if k < len {
            let last = W::load::<S>(w.add(k * w_stride));
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

kernel! {
    /// Adds a dense group `[column][16 rows]` times `tokens` columns of activations `[token][stride]`
    /// to `out`, `[token][16 rows]`. Sums of 256 columns are made apart, as quantized ones are.
    unsafe fn dense_product<S, W: Dense>(
        group: *const W::Stored,
        columns: usize,
        x: *const f32,
        stride: usize,
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
                        let (w, x) = (group.add(column * ROWS + lane), x.add(token * stride + column));
                        with_columns!(tile, N => {
                            let sums = dense_tile::<S, W, N>([S::splat(0.0); N], w, ROWS, len, x, stride);
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
