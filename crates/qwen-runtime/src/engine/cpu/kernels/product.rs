//! Matrix products: one group of 16 rows times the activations of all tokens of a step.
//!
//! Each of the three kinds (super-blocks, small blocks, dense) fixes the order of its sums, the
//! same for one token and for hundreds: a token's result does not depend on its company.

use super::activations::{Activations, Need, Precision};
use super::formats::{
    BF16, Block, Dense, F16, F32, Q4K, Q5K, Q6K, Q40, Q80, SMALL, SUPER, SmallBlocks, SuperBlocks, plane,
};
use super::scalar::Scalar;
use super::set::Detected;
use super::simd::{ROWS, Simd};
use crate::checkpoint::StoredType;

/// Quantized activations: where those of token `t` are.
#[derive(Clone, Copy)]
pub(super) struct QuantizedPlaces {
    /// `[token][stride]`
    pub(super) values: *const i8,
    pub(super) stride: usize,
    /// `[token][scale_stride]`: one for each super-block or each small block.
    pub(super) scales: *const f32,
    pub(super) scale_stride: usize,
    /// `[token][sum_stride]`: of each 16 columns (super-blocks) or 32 (small blocks), negated.
    pub(super) sums: *const i32,
    pub(super) sum_stride: usize,
    /// `[token][pair_stride]`: sums of twice 32 columns as two `i16`; for super-blocks.
    pub(super) pairs: *const i32,
    pub(super) pair_stride: usize,
}

