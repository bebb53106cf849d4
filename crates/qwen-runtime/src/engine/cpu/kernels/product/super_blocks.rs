//! Products of K-quants: blocks of 256 columns with whole scales for each 16 or 32.

use super::ask;
use crate::engine::cpu::kernels::activations::Q8Super;
use crate::engine::cpu::kernels::formats::{Block, SMALL, SUPER, SuperBlocks};
use crate::engine::cpu::kernels::simd::{ROWS, Simd};

/// For so few tiles a block is unpacked again for each: that waits for memory less than a panel does.
pub(super) const FEW_TILES: usize = 8;

/// Bytes from a token's values to the next one's.
const STRIDE: usize = size_of::<Q8Super>();

/// Asks for a part of a block while the 32 columns number `part` of the rows from `lane` on are read from another.
#[inline(always)]
unsafe fn ask_for_part<S: Simd, Q: SuperBlocks>(block: *const u8, part: usize, lane: usize) {
    // SAFETY: any address may be asked for.
    unsafe { ask::<S>(block, Q::BLOCK, lane / S::LANES * 8 + part, ROWS / S::LANES * 8) }
}

/// Where a tile's weights come from: the group itself, or a panel unpacked from it.
trait SuperBlockSource<Q> {
    unsafe fn weights<S: Simd>(&self, part: usize, lane: usize) -> [S::I; 8];
    unsafe fn scale<S: Simd>(&self, index: usize, lane: usize) -> S::F;
    unsafe fn minima<S: Simd>(&self, pair: usize, lane: usize) -> S::I;
    unsafe fn d<S: Simd>(&self, lane: usize) -> S::F;
    unsafe fn d_min<S: Simd>(&self, lane: usize) -> S::F;
}

impl<Q: SuperBlocks> SuperBlockSource<Q> for Block {
    #[inline(always)]
    unsafe fn weights<S: Simd>(&self, part: usize, lane: usize) -> [S::I; 8] {
        // SAFETY: the caller's, as for the four below.
        unsafe { Q::weights::<S>(*self, part, lane) }
    }
    #[inline(always)]
    unsafe fn scale<S: Simd>(&self, index: usize, lane: usize) -> S::F {
        unsafe { Q::scale::<S>(*self, index, lane) }
    }
    #[inline(always)]
    unsafe fn minima<S: Simd>(&self, pair: usize, lane: usize) -> S::I {
        unsafe { Q::minima::<S>(*self, pair, lane) }
    }
    #[inline(always)]
    unsafe fn d<S: Simd>(&self, lane: usize) -> S::F {
        unsafe { Q::d::<S>(*self, lane) }
    }
    #[inline(always)]
    unsafe fn d_min<S: Simd>(&self, lane: usize) -> S::F {
        unsafe { Q::d_min::<S>(*self, lane) }
    }
}

/// A super-block of a group, unpacked once for many tokens. Stays in the first-level cache.
#[repr(align(64))]
struct Panel {
    weights: [u8; ROWS * SUPER],
    scales: [f32; 16 * ROWS],
    minima: [u32; 4 * ROWS],
    d: [f32; ROWS],
    d_min: [f32; ROWS],
}

impl Panel {
    const EMPTY: Self = Self {
        weights: [0; ROWS * SUPER],
        scales: [0.0; 16 * ROWS],
        minima: [0; 4 * ROWS],
        d: [0.0; ROWS],
        d_min: [0.0; ROWS],
    };

    #[inline(always)]
    unsafe fn fill<S: Simd, Q: SuperBlocks>(&mut self, block: Block) {
        // SAFETY: every index stays inside the panel's arrays, and the block is the caller's.
        unsafe {
            for lane in (0..ROWS).step_by(S::LANES) {
                for part in 0..8 {
                    let vectors = Q::weights::<S>(block, part, lane);
                    for (g, vector) in vectors.into_iter().enumerate() {
                        S::store_i(self.weights.as_mut_ptr().add(64 * (8 * part + g) + 4 * lane), vector);
                    }
                }
                for index in 0..SUPER / Q::SHARE {
                    S::store(self.scales.as_mut_ptr().add(ROWS * index + lane), Q::scale::<S>(block, index, lane));
                }
                if Q::MINIMA {
                    for pair in 0..4 {
                        let to = self.minima.as_mut_ptr().add(ROWS * pair + lane);
                        S::store_i(to.cast(), Q::minima::<S>(block, pair, lane));
                    }
                }
                S::store(self.d.as_mut_ptr().add(lane), Q::d::<S>(block, lane));
                S::store(self.d_min.as_mut_ptr().add(lane), Q::d_min::<S>(block, lane));
            }
        }
    }
}

