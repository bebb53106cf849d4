//! [`KvFormat`]: how keys and values are stored.

use super::super::formats::{F16, F32};
use super::super::memory::Number;
use super::super::set::Detected;
use super::super::simd::{ROWS, Simd};
use super::{BLOCK_LEN, MAX_HEAD};

/// How keys and values are stored. Keys and values of a block are laid out alike: `dim · 16`
/// values, keys `[dim][16 positions]` and values `[dim / 16][16 positions][16]`.
pub(crate) trait KvFormat: std::fmt::Debug {
    type Stored: Number + Send + Sync;
    /// Whether many query rows are better served with blocks in single precision.
    const CONVERTED: bool;

    /// Whether each 32 values of a position share a scale, which lies behind the values of
    /// half a block: `[dim / 32][16 positions]`, single precision.
    const HAS_SCALES: bool = false;

    /// Elements of the keys of a block, which are as many as those of the values.
    fn half_block(dim: usize) -> usize;

    /// # Safety
    /// As for [`Simd`]'s functions; the pointer must be good for a vector of values.
    unsafe fn load<S: Simd>(from: *const Self::Stored) -> S::F;

    /// Writes the key and the value of one position into its block.
    ///
    /// # Panics
    /// When they are longer than [`MAX_HEAD`] or do not fit the block.
    fn store(set: Detected, block: &mut [Self::Stored], position: usize, key: &[f32], value: &[f32]);
}

impl KvFormat for F32 {
    type Stored = f32;
    const CONVERTED: bool = false;

    fn half_block(dim: usize) -> usize {
        dim * BLOCK_LEN
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const f32) -> S::F {
        // SAFETY: the caller's pointer is good for a vector.
        unsafe { S::load(from) }
    }

    fn store(_set: Detected, block: &mut [f32], position: usize, key: &[f32], value: &[f32]) {
        scatter(block.split_at_mut(key.len() * BLOCK_LEN), position, key, value);
    }
}

/// Half precision, as its bits.
impl KvFormat for F16 {
    type Stored = u16;
    const CONVERTED: bool = true;

    fn half_block(dim: usize) -> usize {
        dim * BLOCK_LEN
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u16) -> S::F {
        // SAFETY: the caller's pointer is good for a vector.
        unsafe { S::load_f16(from) }
    }

    fn store(set: Detected, block: &mut [u16], position: usize, key: &[f32], value: &[f32]) {
        let mut halves = [[0; MAX_HEAD]; 2];
        let [keys, values] = halves.each_mut().map(|halves| &mut halves[..key.len()]);
        // SAFETY: the set was detected; slices check themselves.
        unsafe {
            halve(set, key, keys);
            halve(set, value, values);
        }
        scatter(block.split_at_mut(key.len() * BLOCK_LEN), position, keys, values);
    }
}

/// Puts the values of one position in their places.
pub(super) fn scatter<T: Copy>((keys, values): (&mut [T], &mut [T]), position: usize, key: &[T], value: &[T]) {
    for (to, key) in keys.chunks_exact_mut(BLOCK_LEN).zip(key) {
        to[position] = *key;
    }
    for (to, value) in values.chunks_exact_mut(BLOCK_LEN * ROWS).zip(value.chunks_exact(ROWS)) {
        to[position * ROWS..][..ROWS].copy_from_slice(value);
    }
}

kernel! {
    /// To half precision; what is too large for it becomes its largest number, not infinity.
    unsafe fn halve<S>(from: &[f32], to: &mut [u16]) {
        for (from, to) in from.as_chunks::<ROWS>().0.iter().zip(to.as_chunks_mut::<ROWS>().0) {
            let finite = from.map(|x| x.clamp(-65504.0, 65504.0));
            for lane in (0..ROWS).step_by(S::LANES) {
                // SAFETY: both arrays have 16 elements, and the lanes divide 16.
                unsafe { S::store_f16(to.as_mut_ptr().add(lane), S::load(finite.as_ptr().add(lane))) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::cpu::kernels::KernelSet;

    proptest! {
        #[test]
        fn every_set_halves_alike(values in prop::collection::vec(prop::num::f32::ANY, 32)) {
            // What no model computes has no meaning here.
            let values: Vec<f32> = values.iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect();
            let expected: Vec<u16> =
                values.iter().map(|x| f16::from_f32(x.clamp(-65504.0, 65504.0)).to_bits()).collect();
            for set in KernelSet::available() {
                let mut halves = vec![0; values.len()];
                // SAFETY: the set was detected; slices check themselves.
                unsafe { halve(Detected::new(set).unwrap(), &values, &mut halves) };
                prop_assert_eq!(&halves, &expected, "{}", set);
            }
        }
    }
}
