//! Every format and instruction set against an oracle that reads the file's own blocks and adds in
//! the order that `super` fixes: results are equal to the last bit.

use half::{bf16, f16};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::RowGroup;
use crate::checkpoint::StoredType;
use crate::engine::cpu::kernels::{Activations, Detected, KernelSet, Precision, ROWS};
use crate::engine::cpu::packed::pack_group;

const TYPES: [StoredType; 8] = [
    StoredType::F32,
    StoredType::F16,
    StoredType::BF16,
    StoredType::Q4_0,
    StoredType::Q8_0,
    StoredType::Q4K,
    StoredType::Q5K,
    StoredType::Q6K,
];

/// Scales of blocks: usual, zero, the smallest, the largest of half precision.
fn factor(rng: &mut ChaCha8Rng) -> [u8; 2] {
    let value = match rng.random_range(0..8) {
        0 => f16::ZERO,
        1 => f16::from_bits(1),
        2 => f16::MAX,
        3 => f16::MIN,
        _ => f16::from_f32(rng.random_range(-0.1..0.1)),
    };
    value.to_le_bytes()
}

/// A row as a file stores it: any bits, but no infinite factor.
fn stored_row(dtype: StoredType, columns: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut row = Vec::new();
    for _ in 0..columns / dtype.block_len() {
        let mut block: Vec<u8> = (0..dtype.block_bytes()).map(|_| rng.random()).collect();
        let value: f32 = rng.random_range(-2.0..2.0);
        match dtype {
            StoredType::F32 => block = value.to_le_bytes().to_vec(),
            StoredType::F16 => block = f16::from_f32(value).to_le_bytes().to_vec(),
            StoredType::BF16 => block = bf16::from_f32(value).to_le_bytes().to_vec(),
            StoredType::Q4_0 | StoredType::Q8_0 => block[..2].copy_from_slice(&factor(rng)),
            StoredType::Q4K | StoredType::Q5K => {
                block[..2].copy_from_slice(&factor(rng));
                block[2..4].copy_from_slice(&factor(rng));
            }
            StoredType::Q6K => block[208..].copy_from_slice(&factor(rng)),
        }
        row.extend(block);
    }
    row
}

/// Activations as they are quantized: whole numbers and a scale for each block.
fn quantized(x: &[f32], block: usize) -> (Vec<i32>, Vec<f32>) {
    let mut values = Vec::new();
    let mut scales = Vec::new();
    for part in x.chunks(block) {
        let largest = part.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        scales.push(largest / 127.0);
        values.extend(part.iter().map(|value| (value * inverse).round_ties_even() as i32));
    }
    (values, scales)
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn dot(weights: impl Iterator<Item = i32>, values: &[i32]) -> f32 {
    weights.zip(values).map(|(weight, value)| weight * value).sum::<i32>() as f32
}

/// Weights, whole scales and whole minima of a super-block, as ggml's dequantization reads them.
fn super_block(dtype: StoredType, block: &[u8]) -> (Vec<i32>, Vec<i32>, Vec<i32>) {
    if dtype == StoredType::Q6K {
        let weight = |k: usize| {
            let (half, quarter, l) = (k / 128, k % 128 / 32, k % 32);
            let low = block[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2)) & 15;
            let high = block[128 + 32 * half + l] >> (2 * quarter) & 3;
            i32::from(low | high << 4) - 32
        };
        let scales = block[192..208].iter().map(|&scale| i32::from(scale as i8)).collect();
        return ((0..256).map(weight).collect(), scales, Vec::new());
    }
    let s = &block[4..16];
    let (mut scales, mut minima) = (Vec::new(), Vec::new());
    for j in 0..8 {
        let (scale, minimum) = match j {
            0..4 => (s[j] & 63, s[j + 4] & 63),
            _ => ((s[j + 4] & 15) | (s[j - 4] >> 6) << 4, (s[j + 4] >> 4) | (s[j] >> 6) << 4),
        };
        scales.push(i32::from(scale));
        minima.push(i32::from(minimum));
    }
    let nibbles = &block[block.len() - 128..];
    let weight = |k: usize| {
        let (part, l) = (k / 32, k % 32);
        let low = nibbles[32 * (part / 2) + l] >> (4 * (part % 2)) & 15;
        let fifth = if dtype == StoredType::Q5K { (block[16 + l] >> part & 1) << 4 } else { 0 };
        i32::from(low | fifth)
    };
    ((0..256).map(weight).collect(), scales, minima)
}

