//! What every engine does with a step before it computes.

use std::collections::HashSet;

use super::{SequenceId, SequenceStep};
use crate::error::RuntimeError;

/// Checks the parts of a step one after another, before anything is computed.
pub(super) struct StepCheck {
    vocab_size: usize,
    seen: HashSet<SequenceId>,
}

impl StepCheck {
    pub(super) fn new(vocab_size: usize) -> Self {
        Self { vocab_size, seen: HashSet::new() }
    }

    /// Checks the next part, whose sequence has `past` tokens.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidStep`].
    pub(super) fn part(&mut self, step: &SequenceStep<'_>, past: usize) -> Result<(), RuntimeError> {
        let invalid = |reason: String| Err(RuntimeError::InvalidStep(reason));
        if !self.seen.insert(step.sequence) {
            return invalid("a sequence occurs twice".to_owned());
        }
        if step.position != past {
            return invalid(format!("position {} in a sequence of {past} tokens", step.position));
        }
        if step.tokens.is_empty() {
            return invalid("a sequence has no new tokens".to_owned());
        }
        if let Some(token) = step.tokens.iter().find(|&&token| token as usize >= self.vocab_size) {
            return invalid(format!("token {token} is no row of the embedding"));
        }
        Ok(())
    }
}
