//! [`Sampler`]: logits in, a token out.

use std::sync::Arc;

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::filters::{self, Candidate, Likeliest};
use super::history::TokenHistory;
use super::params::SamplingParams;
use crate::TokenId;

/// Logits that are looked at together.
const STRETCH: usize = 256;

/// Which rows of the logits are real tokens: the vocabulary may be padded.
#[derive(Debug, Clone)]
pub struct KnownTokens(Arc<[bool]>);

impl KnownTokens {
    /// `known[id]` says whether the tokenizer has a token of that id; ids beyond its end are not known.
    pub fn new(known: Vec<bool>) -> Self {
        Self(known.into())
    }

    /// All ids below `vocab_size`.
    pub fn all(vocab_size: usize) -> Self {
        Self(vec![true; vocab_size].into())
    }

    /// Whether the id is a token.
    pub fn contains(&self, token: TokenId) -> bool {
        self.0.get(token as usize).copied().unwrap_or(false)
    }

    /// The known token of the largest logit, the lowest id on a tie; `None` when there is none.
    pub fn argmax(&self, logits: &[f32]) -> Option<TokenId> {
        let mut best: Option<Candidate> = None;
        for candidate in self.candidates(logits) {
            if best.is_none_or(|best| candidate.value > best.value) {
                best = Some(candidate);
            }
        }
        best.map(|best| best.token)
    }

    /// Offers the known tokens that may be drawn at all, and passes over stretches of small logits at once.
    fn offer(&self, logits: &[f32], mut likeliest: Likeliest<'_>) {
        for (index, stretch) in logits.chunks(STRETCH).enumerate() {
            // Lanes, so that the comparisons become those of vectors.
            let mut most = [f32::NEG_INFINITY; 16];
            for part in stretch.chunks(16) {
                for (most, &value) in most.iter_mut().zip(part) {
                    *most = if value > *most { value } else { *most };
                }
            }
            if most.iter().any(|&most| most > f32::NEG_INFINITY && likeliest.takes(most)) {
                let first = index * STRETCH;
                let known = Self::candidates_from(self.0.get(first..).unwrap_or_default(), stretch, first);
                known.for_each(|candidate| likeliest.offer(candidate));
            }
        }
    }

    /// The known tokens that may be drawn at all. A logit that is not a number would make every sum
    /// so: such a token is not a candidate.
    fn candidates<'a>(&'a self, logits: &'a [f32]) -> impl Iterator<Item = Candidate> + 'a {
        Self::candidates_from(&self.0, logits, 0)
    }

    /// The same of tokens from `first` on.
    fn candidates_from<'a>(known: &'a [bool], logits: &'a [f32], first: usize) -> impl Iterator<Item = Candidate> + 'a {
        let known = known.iter().zip(logits).enumerate().filter(|(_, (known, _))| **known);
        known
            .map(move |(id, (_, &value))| Candidate { token: (first + id) as TokenId, value })
            .filter(|candidate| candidate.value > f32::NEG_INFINITY)
    }
}

/// Draws the tokens of one sequence.
///
/// The same seed, logits and history give the same tokens on every machine: the generator is
/// ChaCha8, and sums run in a fixed order.
#[derive(Debug)]
pub struct Sampler {
    params: SamplingParams,
    known: KnownTokens,
    rng: ChaCha8Rng,
    /// Logits that were changed. Kept, as the candidates are, to save an allocation for each token.
    changed: Vec<f32>,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// A sampler with its own generator, seeded from the operating system where `params` has no seed.
    pub fn new(params: SamplingParams, known: KnownTokens) -> Self {
        let rng = match params.seed {
            Some(seed) => ChaCha8Rng::seed_from_u64(seed),
            None => ChaCha8Rng::from_os_rng(),
        };
        Self { params, known, rng, changed: Vec::new(), candidates: Vec::new() }
    }

    /// Draws the next token; `banned` tokens are left out. `None` when nothing is left to draw.
    ///
    /// `logits` has one value for each row of the head.
    pub fn sample(&mut self, logits: &[f32], history: &TokenHistory, banned: &[TokenId]) -> Option<TokenId> {
        let logits = change(&self.params, logits, history, banned, &mut self.changed);
        if self.params.temperature == 0.0 {
            return self.known.argmax(logits);
        }
        filter(&self.params, &self.known, logits, &mut self.candidates);
        self.draw()
    }

    /// The distribution that [`Sampler::sample`] draws from: tokens with their probabilities, in no
    /// particular order. At temperature 0 all mass is on the most probable token.
    pub fn distribution(&mut self, logits: &[f32], history: &TokenHistory) -> &[Candidate] {
        let logits = change(&self.params, logits, history, &[], &mut self.changed);
        if self.params.temperature == 0.0 {
            let best = self.known.argmax(logits);
            self.candidates.clear();
            self.candidates.extend(best.map(|token| Candidate { token, value: 1.0 }));
        } else {
            filter(&self.params, &self.known, logits, &mut self.candidates);
        }
        &self.candidates
    }

    fn draw(&mut self) -> Option<TokenId> {
        // 53 bits make a uniform number in [0, 1) as fine as an f64 can be.
        let uniform = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        // The order of selection may change with the standard library; the order of ids does not.
        self.candidates.sort_unstable_by_key(|candidate| candidate.token);
        let total: f64 = self.candidates.iter().map(|candidate| f64::from(candidate.value)).sum();
        let mut rest = uniform * total;
        for candidate in &self.candidates {
            rest -= f64::from(candidate.value);
            if rest < 0.0 {
                return Some(candidate.token);
            }
        }
        self.candidates.last().map(|candidate| candidate.token)
    }
}

