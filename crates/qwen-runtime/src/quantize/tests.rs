//! Rows of every kind through every format, read back by a scalar decoder that knows only the layouts.

use std::num::NonZeroUsize;

use half::f16;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::rows::{Fault, RowCodec};
use crate::checkpoint::StoredType;

const BLOCK_TYPES: [StoredType; 5] =
    [StoredType::Q8_0, StoredType::Q4_0, StoredType::Q4K, StoredType::Q5K, StoredType::Q6K];

fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// The 6-bit scale and minimum of a sub-block.
fn scale_and_min(packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (packed[j + 4] & 15 | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4)
    };
    (f32::from(scale), f32::from(min))
}

/// A value at a time, as the layouts are described.
fn decode(dtype: StoredType, bytes: &[u8]) -> Vec<f32> {
    let mut values = Vec::new();
    for block in bytes.chunks(dtype.block_bytes()) {
        for i in 0..dtype.block_len() {
            values.push(match dtype {
                StoredType::F32 => f32::from_le_bytes(block.try_into().unwrap()),
                StoredType::F16 => half_at(block, 0),
                StoredType::BF16 => half::bf16::from_le_bytes([block[0], block[1]]).to_f32(),
                StoredType::Q4_0 => {
                    let nibble = block[2 + i % 16] >> (i / 16 * 4) & 15;
                    half_at(block, 0) * (f32::from(nibble) - 8.0)
                }
                StoredType::Q8_0 => half_at(block, 0) * f32::from(block[2 + i].cast_signed()),
                StoredType::Q4K | StoredType::Q5K => {
                    let nibbles = &block[dtype.block_bytes() - 128..];
                    let nibble = nibbles[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
                    let fifth = if dtype == StoredType::Q5K { block[16 + i % 32] >> (i / 32) & 1 } else { 0 };
                    let (scale, min) = scale_and_min(&block[4..16], i / 32);
                    half_at(block, 0) * scale * f32::from(nibble | fifth << 4) - half_at(block, 2) * min
                }
                StoredType::Q6K => {
                    let (half, part, at) = (i / 128, i % 128 / 32, i % 32);
                    let low = block[half * 64 + part % 2 * 32 + at] >> (part / 2 * 4) & 15;
                    let high = block[128 + half * 32 + at] >> (part * 2) & 3;
                    let scale = f32::from(block[192 + i / 16].cast_signed());
                    half_at(block, 208) * scale * (f32::from(low | high << 4) - 32.0)
                }
            });
        }
    }
    values
}

fn convert(values: &[f32], target: StoredType, importance: Option<&[f32]>) -> Result<Vec<u8>, Fault> {
    let columns = importance.map_or(values.len(), <[f32]>::len);
    let codec = RowCodec { source: StoredType::F32, target, columns, importance };
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut out = vec![0; values.len() / columns * codec.target_row()];
    codec.convert(&raw, &mut out, NonZeroUsize::MIN)?;
    Ok(out)
}

fn round_trip(values: &[f32], target: StoredType, importance: Option<&[f32]>) -> Vec<f32> {
    decode(target, &convert(values, target, importance).unwrap())
}

/// The root of the mean weighted square of the error, over that of the values.
fn relative_error(values: &[f32], decoded: &[f32], weight: impl Fn(usize) -> f32) -> f64 {
    assert_eq!(values.len(), decoded.len());
    let square = |i: usize, value: f32| f64::from(weight(i)) * f64::from(value).powi(2);
    let error: f64 = values.iter().zip(decoded).enumerate().map(|(i, (a, b))| square(i, a - b)).sum();
    let size: f64 = values.iter().enumerate().map(|(i, a)| square(i, *a)).sum();
    (error / size.max(f64::MIN_POSITIVE)).sqrt()
}

/// Normal values, near enough: the sum of twelve uniform ones.
fn normal(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..12).map(|_| rng.random_range(-0.5_f32..0.5)).sum::<f32>() * 0.02).collect()
}

/// Normal values to the third power: a few are twenty times the others.
fn heavy(count: usize, seed: u64) -> Vec<f32> {
    normal(count, seed).into_iter().map(|value| value.powi(3) * 2500.0).collect()
}