/// `start` and a row times activations.
fn expected(dtype: StoredType, row: &[u8], x: &[f32], start: f32) -> f32 {
    let blocks = row.chunks_exact(dtype.block_bytes());
    match dtype {
        StoredType::F32 | StoredType::F16 | StoredType::BF16 => {
            let weight = |bytes: &[u8]| match dtype {
                StoredType::F32 => f32::from_le_bytes(bytes.try_into().unwrap()),
                StoredType::F16 => f16::from_le_bytes(bytes.try_into().unwrap()).to_f32(),
                _ => bf16::from_le_bytes(bytes.try_into().unwrap()).to_f32(),
            };
            let weights: Vec<f32> = blocks.map(weight).collect();
            let part = |(w, x): (&[f32], &[f32])| {
                let mut sums = [0.0_f32; 2];
                for (k, (w, x)) in w.iter().zip(x).enumerate() {
                    sums[k % 2] = w.mul_add(*x, sums[k % 2]);
                }
                sums[0] + sums[1]
            };
            weights.chunks(256).zip(x.chunks(256)).map(part).fold(start, |sum, part| sum + part)
        }
        StoredType::Q4_0 | StoredType::Q8_0 => {
            let (values, scales) = quantized(x, 32);
            let mut total = start;
            for ((block, values), scale) in blocks.zip(values.chunks(32)).zip(scales) {
                let sum = match dtype {
                    StoredType::Q8_0 => dot(block[2..].iter().map(|&weight| i32::from(weight as i8)), values),
                    _ => {
                        let low = block[2..].iter().map(|byte| i32::from(byte & 15) - 8);
                        let high = block[2..].iter().map(|byte| i32::from(byte >> 4) - 8);
                        dot(low.chain(high), values)
                    }
                };
                total = (sum * scale).mul_add(half_at(block, 0), total);
            }
            total
        }
        StoredType::Q4K | StoredType::Q5K | StoredType::Q6K => {
            let (values, activation_scales) = quantized(x, 256);
            let mut result = start;
            for ((block, values), activation_scale) in blocks.zip(values.chunks(256)).zip(activation_scales) {
                let (weights, scales, minima) = super_block(dtype, block);
                let share = 256 / scales.len();
                let mut sum = 0.0_f32;
                for ((weights, values), scale) in weights.chunks(share).zip(values.chunks(share)).zip(scales) {
                    sum = dot(weights.iter().copied(), values).mul_add(scale as f32, sum);
                }
                let mut total = if dtype == StoredType::Q6K { half_at(block, 208) } else { half_at(block, 0) } * sum;
                if !minima.is_empty() {
                    let sums = values.chunks(32).map(|values| values.iter().sum::<i32>());
                    let minimum: i32 = minima.iter().zip(sums).map(|(minimum, sum)| minimum * sum).sum();
                    total = (-half_at(block, 2)).mul_add(minimum as f32, total);
                }
                result = total.mul_add(activation_scale, result);
            }
            result
        }
    }
}

/// Groups of rows, packed, each one byte off, so that nothing relies on an address.
struct Packed {
    dtype: StoredType,
    rows: Vec<Vec<u8>>,
    memory: Vec<u8>,
}

impl Packed {
    fn random(dtype: StoredType, columns: usize, rows: usize, rng: &mut ChaCha8Rng) -> Self {
        let rows: Vec<Vec<u8>> = (0..rows).map(|_| stored_row(dtype, columns, rng)).collect();
        let mut memory = vec![0; RowGroup::bytes(dtype, columns) + 1];
        pack_group(dtype, &rows.concat(), rows[0].len(), &mut memory[1..]);
        Self { dtype, rows, memory }
    }

    fn group(&self) -> RowGroup<'_> {
        RowGroup { dtype: self.dtype, bytes: &self.memory[1..] }
    }
}