impl QuantizedPlaces {
    #[inline(always)]
    unsafe fn token(self, token: usize) -> Self {
        // SAFETY: the caller's token is one of those that the pointers are good for.
        unsafe {
            Self {
                values: self.values.add(token * self.stride),
                scales: self.scales.add(token * self.scale_stride),
                sums: self.sums.add(token * self.sum_stride),
                pairs: self.pairs.add(token * self.pair_stride),
                ..self
            }
        }
    }
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
        unsafe {
            // Far enough ahead that memory answers in time.
            for line in 0..Q::BLOCK / 8 / 64 {
                S::prefetch(self.at.wrapping_add(4096 + part * (Q::BLOCK / 8) + 64 * line));
            }
            Q::weights::<S>(*self, part, lane)
        }
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

/// Adds one super-block's share to `N` tokens' results, `out` being `[token][16 rows]`.
///
/// Whole numbers times whole scales are summed first, then the real factors are applied, once.
#[inline(always)]
unsafe fn super_tile<S: Simd, Q: SuperBlocks, P: SuperBlockSource<Q>, const N: usize>(
    source: &P,
    index: usize,
    a: QuantizedPlaces,
    out: *mut f32,
) {
    // SAFETY: the caller's activations and results reach to the last token, column and row.
    unsafe {
        for lane in (0..ROWS).step_by(S::LANES) {
            let mut sums = [S::splat(0.0); N];
            for part in 0..8 {
                let w = source.weights::<S>(part, lane);
                let column = index * SUPER + part * SMALL;
                if Q::SHARE == SMALL {
                    let scale = source.scale::<S>(part, lane);
                    for n in 0..N {
                        let dot = S::dot::<8>(S::splat_i(0), &w, a.values.add(n * a.stride + column), Q::MAX);
                        sums[n] = S::fma(S::to_f(dot), scale, sums[n]);
                    }
                } else {
                    let halves = [[w[0], w[1], w[2], w[3]], [w[4], w[5], w[6], w[7]]];
                    for (half, w) in halves.iter().enumerate() {
                        let scale = source.scale::<S>(2 * part + half, lane);
                        for n in 0..N {
                            let sum = a.sums.add(n * a.sum_stride + index * 16 + 2 * part + half).read();
                            let start = S::shl::<5>(S::splat_i(sum));
                            let dot = S::dot::<4>(start, w, a.values.add(n * a.stride + column + 16 * half), Q::MAX);
                            sums[n] = S::fma(S::to_f(dot), scale, sums[n]);
                        }
                    }
                }
            }
            let d = source.d::<S>(lane);
            let mut minima = [S::splat_i(0); N];
            if Q::MINIMA {
                for pair in 0..4 {
                    let w = source.minima::<S>(pair, lane);
                    for n in 0..N {
                        let pairs = a.pairs.add(n * a.pair_stride + index * 4 + pair).read();
                        minima[n] = S::dot_pairs(minima[n], w, pairs);
                    }
                }
            }
            let d_min = source.d_min::<S>(lane);
            for n in 0..N {
                let mut total = S::mul(d, sums[n]);
                if Q::MINIMA {
                    total = S::fma(d_min, S::to_f(minima[n]), total);
                }
                let scale = S::splat(a.scales.add(n * a.scale_stride + index).read());
                let to = out.add(n * ROWS + lane);
                S::store(to, S::fma(total, scale, S::load(to)));
            }
        }
    }
}

/// Runs `$tile::<…, N>` for `$n` tokens, at most eight.
macro_rules! with_columns {
    ($n:expr, $N:ident => $call:expr) => {
        match $n {
            1 => {
                const $N: usize = 1;
                $call
            }
            2 => {
                const $N: usize = 2;
                $call
            }
            3 => {
                const $N: usize = 3;
                $call
            }
            4 => {
                const $N: usize = 4;
                $call
            }
            5 => {
                const $N: usize = 5;
                $call
            }
            6 => {
                const $N: usize = 6;
                $call
            }
            7 => {
                const $N: usize = 7;
                $call
            }
            _ => {
                const $N: usize = 8;
                $call
            }
        }
    };
}

kernel! {
    /// A group of super-blocks times `tokens` columns of activations; `out` is `[token][16 rows]`.
    unsafe fn super_product<S, Q: SuperBlocks>(
        group: *const u8,
        columns: usize,
        a: QuantizedPlaces,
        tokens: usize,
        out: *mut f32,
    ) {
        let blocks = columns / SUPER;
        // SAFETY: the caller's group has that many columns, and its activations and results that many
        // tokens; tiles never reach beyond `tokens`.
        unsafe {
            out.write_bytes(0, tokens * ROWS);
            if tokens <= S::COLUMNS {
                for index in 0..blocks {
                    let block = Q::block(group, index, blocks);
                    with_columns!(tokens, N => super_tile::<S, Q, Block, N>(&block, index, a, out));
                }
                return;
            }
            let mut panel = Panel::EMPTY;
            for index in 0..blocks {
                panel.fill::<S, Q>(Q::block(group, index, blocks));
                let mut token = 0;
                while token < tokens {
                    let (a, out) = (a.token(token), out.add(token * ROWS));
                    let tile = (tokens - token).min(S::COLUMNS);
                    if tile == 8 {
                        super_tile::<S, Q, Panel, 8>(&panel, index, a, out);
                    } else if tile >= 4 {
                        super_tile::<S, Q, Panel, 4>(&panel, index, a, out);
                    } else {
                        super_tile::<S, Q, Panel, 1>(&panel, index, a, out);
                    }
                    token += if tile == 8 { 8 } else if tile >= 4 { 4 } else { 1 };
                }
            }
        }
    }
}

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

/// `start + Σ w[k] · x[token][k]` for `N` tokens and one vector of rows, the even and the odd `k`
/// summed apart, so that no addition waits for the one before.
#[inline(always)]
pub(super) unsafe fn dense_tile<S: Simd, W: Dense, const N: usize>(
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
    /// A dense group `[column][16 rows]` times `tokens` columns of activations `[token][stride]`;
    /// `out` is `[token][16 rows]`. Sums of 256 columns are made apart, as quantized ones are.
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
            out.write_bytes(0, tokens * ROWS);
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

/// A group of 16 rows of a matrix, packed as `super::formats` says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowGroup<'a> {
    pub(crate) dtype: StoredType,
    pub(crate) bytes: &'a [u8],
}

impl RowGroup<'_> {
    /// Bytes of a group of `columns` columns.
    pub(crate) fn bytes(dtype: StoredType, columns: usize) -> usize {
        match dtype {
            StoredType::F32 => 4 * ROWS * columns,
            StoredType::F16 | StoredType::BF16 => 2 * ROWS * columns,
            StoredType::Q4K => columns / SUPER * Q4K::BLOCK,
            StoredType::Q5K => columns / SUPER * Q5K::BLOCK,
            StoredType::Q6K => plane(columns / SUPER) + columns / SUPER * Q6K::BLOCK,
            StoredType::Q8_0 => plane(columns / SMALL) + columns / SMALL * Q80::BLOCK,
            StoredType::Q4_0 => plane(columns / SMALL) + columns / SMALL * Q40::BLOCK,
        }
    }

    /// What activations must come with.
    pub(crate) fn precision(dtype: StoredType) -> Precision {
        let mut precision = Precision::default();
        match dtype {
            StoredType::Q4K | StoredType::Q5K | StoredType::Q6K => precision.supers = Need::Yes,
            StoredType::Q8_0 | StoredType::Q4_0 => precision.smalls = Need::Yes,
            StoredType::F32 | StoredType::F16 | StoredType::BF16 => {}
        }
        precision
    }

