//! Attention against a plain one in double precision, and all instruction sets against each other.

use proptest::prelude::*;

use super::super::formats::{F16, F32};
use super::super::set::{Detected, KernelSet};
use super::*;

/// Random numbers between -1 and 1.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }

    fn row(&mut self, len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|_| self.next() * scale).collect()
    }
}

/// Keys and values `[position][dim]` of one head, and queries `[token][query head][dim]`.
struct Case {
    shape: Shape,
    keys: Vec<f32>,
    values: Vec<f32>,
    queries: Vec<f32>,
}

impl Case {
    fn new(shape: Shape, scale: f32, seed: u32) -> Self {
        let (mut noise, len) = (Noise(seed), (shape.past + shape.tokens) * shape.dim);
        let (keys, values) = (noise.row(len, scale), noise.row(len, scale));
        Self { shape, keys, values, queries: noise.row(shape.rows() * shape.dim, 2.0) }
    }

    /// The cache, its blocks in another order than the positions, with other numbers between the bundles.
    fn cache<K: KvFormat>(&self, set: Detected) -> (Vec<K::Stored>, Vec<u32>, usize)
    where
        K::Stored: Default,
    {
        let dim = self.shape.dim;
        let (count, elements) = (self.keys.len() / dim, Layout::of::<K>(dim).len());
        let blocks = count.div_ceil(BLOCK_LEN);
        let table: Vec<u32> = (0..blocks as u32).rev().collect();
        let stride = elements + 8;
        let mut memory = vec![K::Stored::default(); blocks.div_ceil(RUN) * stride];
        for position in 0..count {
            let block = table[position / BLOCK_LEN] as usize;
            let bundle = &mut memory[block / RUN * stride..][..elements];
            let [key, value] = [&self.keys, &self.values].map(|all| &all[position * dim..][..dim]);
            K::store(set, bundle, (block % RUN, position % BLOCK_LEN), key, value);
        }
        (memory, table, stride)
    }

    /// Attention of the tokens, `at_once` of them together.
    fn attend<K: KvFormat>(&self, set: Detected, at_once: usize) -> Vec<f32>
    where
        K::Stored: Default,
    {
        let (bundles, table, stride) = self.cache::<K>(set);
        let attention = Attention::<K> { bundles: &bundles, stride, table: &table, next: (&bundles, &table) };
        let row = self.shape.group * self.shape.dim;
        let mut out = vec![f32::NAN; self.queries.len()];
        for first in (0..self.shape.tokens).step_by(at_once) {
            let tokens = at_once.min(self.shape.tokens - first);
            let shape = Shape { past: self.shape.past + first, tokens, ..self.shape };
            let place = first * row..(first + tokens) * row;
            attention.attend(set, shape, &self.queries[place.clone()], &mut out[place]);
        }
        out
    }

    /// The same of its spans, each alone.
    fn attend_in_spans<K: KvFormat>(&self, set: Detected) -> Vec<f32>
    where
        K::Stored: Default,
    {
        let (bundles, table, stride) = self.cache::<K>(set);
        let attention = Attention::<K> { bundles: &bundles, stride, table: &table, next: (&bundles, &table) };
        let (shape, dim) = (self.shape, self.shape.dim);
        let mut out = vec![0.0; self.queries.len()];
        let mut marks = vec![Mark::NOTHING; shape.rows()];
        for start in (0..shape.past + shape.tokens).step_by(SPAN_LEN) {
            let mut values = vec![f32::NAN; out.len()];
            let mut span = vec![Mark::NOTHING; shape.rows()];
            attention.gather(set, shape, start..start + SPAN_LEN, &self.queries, (&mut values, &mut span));
            if start == 0 {
                (out, marks) = (values, span);
                continue;
            }
            for row in shape.first_row(start)..shape.rows() {
                let to = (&mut out[row * dim..][..dim], &mut marks[row]);
                merge(set, to, (&values[row * dim..][..dim], span[row]));
            }
        }
        for (row, mark) in out.chunks_exact_mut(dim).zip(marks) {
            finish(set, row, mark);
        }
        out
    }

    /// Softmax of the scores times the values, plainly.
    fn expected(&self) -> Vec<f64> {
        let dim = self.shape.dim;
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let rows = self.queries.chunks_exact(dim).enumerate().flat_map(|(row, query)| {
            let scores: Vec<f64> =
                self.keys.chunks_exact(dim).take(self.shape.visible(row)).map(|key| dot(query, key)).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let total: f64 = weights.iter().sum();
            let mut sums = vec![0.0; dim];
            for (weight, value) in weights.iter().zip(self.values.chunks_exact(dim)) {
                sums.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight / total * f64::from(*value));
            }
            sums
        });
        rows.collect()
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Every set, chunk and order of spans has the same bits; those are returned.
fn the_same_however<K: KvFormat>(case: &Case) -> Vec<f32>
where
    K::Stored: Default,
{
    let expected = case.attend::<K>(Detected::new(KernelSet::Scalar).unwrap(), case.shape.tokens);
    for set in KernelSet::available() {
        let detected = Detected::new(set).unwrap();
        for at_once in [1, 3, case.shape.tokens] {
            assert!(bits(&case.attend::<K>(detected, at_once)) == bits(&expected), "{set}, {at_once} at once");
        }
        assert!(bits(&case.attend_in_spans::<K>(detected)) == bits(&expected), "{set}, spans alone");
    }
    expected
}

/// The largest difference, as a part of the largest value.
fn difference(case: &Case, actual: &[f32]) -> f64 {
    let largest = case.values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let off = case.expected().into_iter().zip(actual).map(|(expected, actual)| (expected - f64::from(*actual)).abs());
    off.fold(0.0, f64::max) / f64::from(largest)
}

#[test]
fn it_is_softmax_of_scores_times_values_over_several_spans() {
    for (dim, group, past, tokens) in [(128, 2, 0, 1), (64, 3, 1030, 5), (48, 1, 1000, 40), (16, 4, 1500, 100)] {
        let case = Case::new(Shape { dim, group, past, tokens }, 1.0, 7);
        let single = difference(&case, &the_same_however::<F32>(&case));
        assert!(single < 1e-5, "{single} {:?}", case.shape);
        let half = difference(&case, &the_same_however::<F16>(&case));
        assert!(half < 3e-3, "{half} {:?}", case.shape);
        let eight = difference(&case, &the_same_however::<Q8>(&case));
        assert!(eight < 5e-2, "{eight} {:?}", case.shape);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_set_and_chunk_has_the_same_bits(
        parts in 1_usize..9,
        group in 1_usize..5,
        past in 0_usize..1200,
        tokens in 1_usize..40,
        power in -10_i32..15,
        seed: u32,
    ) {
        let case = Case::new(Shape { dim: 16 * parts, group, past, tokens }, 2.0_f32.powi(power), seed);
        for out in [the_same_however::<F32>, the_same_however::<F16>, the_same_however::<Q8>].map(|same| same(&case)) {
            prop_assert!(out.iter().all(|value| value.is_finite()));
        }
    }
}
