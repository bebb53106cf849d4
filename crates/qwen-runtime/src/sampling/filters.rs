//! top-k, top-p and min-p over candidates, by selection instead of a sort of the vocabulary.

use std::cmp::Ordering;

use crate::TokenId;

/// A token that may be drawn, with its logit or probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The token.
    pub token: TokenId,
    /// Its logit while filtering, its probability in a finished distribution.
    pub value: f32,
}

/// So many candidates are sorted at most.
const FEW: usize = 128;
/// Bins that masses are added up in.
const BINS: usize = 1024;
/// Logits that are so far below the largest one have no mass: a million of them has less than 1e-7.
const NEGLIGIBLE: f32 = -30.0;

/// Largest value first; the lower id first on a tie, so that results do not depend on chance.
fn descending(a: &Candidate, b: &Candidate) -> Ordering {
    b.value.total_cmp(&a.value).then(a.token.cmp(&b.token))
}

/// Divides logits by the temperature. The largest becomes 0 first, so that no temperature, however
/// small, makes a number that cannot be added up.
pub(super) fn cool(candidates: &mut Vec<Candidate>, temperature: f32) {
    let max = largest(candidates);
    if max == f32::INFINITY {
        candidates.retain(|candidate| candidate.value == max);
    }
    for candidate in candidates {
        candidate.value = if candidate.value == max { 0.0 } else { (candidate.value - max) / temperature };
    }
}

/// Keeps what is at least the k-th largest; ties stay. `k = 0` keeps all.
pub(super) fn top_k(candidates: &mut Vec<Candidate>, k: usize) {
    if k == 0 || k >= candidates.len() {
        return;
    }
    let (_, kth, _) = candidates.select_nth_unstable_by(k - 1, descending);
    let threshold = kth.value;
    candidates.retain(|candidate| candidate.value >= threshold);
}

/// Of many candidates, few that [`top_k`] keeps all of: those below a k-th largest seen so far are
/// passed over.
pub(super) struct Likeliest<'a> {
    few: &'a mut Vec<Candidate>,
    k: usize,
    /// How many are kept before the k-th largest is looked for again.
    room: usize,
    threshold: f32,
}

impl<'a> Likeliest<'a> {
    pub(super) fn new(k: usize, few: &'a mut Vec<Candidate>) -> Self {
        Self { few, k, room: 8 * k.max(FEW), threshold: f32::NEG_INFINITY }
    }

    /// Whether a candidate of that value would be kept.
    pub(super) fn takes(&self, value: f32) -> bool {
        value >= self.threshold
    }

    pub(super) fn offer(&mut self, candidate: Candidate) {
        if !self.takes(candidate.value) {
            return;
        }
        self.few.push(candidate);
        if self.few.len() == self.room {
            let (_, kth, _) = self.few.select_nth_unstable_by(self.k - 1, descending);
            let threshold = kth.value;
            self.few.retain(|candidate| candidate.value >= threshold);
            // Where all are alike, all stay.
            self.room = self.room.max(2 * self.few.len());
            self.threshold = threshold;
        }
    }
}

/// Keeps the most probable candidates while the mass before them is below `p`. Values are logits.
///
/// The candidates are not sorted: their masses are added up in bins of like values, and only the bin
/// in which the mass is reached is looked into, until few are left to sort.
pub(super) fn top_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 || candidates.len() < 2 {
        return;
    }
    let max = largest(candidates);
    // A vocabulary of those that are left out here has less mass than `p` has digits.
    candidates.retain(|candidate| candidate.value - max >= NEGLIGIBLE);
    let weight = |candidate: &Candidate| f64::from((candidate.value - max).exp());
    let wanted = f64::from(p) * candidates.iter().map(weight).sum::<f64>();
    // Those before it stay, and have this mass; those behind it go.
    let (mut open, mut mass) = (0..candidates.len(), 0.0);
    while open.len() > FEW {
        let part = &mut candidates[open.clone()];
        let Some(bins) = Bins::of(part) else { break };
        let mut masses = [0.0; BINS];
        for candidate in &*part {
            masses[bins.place(candidate)] += weight(candidate);
        }
        let mut edge = 0;
        while edge + 1 < BINS && mass + masses[edge] < wanted {
            mass += masses[edge];
            edge += 1;
        }
        let before = to_front(part, |candidate| bins.place(candidate) < edge);
        let inside = to_front(&mut part[before..], |candidate| bins.place(candidate) == edge);
        open = open.start + before..open.start + before + inside;
    }
    candidates[open.clone()].sort_unstable_by(descending);
    let reached = candidates[open.clone()].iter().position(|candidate| {
        let reached = mass >= wanted;
        mass += weight(candidate);
        reached
    });
    candidates.truncate(reached.map_or(open.end, |place| open.start + place));
}

/// Bins of equal width between the largest and the smallest value of some candidates.
struct Bins {
    top: f32,
    scale: f32,
}

impl Bins {
    /// `None` when all values are the same.
    fn of(candidates: &[Candidate]) -> Option<Self> {
        let top = largest(candidates);
        let bottom = candidates.iter().map(|candidate| candidate.value).fold(top, f32::min);
        let scale = (BINS - 1) as f32 / (top - bottom);
        scale.is_finite().then_some(Self { top, scale })
    }

