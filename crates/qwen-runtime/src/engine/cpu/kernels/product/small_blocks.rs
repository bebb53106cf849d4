//! Products of blocks of 32 columns with one real scale.

use super::ask;
use crate::engine::cpu::kernels::activations::Q8Smalls;
use crate::engine::cpu::kernels::formats::{SMALL, SUPER, SmallBlocks};
use crate::engine::cpu::kernels::simd::{ROWS, Simd};

/// Blocks that meet all tokens before the next ones do, and stay in the first-level cache: as many as activations come
/// in.
const RUN: usize = SUPER / SMALL;

/// Bytes from a token's values to the next one's.
const STRIDE: usize = size_of::<Q8Smalls>();

/// Adds blocks `from..to` of each of `V` groups to the results of `N` of `tokens` tokens, and asks for what is `ahead`,
/// if that is wanted. `a` is where the first token's row of activations begins.
#[inline(always)]
unsafe fn small_tile<S: Simd, Q: SmallBlocks, const V: usize, const N: usize>(
    groups: [*const u8; V],
    ahead: Option<usize>,
    (from, to): (usize, usize),
    (a, tokens): (*const Q8Smalls, usize),
    out: [*mut f32; V],
) {
    // SAFETY: as for `super_tile`.
    unsafe {
        for lane in (0..ROWS).step_by(S::LANES) {
            let mut totals = [[S::splat(0.0); V]; N];
            for n in 0..N {
                for v in 0..V {
                    totals[n][v] = S::load(out[v].add(n * ROWS + lane));
                }
            }
            let mut next = from;
            while next < to {
                let (first, a) = (next, a.add(next / RUN * tokens));
                next = to.min((next / RUN + 1) * RUN);
                for index in first..next {
                    let part = index % RUN;
                    let mut w = [[S::splat_i(0); 8]; V];
                    let mut d = [S::splat(0.0); V];
                    for v in 0..V {
                        let block = Q::block(groups[v], index);
                        if let Some(ahead) = ahead {
                            if lane == 0 {
                                S::prefetch(block.d.wrapping_add(ahead));
                            }
                            ask::<S>(block.at.wrapping_add(ahead), Q::BLOCK, lane / S::LANES, ROWS / S::LANES);
                        }
                        w[v] = Q::weights::<S>(block.at, lane);
                        d[v] = S::load_f16(block.d.cast::<u16>().add(lane));
                    }
                    let mut add = |n: usize, dots: [S::I; V]| {
                        let scale = S::splat((*a.add(n)).scales[part]);
                        for v in 0..V {
                            totals[n][v] = S::fma(S::mul(S::to_f(dots[v]), scale), d[v], totals[n][v]);
                        }
                    };
                    let values = |n: usize| (&raw const (*a.add(n)).values).cast::<i8>().add(part * SMALL);
                    let sum = |n: usize| (*a.add(n)).negative_sums[part];
                    if S::HOLDS_WEIGHTS {
                        for n in 0..N {
                            let [dots] = Q::dot::<S, V, 1>(&w, values(n), STRIDE, [sum(n)]);
                            add(n, dots);
                        }
                    } else {
                        let dots = Q::dot::<S, V, N>(&w, values(0), STRIDE, std::array::from_fn(sum));
                        for n in 0..N {
                            add(n, dots[n]);
                        }
                    }
                }
            }
            for n in 0..N {
                for v in 0..V {
                    S::store(out[v].add(n * ROWS + lane), totals[n][v]);
                }
            }
        }
    }
}

/// Runs of blocks for a few tokens. Where a vector is less than a line, a second way through all blocks would find them
/// in the cache, and memory would have nothing to do meanwhile.
#[inline(always)]
fn few_tokens_runs<S: Simd>(blocks: usize) -> impl Iterator<Item = (usize, usize)> {
    let at_once = if S::LANES < ROWS { 1 } else { blocks };
    (0..blocks).step_by(at_once).map(move |from| (from, blocks.min(from + at_once)))
}

kernel! {
    /// Adds a group of small blocks times the activations of `tokens` tokens, `[block][token]`, to `out`,
    /// `[token][16 rows]`.
    unsafe fn small_product<S, Q: SmallBlocks>(
        group: *const u8,
        columns: usize,
        a: *const Q8Smalls,
        tokens: usize,
        ahead: usize,
        out: *mut f32,
    ) {
        let blocks = columns / SMALL;
        // SAFETY: as for `super_product`.
        unsafe {
            if tokens <= S::COLUMNS {
                with_columns!(tokens, N => {
                    for run in few_tokens_runs::<S>(blocks) {
                        small_tile::<S, Q, 1, N>([group], Some(ahead), run, (a, tokens), [out]);
                    }
                });
                return;
            }
            for from in (0..blocks).step_by(RUN) {
                let run = (from, blocks.min(from + RUN));
                let mut token = 0;
                while token < tokens {
                    let tile = (tokens - token).min(S::COLUMNS);
                    let (a, out) = (a.add(token), out.add(token * ROWS));
                    with_columns!(tile, N => {
                        // The first tile asks for the next run.
                        if token == 0 {
                            small_tile::<S, Q, 1, N>([group], Some(ahead), run, (a, tokens), [out]);
                        } else {
                            small_tile::<S, Q, 1, N>([group], None, run, (a, tokens), [out]);
                        }
                    });
                    token += tile;
                }
            }
        }
    }
}

kernel! {
    /// The same for two groups: for many tokens, so that each activation is loaded once for both; for one, so that
    /// memory answers for two places at once.
    unsafe fn small_pair_product<S, Q: SmallBlocks>(
        groups: [*const u8; 2],
        columns: usize,
        a: *const Q8Smalls,
        tokens: usize,
        ahead: usize,
        out: [*mut f32; 2],
    ) {
        let blocks = columns / SMALL;
        // SAFETY: as for `super_product`, of either group.
        unsafe {
            if tokens == 1 {
                for run in few_tokens_runs::<S>(blocks) {
                    small_tile::<S, Q, 2, 1>(groups, Some(ahead), run, (a, tokens), out);
                }
                return;
            }
            for from in (0..blocks).step_by(RUN) {
                let run = (from, blocks.min(from + RUN));
                let mut token = 0;
                while token < tokens {
                    let tile = (tokens - token).min(S::PAIR_COLUMNS);
                    let (a, out) = (a.add(token), [out[0].add(token * ROWS), out[1].add(token * ROWS)]);
                    with_columns!(tile, N => small_tile::<S, Q, 2, N>(groups, None, run, (a, tokens), out));
                    token += tile;
                }
            }
        }
    }
}
