//! [`KvFormat`]: how keys and values are stored.

use super::super::formats::{F16, F32};
use super::super::memory::Number;
use super::super::set::Detected;
use super::super::simd::{ROWS, Simd};
use super::layout::{Layout, PIECE};
use super::{BLOCK_LEN, MAX_HEAD};

/// How keys and values are stored: `dim · 16` of each in a block, at the places that [`Layout`] gives them.
pub(crate) trait KvFormat: std::fmt::Debug {
    type Stored: Number + Send + Sync;
    /// Whether many query rows are better served with blocks in single precision.
    const CONVERTED: bool;

    /// Whether each 32 values of a position share a scale: `[dim / 32][16 positions]` for the keys of a block, and as
    /// many for its values, single precision.
    const HAS_SCALES: bool = false;

    /// Elements of the scales of a block's keys, which are as many as those of the values.
    fn scales(_dim: usize) -> usize {
        0
    }

    /// # Safety
    /// As for [`Simd`]'s functions; the pointer must be good for a vector of values.
    unsafe fn load<S: Simd>(from: *const Self::Stored) -> S::F;

    /// Writes the key and the value of a place into a bundle: of a block of it, and a position of that.
    ///
    /// # Panics
    /// When they are longer than [`MAX_HEAD`] or do not fit the bundle.
    fn store(set: Detected, bundle: &mut [Self::Stored], place: (usize, usize), key: &[f32], value: &[f32]);
}

impl KvFormat for F32 {
    type Stored = f32;
    const CONVERTED: bool = false;

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const f32) -> S::F {
        // SAFETY: the caller's pointer is good for a vector.
        unsafe { S::load(from) }
    }

    fn store(_set: Detected, bundle: &mut [f32], place: (usize, usize), key: &[f32], value: &[f32]) {
        scatter(Layout::of::<Self>(key.len()), bundle, place, key, value);
    }
}

/// Half precision, as its bits.
impl KvFormat for F16 {
    type Stored = u16;
    const CONVERTED: bool = true;

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u16) -> S::F {
        // SAFETY: the caller's pointer is good for a vector.
        unsafe { S::load_f16(from) }
    }

    fn store(set: Detected, bundle: &mut [u16], place: (usize, usize), key: &[f32], value: &[f32]) {
        let mut halves = [[0; MAX_HEAD]; 2];
        let [keys, values] = halves.each_mut().map(|halves| &mut halves[..key.len()]);
        // SAFETY: the set was detected; slices check themselves.
        unsafe {
            halve(set, key, keys);
            halve(set, value, values);
        }
        scatter(Layout::of::<Self>(key.len()), bundle, place, keys, values);
    }
}

/// Puts the key and the value of one position in their places.
pub(super) fn scatter<T: Copy>(layout: Layout, bundle: &mut [T], place: (usize, usize), key: &[T], value: &[T]) {
    let (slot, position) = place;
    let (keys, values) = (key.chunks_exact(ROWS), value.chunks_exact(ROWS));
    for (column, (key, value)) in keys.zip(values).enumerate() {
        let piece = bundle[layout.key(slot, column)..][..PIECE].chunks_exact_mut(BLOCK_LEN);
        for (to, key) in piece.zip(key) {
            to[position] = *key;
        }
        bundle[layout.value(slot, column)..][..PIECE][position * ROWS..][..ROWS].copy_from_slice(value);
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