fn check(types: &[StoredType], seed: u64, blocks: usize, rows: usize, tokens: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let dtype = types[0];
    // Dense rows may have any length.
    let columns = if dtype.is_quantized() { blocks * dtype.block_len() } else { 101 * blocks };
    let groups: Vec<Packed> = types.iter().map(|&dtype| Packed::random(dtype, columns, rows, &mut rng)).collect();
    let x: Vec<Vec<f32>> = (0..tokens)
        .map(|token| {
            let size = [1.0, 0.0, 1e-30, 1e6][token % 4];
            (0..columns).map(|_| rng.random_range(-1.0..1.0_f32) * size).collect()
        })
        .collect();
    let start: Vec<f32> = (0..groups.len() * tokens * ROWS).map(|_| rng.random_range(-1.0..1.0)).collect();
    let precision = types.iter().map(|&dtype| RowGroup::precision(dtype)).reduce(Precision::and).unwrap();

    for set in KernelSet::available() {
        let set = Detected::new(set).unwrap();
        let mut activations = Activations::default();
        let filled = activations.rows(tokens, columns, precision);
        for (token, x) in x.iter().enumerate() {
            filled.fill(set, token, |row| row.copy_from_slice(x));
        }
        drop(filled);
        let mut out = start.clone();
        let results = groups.iter().map(Packed::group).zip(out.chunks_exact_mut(tokens * ROWS));
        RowGroup::add_products(set, &activations, results);
        for (place, actual) in out.iter().enumerate() {
            let (group, token, row) = (&groups[place / ROWS / tokens], place / ROWS % tokens, place % ROWS);
            let start = start[place];
            let expected = group.rows.get(row).map_or(start, |stored| expected(group.dtype, stored, &x[token], start));
            let same = actual.to_bits() == expected.to_bits() || (*actual == 0.0 && expected == 0.0);
            let place = format!("token {token}, row {row} of {types:?}");
            assert!(same, "{:?} on {set:?}, {place}: {actual} instead of {expected}", group.dtype);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_set_computes_what_the_file_says(seed: u64, blocks in 1_usize..=4, rows in 1_usize..=16, tokens in 1_usize..=35) {
        for dtype in TYPES {
            check(&[dtype], seed, blocks, rows, tokens);
        }
    }

    #[test]
    fn groups_are_multiplied_together(
        seed: u64, count in 2_usize..=5, rows in 1_usize..=3, tokens in prop_oneof![Just(1_usize), 20_usize..=80]
    ) {
        for dtype in TYPES {
            check(&vec![dtype; count], seed, 2, rows, tokens);
        }
        // Neighbours of different types, as the projections of a layer have them.
        let [q4, q6] = [StoredType::Q4K, StoredType::Q6K];
        check(&[q4, q6, q6, q4, q4][..count], seed, 2, rows, tokens);
        check(&[StoredType::Q8_0, StoredType::Q4_0, StoredType::F16], seed, 9, rows, tokens);
    }

    #[test]
    fn a_row_is_what_the_file_says(seed: u64, blocks in 1_usize..=3) {
        for dtype in TYPES {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let columns = blocks * dtype.block_len();
            let stored = stored_row(dtype, columns, &mut rng);
            let mut memory = vec![0; RowGroup::bytes(dtype, columns)];
            pack_group(dtype, &stored, stored.len(), &mut memory);
            let mut row = vec![0.0; columns];
            RowGroup { dtype, bytes: &memory }.row(0, &mut row);
            // A product with one column alone, whose activation needs no rounding.
            for column in [0, columns / 2, columns - 1] {
                let mut x = vec![0.0; columns];
                x[column] = 127.0;
                let product = expected(dtype, &stored, &x, 0.0) / 127.0;
                let near = (row[column] - product).abs() <= product.abs() * 1e-5 + 1e-30;
                prop_assert!(near, "{:?} column {}: {} instead of {}", dtype, column, row[column], product);
            }
        }
    }
}

#[test]
fn the_largest_weights_do_not_overflow() {
    for dtype in [StoredType::Q4_0, StoredType::Q8_0, StoredType::Q4K, StoredType::Q5K, StoredType::Q6K] {
        for fill in [0_u8, 0x7f, 0x80, 0xff] {
            let mut stored = vec![fill; dtype.block_bytes() * (256 / dtype.block_len())];
            for block in stored.chunks_exact_mut(dtype.block_bytes()) {
                let one = f16::ONE.to_le_bytes();
                match dtype {
                    StoredType::Q6K => block[208..].copy_from_slice(&one),
                    StoredType::Q4K | StoredType::Q5K => block[..4].copy_from_slice(&[one, one].concat()),
                    _ => block[..2].copy_from_slice(&one),
                }
            }
            let mut memory = vec![0; RowGroup::bytes(dtype, 256)];
            pack_group(dtype, &stored, stored.len(), &mut memory);
            for sign in [1.0, -1.0] {
                let x = [sign * 3.0; 256];
                for set in KernelSet::available() {
                    let set = Detected::new(set).unwrap();
                    let mut activations = Activations::default();
                    activations.rows(1, 256, RowGroup::precision(dtype)).fill(set, 0, |row| row.copy_from_slice(&x));
                    let mut out = [0.0; ROWS];
                    let group = RowGroup { dtype, bytes: &memory };
                    RowGroup::add_products(set, &activations, [(group, &mut out[..])]);
                    assert_eq!(out[0], expected(dtype, &stored, &x, 0.0), "{dtype:?} of {fill:#x} on {set:?}");
                }
            }
        }
    }
}