impl<Q: SuperBlocks> SuperBlockSource<Q> for Panel {
    #[inline(always)]
    unsafe fn weights<S: Simd>(&self, part: usize, lane: usize) -> [S::I; 8] {
        // SAFETY: every index stays inside the panel's arrays, as for the four below.
        unsafe {
            let mut out = [S::splat_i(0); 8];
            for (g, vector) in out.iter_mut().enumerate() {
                *vector = S::load_i(self.weights.as_ptr().add(64 * (8 * part + g) + 4 * lane));
            }
            out
        }
    }
    #[inline(always)]
    unsafe fn scale<S: Simd>(&self, index: usize, lane: usize) -> S::F {
        unsafe { S::load(self.scales.as_ptr().add(ROWS * index + lane)) }
    }
    #[inline(always)]
    unsafe fn minima<S: Simd>(&self, pair: usize, lane: usize) -> S::I {
        unsafe { S::load_i(self.minima.as_ptr().add(ROWS * pair + lane).cast()) }
    }
    #[inline(always)]
    unsafe fn d<S: Simd>(&self, lane: usize) -> S::F {
        unsafe { S::load(self.d.as_ptr().add(lane)) }
    }
    #[inline(always)]
    unsafe fn d_min<S: Simd>(&self, lane: usize) -> S::F {
        unsafe { S::load(self.d_min.as_ptr().add(lane)) }
    }
}

/// A source that asks, while its weights are read, for a block that is read later, little by little: all at once it
/// would wait.
struct Asking<'a, P> {
    source: &'a P,
    later: *const u8,
}

impl<Q: SuperBlocks, P: SuperBlockSource<Q>> SuperBlockSource<Q> for Asking<'_, P> {
    #[inline(always)]
    unsafe fn weights<S: Simd>(&self, part: usize, lane: usize) -> [S::I; 8] {
        // SAFETY: as for the source itself, here and below.
        unsafe {
            ask_for_part::<S, Q>(self.later, part, lane);
            self.source.weights::<S>(part, lane)
        }
    }
    #[inline(always)]
    unsafe fn scale<S: Simd>(&self, index: usize, lane: usize) -> S::F {
        unsafe { self.source.scale::<S>(index, lane) }
    }
    #[inline(always)]
    unsafe fn minima<S: Simd>(&self, pair: usize, lane: usize) -> S::I {
        unsafe { self.source.minima::<S>(pair, lane) }
    }
    #[inline(always)]
    unsafe fn d<S: Simd>(&self, lane: usize) -> S::F {
        unsafe { self.source.d::<S>(lane) }
    }
    #[inline(always)]
    unsafe fn d_min<S: Simd>(&self, lane: usize) -> S::F {
        unsafe { self.source.d_min::<S>(lane) }
    }
}

/// Adds the share of one super-block of each of `V` groups to the results of `N` tokens, `out` being
/// `[token][16 rows]`. `a` is where the activations of the first of them lie.
///
/// Whole numbers times whole scales are summed first, then the real factors are applied, once.
#[inline(always)]
unsafe fn super_tile<S: Simd, Q: SuperBlocks, P: SuperBlockSource<Q>, const V: usize, const N: usize>(
    sources: [&P; V],
    a: *const Q8Super,
    out: [*mut f32; V],
) {
    // SAFETY: the caller's activations and results reach to the last token, column and row.
    unsafe {
        let values = (&raw const (*a).values).cast::<i8>();
        for lane in (0..ROWS).step_by(S::LANES) {
            let mut sums = [[S::splat(0.0); V]; N];
            for part in 0..8 {
                let mut w = [[S::splat_i(0); 8]; V];
                for v in 0..V {
                    w[v] = sources[v].weights::<S>(part, lane);
                }
                if Q::SHARE == SMALL {
                    let mut scales = [S::splat(0.0); V];
                    for v in 0..V {
                        scales[v] = sources[v].scale::<S>(part, lane);
                    }
                    let dots = S::dots([[S::splat_i(0); V]; N], &w, (values.add(part * SMALL), STRIDE), Q::MAX);
                    for n in 0..N {
                        for v in 0..V {
                            sums[n][v] = S::fma(S::to_f(dots[n][v]), scales[v], sums[n][v]);
                        }
                    }
                } else {
                    for half in 0..2 {
                        let mut halves = [[S::splat_i(0); 4]; V];
                        let mut scales = [S::splat(0.0); V];
                        for v in 0..V {
                            halves[v].copy_from_slice(&w[v][4 * half..4 * half + 4]);
                            scales[v] = sources[v].scale::<S>(2 * part + half, lane);
                        }
                        for n in 0..N {
                            let offset = S::splat_i((*a.add(n)).offsets[2 * part + half]);
                            let values = values.add(n * STRIDE + part * SMALL + 16 * half);
                            let dots = S::dot([offset; V], &halves, values, Q::MAX);
                            for v in 0..V {
                                sums[n][v] = S::fma(S::to_f(dots[v]), scales[v], sums[n][v]);
                            }
                        }
                    }
                }
            }
            for v in 0..V {
                let d = sources[v].d::<S>(lane);
                let mut minima = [S::splat_i(0); N];
                if Q::MINIMA {
                    for pair in 0..4 {
                        let w = sources[v].minima::<S>(pair, lane);
                        for n in 0..N {
                            minima[n] = S::dot_pairs(minima[n], w, (*a.add(n)).pairs[pair]);
                        }
                    }
                }
                let d_min = sources[v].d_min::<S>(lane);
                for n in 0..N {
                    let mut total = S::mul(d, sums[n][v]);
                    if Q::MINIMA {
                        total = S::fma(d_min, S::to_f(minima[n]), total);
                    }
                    let scale = S::splat((*a.add(n)).scale);
                    let to = out[v].add(n * ROWS + lane);
                    S::store(to, S::fma(total, scale, S::load(to)));
                }
            }
        }
    }
}

