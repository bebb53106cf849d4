//! [`RowGroup`]: a group of 16 rows of any format, times activations.

use super::dense::dense_product;
use super::small_blocks::{small_pair_product, small_product};
use super::super_blocks::{FEW_TILES, super_pair_product, super_product};
use crate::checkpoint::StoredType;
use crate::engine::cpu::kernels::activations::{Activations, Need, Precision};
#[cfg(target_arch = "x86_64")]
use crate::engine::cpu::kernels::avx512::Avx512;
use crate::engine::cpu::kernels::formats::{
    BF16, Dense, F16, F32, Q4K, Q5K, Q6K, Q40, Q80, SMALL, SUPER, SmallBlocks, SuperBlocks, plane,
};
use crate::engine::cpu::kernels::scalar::Scalar;
use crate::engine::cpu::kernels::set::{Detected, KernelSet};
use crate::engine::cpu::kernels::simd::{ROWS, Simd};

/// Products of a group and a token that are made before they are read: they stay in the first-level cache.
const PRODUCTS: usize = 64;

/// A group of 16 rows of a matrix, packed as `super::formats` says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowGroup<'a> {
    pub(crate) dtype: StoredType,
    pub(crate) bytes: &'a [u8],
}

impl<'a> RowGroup<'a> {
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

    /// Of how many groups the products with so many tokens are made before they are read.
    pub(crate) fn at_once(tokens: usize) -> usize {
        (PRODUCTS / tokens).max(1)
    }

