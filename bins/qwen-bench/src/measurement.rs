//! Owns how a test is run on an engine and timed. Must not know which engine it is, nor what becomes of the numbers.

use std::ops::Range;
use std::time::{Duration, Instant};

use qwen_runtime::{Engine, LogitsAt, RuntimeError, SequenceId, SequenceStep, TokenId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::failure::Failure;
use crate::plan::Test;

/// What happens beside a test, and how often it is run.
pub(crate) struct Schedule<'a> {
    pub(crate) repetitions: usize,
    /// Called before the first repetition and after each.
    pub(crate) between: &'a mut dyn FnMut() -> Result<(), Failure>,
    /// Hears what is being done.
    pub(crate) progress: &'a dyn Fn(&str),
}

/// Runs tests on an engine.
pub(crate) struct Runner<'a> {
    engine: &'a mut dyn Engine,
    vocabulary: TokenId,
    rng: ChaCha8Rng,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(engine: &'a mut dyn Engine) -> Self {
        let vocabulary = TokenId::try_from(engine.architecture().vocab_size).unwrap_or(TokenId::MAX);
        Self { engine, vocabulary, rng: ChaCha8Rng::seed_from_u64(1) }
    }

    /// The time of each repetition. All start from the same depth, after one run that is not timed.
    pub(crate) fn run(&mut self, test: Test, schedule: Schedule<'_>) -> Result<Vec<Duration>, Failure> {
        let sequences: Vec<_> = (0..test.sequences).map(|_| self.engine.allocate()).collect::<Result<_, _>>()?;
        if test.depth > 0 {
            (schedule.progress)("depth run");
            self.prefill(&sequences, 0..test.depth, test.ubatch, LogitsAt::None)?;
        }
        (schedule.progress)("warmup run");
        self.measured(&sequences, Test { generated: test.generated.min(1), ..test })?;
        self.rewind(&sequences, test.depth)?;
        (schedule.between)()?;
        let mut times = Vec::new();
        for repetition in 1..=schedule.repetitions {
            (schedule.progress)(&format!("run {repetition}/{}", schedule.repetitions));
            let start = Instant::now();
            self.measured(&sequences, test)?;
            times.push(start.elapsed());
            self.rewind(&sequences, test.depth)?;
            (schedule.between)()?;
        }
        for sequence in sequences {
            self.engine.free(sequence)?;
        }
        Ok(times)
    }

    /// What is timed: the prompts, then one token after the other.
    fn measured(&mut self, sequences: &[SequenceId], test: Test) -> Result<(), RuntimeError> {
        let start = test.depth + test.prompt;
        if test.prompt > 0 {
            self.prefill(sequences, test.depth..start, test.ubatch, LogitsAt::Last)?;
        }
        for position in start..start + test.generated {
            let tokens: Vec<_> = sequences.iter().map(|_| self.random_token()).collect();
            let step = |(&sequence, token)| SequenceStep {
                sequence,
                position,
                tokens: std::slice::from_ref(token),
                logits: LogitsAt::Last,
            };
            let batch: Vec<_> = sequences.iter().zip(&tokens).map(step).collect();
            self.engine.step(&batch)?;
        }
        Ok(())
    }

    /// Fills the positions of every sequence with random tokens, `ubatch` in a step; logits at the end of each sequence
    /// only.
    fn prefill(
        &mut self,
        sequences: &[SequenceId],
        positions: Range<usize>,
        ubatch: usize,
        at_end: LogitsAt,
    ) -> Result<(), RuntimeError> {
        for chunks in chunks(sequences.len(), positions.len(), ubatch) {
            let random = |chunk: &Chunk| chunk.tokens.clone().map(|_| self.random_token()).collect::<Vec<_>>();
            let tokens: Vec<_> = chunks.iter().map(random).collect();
            let step = |(chunk, tokens): (&Chunk, _)| SequenceStep {
                sequence: sequences[chunk.sequence],
                position: positions.start + chunk.tokens.start,
                tokens,
                logits: if chunk.tokens.end == positions.len() { at_end } else { LogitsAt::None },
            };
            let batch: Vec<_> = chunks.iter().zip(tokens.iter().map(Vec::as_slice)).map(step).collect();
            self.engine.step(&batch)?;
        }
        Ok(())
    }

    fn rewind(&mut self, sequences: &[SequenceId], depth: usize) -> Result<(), RuntimeError> {
        sequences.iter().try_for_each(|&sequence| self.engine.truncate(sequence, depth))
    }

    fn random_token(&mut self) -> TokenId {
        self.rng.random_range(0..self.vocabulary)
    }
}

/// A part of one sequence in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    sequence: usize,
    tokens: Range<usize>,
}

/// The steps that take `len` tokens of each sequence, one sequence after the other, `ubatch` tokens in each step.
fn chunks(sequences: usize, len: usize, ubatch: usize) -> impl Iterator<Item = Vec<Chunk>> {
    let total = sequences * len;
    (0..total).step_by(ubatch).map(move |start| {
        let end = (start + ubatch).min(total);
        let part = |sequence: usize| {
            let first = sequence * len;
            Chunk { sequence, tokens: start.max(first) - first..end.min(first + len) - first }
        };
        (start / len..end.div_ceil(len)).map(part).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sequences: usize, len: usize, ubatch: usize) -> Vec<Vec<(usize, Range<usize>)>> {
        let pairs = |chunks: Vec<Chunk>| chunks.into_iter().map(|chunk| (chunk.sequence, chunk.tokens)).collect();
        chunks(sequences, len, ubatch).map(pairs).collect()
    }

    #[test]
    fn steps_are_full_and_cover_everything_once() {
        assert_eq!(shown(1, 5, 512), [vec![(0, 0..5)]]);
        assert_eq!(shown(1, 5, 2), [vec![(0, 0..2)], vec![(0, 2..4)], vec![(0, 4..5)]]);
        assert_eq!(shown(2, 4, 4), [vec![(0, 0..4)], vec![(1, 0..4)]]);
        assert_eq!(shown(3, 4, 5), [vec![(0, 0..4), (1, 0..1)], vec![(1, 1..4), (2, 0..2)], vec![(2, 2..4)]]);
        assert_eq!(shown(3, 2, 9), [vec![(0, 0..2), (1, 0..2), (2, 0..2)]]);
    }
}