    /// The group times all activations; `out` is `[token][16 rows]`.
    ///
    /// # Panics
    /// When the group's bytes or `out` do not fit the activations, or these lack the precision.
    pub(crate) fn times(self, set: Detected, activations: &Activations, out: &mut [f32]) {
        let (columns, tokens) = (activations.columns(), activations.tokens());
        assert_eq!(self.bytes.len(), Self::bytes(self.dtype, columns), "bytes of a group of {columns} columns");
        assert_eq!(out.len(), tokens * ROWS, "results of {tokens} tokens");
        let (group, out) = (self.bytes.as_ptr(), out.as_mut_ptr());
        let (x, stride) = (activations.floats().as_ptr(), columns);
        // SAFETY: the lengths were just compared; places of activations compare theirs. Dense
        // groups may stand at any address, since vectors are loaded from any.
        unsafe {
            match self.dtype {
                StoredType::F32 => dense_product::<F32>(set, group.cast(), columns, x, stride, tokens, out),
                StoredType::F16 => dense_product::<F16>(set, group.cast(), columns, x, stride, tokens, out),
                StoredType::BF16 => dense_product::<BF16>(set, group.cast(), columns, x, stride, tokens, out),
                StoredType::Q4K => super_product::<Q4K>(set, group, columns, activations.supers(), tokens, out),
                StoredType::Q5K => super_product::<Q5K>(set, group, columns, activations.supers(), tokens, out),
                StoredType::Q6K => super_product::<Q6K>(set, group, columns, activations.supers(), tokens, out),
                StoredType::Q8_0 => small_product::<Q80>(set, group, columns, activations.smalls(), tokens, out),
                StoredType::Q4_0 => small_product::<Q40>(set, group, columns, activations.smalls(), tokens, out),
            }
        }
    }

    /// One row widened to floats, for embeddings.
    pub(crate) fn row(self, row: usize, out: &mut [f32]) {
        let columns = out.len();
        assert_eq!(self.bytes.len(), Self::bytes(self.dtype, columns), "bytes of a group of {columns} columns");
        assert!(row < ROWS, "row {row} of a group");
        let group = self.bytes.as_ptr();
        // SAFETY: the lengths were just compared.
        unsafe {
            match self.dtype {
                StoredType::F32 => dense_row::<F32>(group.cast(), row, out),
                StoredType::F16 => dense_row::<F16>(group.cast(), row, out),
                StoredType::BF16 => dense_row::<BF16>(group.cast(), row, out),
                StoredType::Q4K => super_row::<Q4K>(group, row, out),
                StoredType::Q5K => super_row::<Q5K>(group, row, out),
                StoredType::Q6K => super_row::<Q6K>(group, row, out),
                StoredType::Q8_0 => small_row::<Q80>(group, row, 0, out),
                StoredType::Q4_0 => small_row::<Q40>(group, row, 8, out),
            }
        }
    }
}

unsafe fn dense_row<W: Dense>(group: *const W::Stored, row: usize, out: &mut [f32]) {
    for (column, value) in out.iter_mut().enumerate() {
        // SAFETY: the group has a row for each lane and a column for each value.
        *value = unsafe { W::load::<Scalar>(group.add(column * ROWS + row)) };
    }
}

unsafe fn super_row<Q: SuperBlocks>(group: *const u8, row: usize, out: &mut [f32]) {
    let blocks = out.len() / SUPER;
    for (index, values) in out.chunks_exact_mut(SUPER).enumerate() {
        // SAFETY: the group has as many blocks as `out`.
        unsafe {
            let block = Q::block(group, index, blocks);
            let (d, d_min) = (Q::d::<Scalar>(block, row), Q::d_min::<Scalar>(block, row));
            for (part, values) in values.chunks_exact_mut(SMALL).enumerate() {
                let pair = Q::minima::<Scalar>(block, part / 2, row);
                let minimum = d_min * f32::from((pair >> (16 * (part % 2))) as i16);
                let bytes = Q::weights::<Scalar>(block, part, row).map(u32::to_le_bytes);
                for (column, (value, weight)) in values.iter_mut().zip(bytes.as_flattened()).enumerate() {
                    let scale = d * Q::scale::<Scalar>(block, (part * SMALL + column) / Q::SHARE, row);
                    let offset = if Q::SHARE == SMALL { 0 } else { 32 };
                    *value = scale * (i32::from(*weight) - offset) as f32 + minimum;
                }
            }
        }
    }
}

unsafe fn small_row<Q: SmallBlocks>(group: *const u8, row: usize, offset: i32, out: &mut [f32]) {
    let blocks = out.len() / SMALL;
    for (index, values) in out.chunks_exact_mut(SMALL).enumerate() {
        // SAFETY: the group has as many blocks as `out`.
        unsafe {
            let d = Scalar::load_f16(group.cast::<u16>().add(ROWS * index + row));
            let bytes = Q::weights::<Scalar>(group.add(plane(blocks) + index * Q::BLOCK), row).map(u32::to_le_bytes);
            for (value, weight) in values.iter_mut().zip(bytes.as_flattened()) {
                *value = d * (i32::from(*weight as i8) - offset) as f32;
            }
        }
    }
}