/// The largest relative error for normal and for heavy-tailed rows.
fn bounds(dtype: StoredType) -> (f64, f64) {
    match dtype {
        StoredType::F32 => (0.0, 0.0),
        StoredType::F16 => (3e-4, 3e-3),
        StoredType::BF16 => (3e-3, 3e-3),
        StoredType::Q4_0 => (0.1, 0.15),
        StoredType::Q8_0 => (0.006, 0.01),
        StoredType::Q6K => (0.018, 0.025),
        StoredType::Q5K => (0.036, 0.05),
        _ => (0.072, 0.1),
    }
}

#[test]
fn errors_are_as_small_as_the_bits_allow() {
    for dtype in [&BLOCK_TYPES[..], &[StoredType::F16, StoredType::BF16, StoredType::F32]].concat() {
        let (of_normal, of_heavy) = bounds(dtype);
        for (values, bound) in [(normal(8192, 1), of_normal), (heavy(8192, 2), of_heavy)] {
            let error = relative_error(&values, &round_trip(&values, dtype, None), |_| 1.0);
            assert!(error <= bound, "{dtype:?}: {error}, the bound is {bound}");
        }
    }
}

#[test]
fn importance_moves_the_error_to_where_it_counts_less() {
    let values = normal(16 * 512, 3);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let importance: Vec<f32> = (0..512).map(|_| rng.random_range(0.0_f32..1.0).powi(6) * 1e4).collect();
    for dtype in [StoredType::Q4K, StoredType::Q5K, StoredType::Q6K] {
        let weighted = |decoded: &[f32]| relative_error(&values, decoded, |i| importance[i % 512]);
        let plain = weighted(&round_trip(&values, dtype, None));
        let with = weighted(&round_trip(&values, dtype, Some(&importance)));
        assert!(with < 0.9 * plain, "{dtype:?}: {with} with importance, {plain} without");
    }
}

#[test]
fn importance_of_nothing_is_no_importance() {
    let values = heavy(512, 5);
    for dtype in BLOCK_TYPES {
        let plain = convert(&values, dtype, None).unwrap();
        for same in [0.0, 1e-30, 1.0, 1e30] {
            assert_eq!(convert(&values, dtype, Some(&[same; 512])).unwrap(), plain, "{dtype:?} {same}");
        }
    }
}

#[test]
fn rows_of_one_value_survive() {
    for dtype in [&BLOCK_TYPES[..], &[StoredType::F16]].concat() {
        for value in [0.0, -0.0, 1.0, -1.0, 0.02, -0.02, 60_000.0, -60_000.0, 1e-4] {
            let decoded = round_trip(&[value; 256], dtype, None);
            let worst = decoded.iter().map(|decoded| (decoded - value).abs()).fold(0.0, f32::max);
            // A factor may be off by half of the least half float, times the integers that go with it.
            let integers = match dtype {
                StoredType::F16 => 1.0,
                StoredType::Q8_0 => 127.0,
                StoredType::Q6K => 32.0 * 128.0,
                _ => 31.0 * 63.0,
            };
            assert!(worst <= 1e-3 * value.abs() + integers * 3e-8, "{dtype:?}: {value} became {}", decoded[0]);
        }
        // Below what half floats scale: zero, or near it.
        let decoded = round_trip(&[1e-9; 256], dtype, None);
        assert!(decoded.iter().all(|value| value.abs() < 1e-6), "{dtype:?}: {}", decoded[0]);
    }
}

#[test]
fn a_single_outlier_keeps_its_value() {
    for dtype in BLOCK_TYPES {
        let mut values = normal(256, 6);
        values[77] = 3.0;
        let decoded = round_trip(&values, dtype, None);
        assert!((decoded[77] - 3.0).abs() < 0.05, "{dtype:?}: {}", decoded[77]);
        let others: Vec<_> = (0..256).filter(|i| i / 32 != 77 / 32).collect();
        let pick = |from: &[f32]| others.iter().map(|&i| from[i]).collect::<Vec<_>>();
        // The sub-blocks beside it share its factor, and no more.
        let error = relative_error(&pick(&values), &pick(&decoded), |_| 1.0);
        assert!(error < 0.5, "{dtype:?}: {error}");
    }
}

