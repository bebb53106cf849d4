//! [`Logits`]: what a step says of the next tokens.

use std::ops::Range;
use std::sync::Arc;

use super::SequenceStep;

/// The logits of one sequence in a step, row-major `(rows, vocab_size)`.
#[derive(Debug, Clone, Default)]
pub struct Logits {
    /// Of all sequences of the step, which share the memory.
    step: Arc<Vec<f32>>,
    own: Range<usize>,
    vocab_size: usize,
}

impl Logits {
    /// Logits of `values.len() / vocab_size` rows.
    pub fn new(values: Vec<f32>, vocab_size: usize) -> Self {
        Self { own: 0..values.len(), step: Arc::new(values), vocab_size }
    }

    /// Hands each sequence its rows of a step's logits, which are `(rows, vocab_size)`.
    pub(super) fn split(step: &Arc<Vec<f32>>, batch: &[SequenceStep<'_>], vocab_size: usize) -> Vec<Self> {
        let mut end = 0;
        let each = batch.iter().map(|part| {
            let start = end;
            end += part.logits.rows(part.tokens.len()) * vocab_size;
            Self { step: Arc::clone(step), own: start..end, vocab_size }
        });
        each.collect()
    }

    /// How many rows there are: 0, 1 or one for each token, as asked.
    pub fn rows(&self) -> usize {
        self.own.len().checked_div(self.vocab_size).unwrap_or(0)
    }

    /// The last row; `None` when no logits were asked for.
    pub fn last(&self) -> Option<&[f32]> {
        let values = self.values();
        values.len().checked_sub(self.vocab_size).map(|start| &values[start..])
    }

    /// All rows, one after another.
    pub fn values(&self) -> &[f32] {
        &self.step[self.own.clone()]
    }
}

impl PartialEq for Logits {
    fn eq(&self, other: &Self) -> bool {
        self.vocab_size == other.vocab_size && self.values() == other.values()
    }
}

/// Memory for the logits of one step after another. It is used again once nobody holds those of the
/// step before: some megabytes, that the system would have to clear each time.
#[derive(Debug, Default)]
pub(super) struct LogitsBuffer(Arc<Vec<f32>>);

impl LogitsBuffer {
    /// Room for `len` values, which may be anything.
    pub(super) fn room(&mut self, len: usize) -> &mut Vec<f32> {
        if Arc::get_mut(&mut self.0).is_none() {
            self.0 = Arc::default();
        }
        // Nobody else has it, so nothing is copied.
        let values = Arc::make_mut(&mut self.0);
        values.resize(len, 0.0);
        values
    }

    /// What was written there, for the sequences of the step.
    pub(super) fn split(&self, batch: &[SequenceStep<'_>], vocab_size: usize) -> Vec<Logits> {
        Logits::split(&self.0, batch, vocab_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{LogitsAt, SequenceId};

    #[test]
    fn memory_is_used_again_when_nobody_holds_it() {
        let step = |logits| SequenceStep { sequence: SequenceId::new(0), position: 0, tokens: &[7, 8], logits };
        let batch = [step(LogitsAt::Last), step(LogitsAt::None), step(LogitsAt::All)];
        let mut buffer = LogitsBuffer::default();
        buffer.room(6).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let first = buffer.split(&batch, 2);
        let values: Vec<_> = first.iter().map(Logits::values).collect();
        assert_eq!(values, [&[1.0, 2.0][..], &[], &[3.0, 4.0, 5.0, 6.0]]);
        assert_eq!((first[1].last(), first[2].last(), first[2].rows()), (None, Some(&[5.0, 6.0][..]), 2));

        let place = buffer.room(6).as_ptr();
        assert_ne!(place, first[0].step.as_ptr(), "the first step's logits are still held");
        assert_eq!(first[0].values(), [1.0, 2.0]);
        drop(buffer.split(&batch, 2));
        assert_eq!(buffer.room(4).as_ptr(), place);
    }
}