kernel! {
    /// Adds a group of super-blocks times the activations of `tokens` tokens, `[block][token]`, to `out`,
    /// `[token][16 rows]`.
    unsafe fn super_product<S, Q: SuperBlocks>(
        group: *const u8,
        columns: usize,
        a: *const Q8Super,
        tokens: usize,
        ahead: usize,
        out: *mut f32,
    ) {
        let blocks = columns / SUPER;
        // SAFETY: the caller's group has that many columns, and its activations and results that many
        // tokens; tiles never reach beyond `tokens`.
        unsafe {
            if tokens <= FEW_TILES * S::COLUMNS {
                for index in 0..blocks {
                    let block = &Q::block(group, index, blocks);
                    let first_use = &Asking { source: block, later: block.at.wrapping_add(ahead) };
                    let mut token = 0;
                    while token < tokens {
                        let (a, out) = (a.add(index * tokens + token), out.add(token * ROWS));
                        let tile = (tokens - token).min(S::COLUMNS);
                        with_columns!(tile, N => {
                            if token == 0 {
                                super_tile::<S, Q, Asking<'_, Block>, 1, N>([first_use], a, [out]);
                            } else {
                                super_tile::<S, Q, Block, 1, N>([block], a, [out]);
                            }
                        });
                        token += tile;
                    }
                }
                return;
            }
            let mut panel = Panel::EMPTY;
            for index in 0..blocks {
                panel.fill::<S, Q>(Q::block(group, index, blocks));
                let mut token = 0;
                while token < tokens {
                    let (a, out) = (a.add(index * tokens + token), out.add(token * ROWS));
                    let tile = (tokens - token).min(S::COLUMNS);
                    with_columns!(tile, N => super_tile::<S, Q, Panel, 1, N>([&panel], a, [out]));
                    token += tile;
                }
            }
        }
    }
}

kernel! {
    /// The same for two groups, `out` and all: for many tokens, so that each activation is loaded once for both; for
    /// one, so that memory answers for two places at once. Each group is followed by the one that comes next there,
    /// `len` bytes on.
    unsafe fn super_pair_product<S, Q: SuperBlocks>(
        groups: [*const u8; 2],
        len: usize,
        columns: usize,
        a: *const Q8Super,
        tokens: usize,
        ahead: usize,
        out: [*mut f32; 2],
    ) {
        let blocks = columns / SUPER;
        // SAFETY: as for `super_product`, of either group.
        unsafe {
            if tokens == 1 {
                for index in 0..blocks {
                    let [first, second] = &groups.map(|group| Q::block(group, index, blocks));
                    let asking = [first, second]
                        .map(|block| Asking { source: block, later: block.at.wrapping_add(ahead) });
                    super_tile::<S, Q, Asking<'_, Block>, 2, 1>(asking.each_ref(), a.add(index), out);
                }
                return;
            }
            let mut panels = [Panel::EMPTY; 2];
            for index in 0..blocks {
                let blocks_here = groups.map(|group| Q::block(group, index, blocks));
                for (panel, block) in panels.iter_mut().zip(blocks_here) {
                    panel.fill::<S, Q>(block);
                }
                let [first, second] = &panels;
                let first_use = [
                    Asking { source: first, later: blocks_here[0].at.wrapping_add(len) },
                    Asking { source: second, later: blocks_here[1].at.wrapping_add(len) },
                ];
                let mut token = 0;
                while token < tokens {
                    let a = a.add(index * tokens + token);
                    let out = [out[0].add(token * ROWS), out[1].add(token * ROWS)];
                    let tile = (tokens - token).min(S::PAIR_COLUMNS);
                    if token == 0 {
                        let sources = first_use.each_ref();
                        with_columns!(tile, N => super_tile::<S, Q, Asking<'_, Panel>, 2, N>(sources, a, out));
                    } else {
                        with_columns!(tile, N => super_tile::<S, Q, Panel, 2, N>([first, second], a, out));
                    }
                    token += tile;
                }
            }
        }
    }
}
