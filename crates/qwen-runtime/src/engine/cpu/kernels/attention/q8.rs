//! [`Q8`]: keys and values in 8 bits.

use super::super::set::Detected;
use super::super::simd::{ROWS, Simd};
use super::format::{KvFormat, scatter};
use super::layout::Layout;
use super::{BLOCK_LEN, MAX_HEAD, SCALED};

/// Signed bytes, of which 32 of a position share a scale: 9 bits for a value. The scales are in single
/// precision: small values would lose bits in a half.
#[derive(Debug)]
pub(crate) struct Q8;

/// Most scales of a head.
const MAX_SCALES: usize = MAX_HEAD / SCALED;

impl KvFormat for Q8 {
    type Stored = u8;
    const CONVERTED: bool = true;
    const HAS_SCALES: bool = true;

    fn scales(dim: usize) -> usize {
        dim.div_ceil(SCALED) * size_of::<f32>() * BLOCK_LEN
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u8) -> S::F {
        // SAFETY: the caller's pointer is good for so many bytes as there are lanes.
        unsafe { S::to_f(S::load_i8(from)) }
    }

    fn store(set: Detected, bundle: &mut [u8], (slot, position): (usize, usize), key: &[f32], value: &[f32]) {
        let dim = key.len();
        let mut bytes = [[0; MAX_HEAD]; 2];
        let mut scales = [[0.0; MAX_SCALES]; 2];
        for (row, (bytes, scales)) in [key, value].into_iter().zip(bytes.iter_mut().zip(&mut scales)) {
            // SAFETY: the set was detected; slices check themselves.
            unsafe { quantize(set, row, &mut bytes[..dim], scales) }
        }
        let layout = Layout::of::<Self>(dim);
        for (half, scales) in [0, layout.half()].into_iter().zip(scales) {
            let places = bundle[half + layout.scales(slot)..].chunks_exact_mut(size_of::<f32>() * BLOCK_LEN);
            for (place, scale) in places.zip(&scales[..dim.div_ceil(SCALED)]) {
                place[position * size_of::<f32>()..][..size_of::<f32>()].copy_from_slice(&scale.to_ne_bytes());
            }
        }
        let [key, value] = bytes.each_ref().map(|bytes| &bytes[..dim]);
        scatter(layout, bundle, (slot, position), key, value);
    }
}

kernel! {
    /// To bytes from -127 to 127, the nearest, with a scale for each 32. What is too large becomes
    /// 1e30, and what is no number zero.
    unsafe fn quantize<S>(from: &[f32], to: &mut [u8], scales: &mut [f32]) {
        for ((from, to), scale) in from.chunks(SCALED).zip(to.chunks_mut(SCALED)).zip(scales) {
            let mut most = [0.0_f32; ROWS];
            for lanes in from.chunks_exact(ROWS) {
                for (most, value) in most.iter_mut().zip(lanes) {
                    *most = if value.abs() > *most { value.abs() } else { *most };
                }
            }
            let largest = most.iter().fold(0.0_f32, |largest, &most| if most > largest { most } else { largest });
            let largest = if largest > 1e30 { 1e30 } else { largest };
            *scale = largest / 127.0;
            // Where the largest has no inverse, all are nearly zero.
            let inverse = if largest > 1e-30 { 127.0 / largest } else { 0.0 };
            for (to, value) in to.iter_mut().zip(from) {
                *to = (value * inverse).round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::cpu::kernels::KernelSet;

    proptest! {
        #[test]
        fn every_set_quantizes_alike_and_by_less_than_a_step(
            values in prop::collection::vec(prop::num::f32::ANY, 48),
            power in -100_i32..100,
            fractions in prop::collection::vec(-1.0_f32..1.0, 48),
        ) {
            let moderate: Vec<f32> = fractions.iter().map(|x| x * 2.0_f32.powi(power)).collect();
            for row in [&values, &moderate] {
                let mut expected = None;
                for set in KernelSet::available() {
                    let (mut bytes, mut scales) = (vec![0; 48], vec![0.0; 2]);
                    // SAFETY: the set was detected; slices check themselves.
                    unsafe { quantize(Detected::new(set).unwrap(), row, &mut bytes, &mut scales) };
                    prop_assert!(scales.iter().all(|scale| scale.is_finite()));
                    let alike = expected.get_or_insert_with(|| (bytes.clone(), scales.clone()));
                    prop_assert_eq!(&(bytes, scales), &*alike, "{}", set);
                }
                let (bytes, scales) = expected.unwrap();
                for ((value, byte), scale) in row.iter().zip(&bytes).zip(scales.iter().flat_map(|x| [x; SCALED])) {
                    if value.abs() <= 1e30 {
                        let off = (value - f32::from(*byte as i8) * scale).abs();
                        prop_assert!(off <= scale * 0.51 || off < 1e-30, "{value} {byte} {scale}");
                    }
                }
            }
        }
    }
}
