//! Products of blocks of 32 columns with one real scale.

use super::QuantizedPlaces;
use crate::engine::cpu::kernels::formats::{SMALL, SmallBlocks, plane};
use crate::engine::cpu::kernels::simd::{ROWS, Simd};

/// Adds a run of small blocks to `N` tokens' results.
#[inline(always)]
unsafe fn small_tile<S: Simd, Q: SmallBlocks, const N: usize>(
    group: *const u8,
    blocks: usize,
    a: QuantizedPlaces,
    out: *mut f32,
) {
    // SAFETY: as for `super_tile`.
    unsafe {
        let weights = group.add(plane(blocks));
        for lane in (0..ROWS).step_by(S::LANES) {
            let mut totals = [S::splat(0.0); N];
            for index in 0..blocks {
                let at = weights.add(index * Q::BLOCK);
                for line in 0..Q::BLOCK / 64 {
                    S::prefetch(at.wrapping_add(1024 + 64 * line));
                }
                let w = Q::weights::<S>(at, lane);
                let d = S::load_f16(group.cast::<u16>().add(ROWS * index + lane));
                for n in 0..N {
                    let sum = a.sums.add(n * a.sum_stride + index).read();
                    let dot = Q::dot::<S>(&w, a.values.add(n * a.stride + index * SMALL), sum);
                    let scale = S::splat(a.scales.add(n * a.scale_stride + index).read());
                    totals[n] = S::fma(S::mul(S::to_f(dot), scale), d, totals[n]);
                }
            }
            for n in 0..N {
                S::store(out.add(n * ROWS + lane), totals[n]);
            }
        }
    }
}

kernel! {
    /// A group of small blocks times `tokens` columns of activations; `out` is `[token][16 rows]`.
    unsafe fn small_product<S, Q: SmallBlocks>(
        group: *const u8,
        columns: usize,
        a: QuantizedPlaces,
        tokens: usize,
        out: *mut f32,
    ) {
        let blocks = columns / SMALL;
        let mut token = 0;
        // SAFETY: as for `super_product`.
        unsafe {
            while token < tokens {
                let tile = (tokens - token).min(S::COLUMNS);
                let (a, out) = (a.token(token), out.add(token * ROWS));
                with_columns!(tile, N => small_tile::<S, Q, N>(group, blocks, a, out));
                token += tile;
            }
        }
    }
}