    /// The bin of a candidate, that of the largest value first.
    fn place(&self, candidate: &Candidate) -> usize {
        (((self.top - candidate.value) * self.scale) as usize).min(BINS - 1)
    }
}

/// Moves those that `wanted` holds for before the others; returns how many they are.
fn to_front(candidates: &mut [Candidate], wanted: impl Fn(&Candidate) -> bool) -> usize {
    let mut count = 0;
    for place in 0..candidates.len() {
        if wanted(&candidates[place]) {
            candidates.swap(place, count);
            count += 1;
        }
    }
    count
}

/// Keeps what has at least `min_p` times the largest probability. Values are logits.
pub(super) fn min_p(candidates: &mut Vec<Candidate>, min_p: f32) {
    if min_p <= 0.0 {
        return;
    }
    let max = largest(candidates);
    candidates.retain(|candidate| (candidate.value - max).exp() >= min_p);
}

/// Turns logits into probabilities.
pub(super) fn softmax(candidates: &mut [Candidate]) {
    let max = largest(candidates);
    let mut total = 0.0_f64;
    for candidate in candidates.iter_mut() {
        candidate.value = (candidate.value - max).exp();
        total += f64::from(candidate.value);
    }
    for candidate in candidates {
        candidate.value = (f64::from(candidate.value) / total) as f32;
    }
}

fn largest(candidates: &[Candidate]) -> f32 {
    candidates.iter().map(|candidate| candidate.value).fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(values: &[f32]) -> Vec<Candidate> {
        values.iter().enumerate().map(|(id, &value)| Candidate { token: id as TokenId, value }).collect()
    }

    fn kept(candidates: Vec<Candidate>) -> Vec<TokenId> {
        let mut tokens: Vec<_> = candidates.into_iter().map(|candidate| candidate.token).collect();
        tokens.sort_unstable();
        tokens
    }

    /// top-p by the book: sort everything, add up.
    fn naive_top_p(values: &[f32], p: f32) -> Vec<TokenId> {
        let mut all = candidates(values);
        all.sort_by(descending);
        let max = f64::from(all[0].value);
        let total: f64 = all.iter().map(|c| (f64::from(c.value) - max).exp()).sum();
        let mut before = 0.0;
        all.retain(|c| {
            let keep = before < f64::from(p) * total;
            before += (f64::from(c.value) - max).exp();
            keep
        });
        kept(all)
    }

    #[test]
    fn a_whole_vocabulary_is_cut_where_sorting_cuts_it() {
        // Nearly flat, peaked, all the same, and with one far above the others.
        let shapes: [fn(usize) -> f32; 4] = [
            |n| (n * 7919 % 150_000) as f32 / 1e6,
            |n| -(((n * 7919 % 150_000) as f32).ln()),
            |_| 1.5,
            |n| if n == 77 { 40.0 } else { (n % 11) as f32 / 7.0 },
        ];
        for shape in shapes {
            let values: Vec<f32> = (1..150_000).map(shape).collect();
            for p in [0.001, 0.5, 0.9, 0.999] {
                let mut some = candidates(&values);
                top_p(&mut some, p);
                let (got, expected) = (kept(some), naive_top_p(&values, p));
                // Sums of so many single-precision weights differ in the last digits.
                assert!(
                    got.len().abs_diff(expected.len()) <= 1 + expected.len() / 100_000,
                    "{} {}",
                    got.len(),
                    expected.len()
                );
                let common = got.iter().filter(|token| expected.binary_search(token).is_ok()).count();
                assert!(common + 2 >= got.len().min(expected.len()));
            }
        }
    }

    #[test]
    fn ties_at_the_kth_place_stay() {
        let mut some = candidates(&[1.0, 3.0, 2.0, 2.0, 0.0]);
        top_k(&mut some, 2);
        assert_eq!(kept(some), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn few_of_many_hold_the_top_k(steps in prop::collection::vec(-40_i32..40, 2..6000), k in 1_usize..300) {
            // Whole numbers, so that many are alike.
            let values: Vec<f32> = steps.into_iter().map(|step| step as f32 / 4.0).collect();
            let mut few = Vec::new();
            let mut likeliest = Likeliest::new(k, &mut few);
            candidates(&values).into_iter().for_each(|candidate| likeliest.offer(candidate));
            top_k(&mut few, k);
            let mut all = candidates(&values);
            top_k(&mut all, k);
            prop_assert_eq!(kept(few), kept(all));
        }

        #[test]
        fn selection_keeps_what_sorting_keeps(
            values in prop::collection::vec(-8.0_f32..8.0, 2..3000), p in 0.01_f32..0.999
        ) {
            let mut some = candidates(&values);
            top_p(&mut some, p);
            let expected = naive_top_p(&values, p);
            // The last one may go either way when its mass falls on the boundary by rounding.
            prop_assert!(some.len().abs_diff(expected.len()) <= 1);
            let got = kept(some);
            let common = got.iter().filter(|token| expected.contains(token)).count();
            prop_assert!(common + 1 >= got.len().max(expected.len()));
        }
    }
}