#[test]
fn what_a_type_cannot_hold_is_a_fault() {
    for target in [&BLOCK_TYPES[..], &[StoredType::F16, StoredType::BF16, StoredType::F32]].concat() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = normal(256, 7);
            values[200] = bad;
            assert_eq!(convert(&values, target, None), Err(Fault::NotFinite), "{target:?} {bad}");
        }
        let mut values = normal(256, 8);
        values[3] = -1e7;
        let is_wide = matches!(target, StoredType::F32 | StoredType::BF16);
        let expected = if is_wide { None } else { Some(Fault::TooLarge(-1e7)) };
        assert_eq!(convert(&values, target, None).err(), expected, "{target:?}");
        values[3] = 65_000.0;
        assert!(convert(&values, target, None).is_ok(), "{target:?}");
        assert!(round_trip(&values, target, None).iter().all(|value| value.is_finite()), "{target:?}");
    }
    assert_eq!(convert(&[f32::MAX; 256], StoredType::BF16, None), Err(Fault::TooLarge(f32::MAX)));
}

#[test]
fn every_source_type_is_read() {
    let values = normal(512, 9);
    let codec = |source| RowCodec { source, target: StoredType::F32, columns: 256, importance: None };
    for (source, raw) in [
        (StoredType::BF16, values.iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect::<Vec<_>>()),
        (StoredType::F16, values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()),
    ] {
        let mut out = vec![0; 2048];
        codec(source).convert(&raw, &mut out, NonZeroUsize::MIN).unwrap();
        let error = relative_error(&values, &decode(StoredType::F32, &out), |_| 1.0);
        assert!(error > 0.0 && error < 3e-3, "{source:?}: {error}");
    }
    let mut out = vec![0; 2048];
    assert_eq!(codec(StoredType::Q8_0).convert(&[0; 544], &mut out, NonZeroUsize::MIN), Err(Fault::Mismatch));
    assert_eq!(codec(StoredType::F16).convert(&[0; 544], &mut out, NonZeroUsize::MIN), Err(Fault::Mismatch));
}

#[test]
fn threads_change_nothing() {
    let values = heavy(300 * 512, 10);
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    for target in BLOCK_TYPES {
        let codec = RowCodec { source: StoredType::F32, target, columns: 512, importance: None };
        let run = |threads| {
            let mut out = vec![0; 300 * codec.target_row()];
            codec.convert(&raw, &mut out, NonZeroUsize::new(threads).unwrap()).unwrap();
            out
        };
        assert_eq!(run(1), run(5), "{target:?}");
    }
    // A fault is found whichever thread meets it.
    let mut raw = raw;
    raw[299 * 2048..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let codec = RowCodec { source: StoredType::F32, target: StoredType::F16, columns: 512, importance: None };
    let mut out = vec![0; 300 * 1024];
    assert_eq!(codec.convert(&raw, &mut out, NonZeroUsize::new(3).unwrap()), Err(Fault::NotFinite));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_is_further_off_than_a_step(
        scale in -6_i32..5, seed in any::<u64>(), offset in -3.0_f32..3.0, weights in prop::option::of(any::<u64>())
    ) {
        let size = 10_f32.powi(scale);
        let values: Vec<f32> = normal(256, seed).into_iter().map(|value| (value * 50.0 + offset) * size).collect();
        let importance: Option<Vec<f32>> = weights.map(|seed| normal(256, seed).into_iter().map(f32::abs).collect());
        let extreme = values.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        // A value that matters less than another may be off by more, for the other's sake.
        let most = importance.iter().flatten().fold(0.0_f32, |max, weight| max.max(*weight));
        let share = |i: usize| importance.as_ref().map_or(1.0, |weights| (weights[i] / most).sqrt());
        for (dtype, steps) in
            [(StoredType::Q8_0, 127.0), (StoredType::Q6K, 31.0), (StoredType::Q5K, 15.0), (StoredType::Q4K, 7.0),
             (StoredType::Q4_0, 7.0)]
        {
            let decoded = round_trip(&values, dtype, importance.as_deref());
            let off = values.iter().zip(&decoded).enumerate().map(|(i, (a, b))| share(i) * (a - b).abs());
            let worst = off.fold(0.0, f32::max);
            // Twice a step across both signs, since clipping a value may pay; and the least half float, times the
            // largest integers.
            prop_assert!(worst <= 2.0 * extreme / steps + 6e-8 * 63.0 * 31.0, "{dtype:?}: {worst} of {extreme}");
        }
    }
}