/// Bias and penalties, in the order that transformers and vLLM give them, and no `banned` tokens. Where there are none of
/// all these, the logits are left where they are: a copy would be as much work as to look through them.
fn change<'a>(
    params: &SamplingParams,
    logits: &'a [f32],
    history: &TokenHistory,
    banned: &[TokenId],
    room: &'a mut Vec<f32>,
) -> &'a [f32] {
    let penalized =
        params.repetition_penalty != 1.0 || params.presence_penalty != 0.0 || params.frequency_penalty != 0.0;
    if params.logit_bias.is_empty() && !penalized && banned.is_empty() {
        return logits;
    }
    room.clear();
    room.extend_from_slice(logits);
    for &(token, bias) in &params.logit_bias {
        if let Some(logit) = room.get_mut(token as usize) {
            *logit += bias;
        }
    }
    let seen = if penalized { Some(history.iter()) } else { None };
    for (token, generated) in seen.into_iter().flatten() {
        let Some(logit) = room.get_mut(token as usize) else { continue };
        if *logit > 0.0 {
            *logit /= params.repetition_penalty;
        } else {
            *logit *= params.repetition_penalty;
        }
        if generated > 0 {
            *logit -= params.presence_penalty + params.frequency_penalty * generated as f32;
        }
    }
    for &token in banned {
        if let Some(logit) = room.get_mut(token as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
    room
}

/// Temperature, top-k, top-p, min-p, softmax.
fn filter(params: &SamplingParams, known: &KnownTokens, logits: &[f32], candidates: &mut Vec<Candidate>) {
    candidates.clear();
    match params.top_k {
        0 => candidates.extend(known.candidates(logits)),
        // The temperature changes no order.
        k => known.offer(logits, Likeliest::new(k, candidates)),
    }
    filters::cool(candidates, params.temperature);
    filters::top_k(candidates, params.top_k);
    filters::top_p(candidates, params.top_p);
    filters::min_p(candidates, params.min_p);
    filters::softmax(candidates);
}

#[cfg(test)]
mod tests {
    use super::super::SamplingOptions;
    use super::*;

    fn sampler(options: SamplingOptions, known: KnownTokens) -> Sampler {
        Sampler::new(options.validate().unwrap(), known)
    }

    #[test]
    fn unknown_and_banned_tokens_are_never_drawn() {
        let known = KnownTokens::new(vec![true, true, false]);
        let logits = [0.0, 1.0, 50.0, 60.0];
        for temperature in [0.0, 5.0] {
            let options = SamplingOptions { temperature: Some(temperature), seed: Some(1), ..Default::default() };
            let mut sampler = sampler(options, known.clone());
            for _ in 0..200 {
                let token = sampler.sample(&logits, &TokenHistory::default(), &[1]);
                assert_eq!(token, Some(0));
            }
            assert_eq!(sampler.sample(&logits, &TokenHistory::default(), &[0, 1]), None);
        }
    }

    #[test]
    fn greedy_takes_the_lowest_id_on_a_tie() {
        let options = SamplingOptions { temperature: Some(0.0), ..Default::default() };
        let mut sampler = sampler(options, KnownTokens::all(4));
        assert_eq!(sampler.sample(&[1.0, 2.0, 2.0, 0.0], &TokenHistory::default(), &[]), Some(1));
    }

    #[test]
    fn a_bias_moves_the_choice() {
        let options =
            SamplingOptions { temperature: Some(0.0), logit_bias: Some(vec![(2, 5.0)]), ..Default::default() };
        let mut sampler = sampler(options, KnownTokens::all(3));
        assert_eq!(sampler.sample(&[1.0, 2.0, 0.0], &TokenHistory::default(), &[]), Some(2));
    }

    #[test]
    fn logits_that_are_no_numbers_do_not_spoil_the_draw() {
        let options = SamplingOptions { seed: Some(7), ..Default::default() };
        let mut sampler = sampler(options, KnownTokens::all(3));
        assert_eq!(sampler.sample(&[f32::NAN, 1.0, f32::NEG_INFINITY], &TokenHistory::default(), &[]), Some(1));
    }

    #[test]
    fn the_smallest_temperature_and_the_largest_logit_are_greedy() {
        for (temperature, best) in [(1e-40, 3.0), (f32::MIN_POSITIVE, 3.0), (1.0, f32::INFINITY)] {
            let options = SamplingOptions { temperature: Some(temperature), seed: Some(7), ..Default::default() };
            let mut sampler = sampler(options, KnownTokens::all(4));
            assert_eq!(sampler.sample(&[1.0, best, 2.0, -9.0], &TokenHistory::default(), &[]), Some(1));
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let logits: Vec<f32> = (0..500).map(|i| ((i * 37) % 101) as f32 / 20.0).collect();
        let run = |seed| {
            let mut sampler = sampler(
                SamplingOptions { seed: Some(seed), temperature: Some(1.0), ..Default::default() },
                KnownTokens::all(500),
            );
            (0..64).map(|_| sampler.sample(&logits, &TokenHistory::default(), &[])).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