    /// Adds each group times all activations to its results, `[token][16 rows]`. Two groups are multiplied together
    /// where that pays: one of the first half and one of the second, so that each half is read in its order.
    ///
    /// # Panics
    /// When a group's bytes or results do not fit the activations, or these lack the precision.
    pub(crate) fn add_products(
        set: Detected,
        activations: &Activations,
        groups: impl IntoIterator<Item = (Self, &'a mut [f32])>,
    ) {
        let mut groups: Vec<(Self, &mut [f32])> = groups.into_iter().collect();
        for alike in groups.chunk_by_mut(|(one, _), (next, _)| one.dtype == next.dtype) {
            let half = if alike[0].0.pairs(set, activations.tokens()) { alike.len() / 2 } else { 0 };
            let (first, others) = alike.split_at_mut(half);
            let (second, alone) = others.split_at_mut(half);
            for ((first, out), (second, other)) in first.iter_mut().zip(second) {
                Self::add_pair([*first, *second], set, activations, [out, other]);
            }
            for (group, out) in alone {
                group.add_product(set, activations, out);
            }
        }
    }

    /// Whether two groups of the type are faster together.
    fn pairs(self, set: Detected, tokens: usize) -> bool {
        !matches!(self.dtype, StoredType::F32 | StoredType::F16 | StoredType::BF16)
            && match set.set() {
                #[cfg(target_arch = "x86_64")]
                KernelSet::Avx512 => tokens > FEW_TILES * Avx512::COLUMNS,
                #[cfg(target_arch = "x86_64")]
                // Its 16 registers are full with a tile of one group. With one token they aren't, and two groups give
                // memory two places to answer for.
                KernelSet::Avx2 => tokens == 1,
                _ => tokens == 1 || tokens > FEW_TILES * Scalar::COLUMNS,
            }
    }

    /// How many bytes ahead memory is asked for weights that so few tokens meet that it is waited for. Found by
    /// measuring: with less, memory answers too late; with more, a processor leaves out some of what it is asked for.
    fn ahead(self, set: Detected, tokens: usize) -> usize {
        let small = matches!(self.dtype, StoredType::Q8_0 | StoredType::Q4_0);
        match set.set() {
            // Zen 3 and Zen 4 fetch ahead by themselves, for one token or two fast enough, and what is asked for farther
            // ahead is in their way. So near, much of it is there already; yet to ask for nothing is 6 % slower.
            KernelSet::Avx512 | KernelSet::Avx2 if tokens <= 2 && !set.has_large_first_level() => 256,
            // 1.6 % faster than 4 KiB where memory is slow, and as much slower where it is fast.
            KernelSet::Avx512 if self.dtype == StoredType::Q8_0 && set.has_large_first_level() => 3072,
            KernelSet::Avx512 if small => 4096,
            KernelSet::Avx512 if set.has_large_first_level() => 8192,
            KernelSet::Avx2 if small => 8192,
            _ => 4096,
        }
    }

    /// Compares the lengths, so that pointers are good for what the kernels do with them.
    fn check(self, activations: &Activations, out: &[f32]) {
        let (columns, tokens) = (activations.columns(), activations.tokens());
        assert_eq!(self.bytes.len(), Self::bytes(self.dtype, columns), "bytes of a group of {columns} columns");
        assert_eq!(out.len(), tokens * ROWS, "results of {tokens} tokens");
    }

    fn add_product(self, set: Detected, activations: &Activations, out: &mut [f32]) {
        self.check(activations, out);
        let (columns, tokens) = (activations.columns(), activations.tokens());
        let (group, out) = (self.bytes.as_ptr(), out.as_mut_ptr());
        let (x, stride) = activations.floats();
        let (supers, smalls) = (|| activations.supers(), || activations.smalls());
        let ahead = self.ahead(set, tokens);
        // SAFETY: the lengths were just compared, and `Activations::rows` made room for as many tokens and columns of
        // what was asked for. Dense groups may stand at any address, since vectors are loaded from any.
        unsafe {
            match self.dtype {
                StoredType::F32 => dense_product::<F32>(set, group.cast(), columns, x, stride, tokens, out),
                StoredType::F16 => dense_product::<F16>(set, group.cast(), columns, x, stride, tokens, out),
                StoredType::BF16 => dense_product::<BF16>(set, group.cast(), columns, x, stride, tokens, out),
                StoredType::Q4K => super_product::<Q4K>(set, group, columns, supers(), tokens, ahead, out),
                StoredType::Q5K => super_product::<Q5K>(set, group, columns, supers(), tokens, ahead, out),
                StoredType::Q6K => super_product::<Q6K>(set, group, columns, supers(), tokens, ahead, out),
                StoredType::Q8_0 => small_product::<Q80>(set, group, columns, smalls(), tokens, ahead, out),
                StoredType::Q4_0 => small_product::<Q40>(set, group, columns, smalls(), tokens, ahead, out),
            }
        }
    }

    fn add_pair(pair: [Self; 2], set: Detected, activations: &Activations, mut out: [&mut [f32]; 2]) {
        pair.iter().zip(&out).for_each(|(group, out)| group.check(activations, out));
        let (columns, tokens) = (activations.columns(), activations.tokens());
        let groups = pair.map(|group| group.bytes.as_ptr());
        let len = pair[0].bytes.len();
        let out = out.each_mut().map(|out| out.as_mut_ptr());
        let (supers, smalls) = (|| activations.supers(), || activations.smalls());
        let ahead = pair[0].ahead(set, tokens);
        // SAFETY: as for one group.
        unsafe {
            match pair[0].dtype {
                StoredType::Q4K => super_pair_product::<Q4K>(set, groups, len, columns, supers(), tokens, ahead, out),
                StoredType::Q5K => super_pair_product::<Q5K>(set, groups, len, columns, supers(), tokens, ahead, out),
                StoredType::Q6K => super_pair_product::<Q6K>(set, groups, len, columns, supers(), tokens, ahead, out),
                StoredType::Q8_0 => small_pair_product::<Q80>(set, groups, columns, smalls(), tokens, ahead, out),
                StoredType::Q4_0 => small_pair_product::<Q40>(set, groups, columns, smalls(), tokens, ahead, out),
                StoredType::F32 | StoredType::F16 | StoredType::BF16 => unreachable!("dense groups do not pair"),
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
    for (index, values) in out.chunks_exact_mut(SMALL).enumerate() {
        // SAFETY: the group has as many blocks as `out`.
        unsafe {
            let block = Q::block(group, index);
            let d = Scalar::load_f16(block.d.cast::<u16>().add(row));
            let bytes = Q::weights::<Scalar>(block.at, row).map(u32::to_le_bytes);
            for (value, weight) in values.iter_mut().zip(bytes.as_flattened()) {
                *value = d * (i32::from(*weight as i8) - offset) as f32;
            }
        }
    }
}
