//! The seam between generation and computation: [`Engine`].
//!
//! An engine owns a model and its KV cache. It knows token ids and logits; it knows nothing of
//! text, sampling or requests.

pub(crate) mod blocks;
pub(crate) mod candle;
pub(crate) mod cpu;
mod logits;
mod rope;
mod step;
pub(crate) mod weight_form;

pub use logits::Logits;

use crate::TokenId;
use crate::checkpoint::Architecture;
use crate::error::RuntimeError;

/// A handle into an engine's KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(u64);

impl SequenceId {
    /// The handle number `index`; engines number their sequences, and never use a number twice.
    pub fn new(index: u64) -> Self {
        Self(index)
    }
}

/// At which of a step's tokens logits are wanted. The head is a third of a small model's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitsAt {
    /// Nowhere: a chunk of a prompt that is not its end.
    None,
    /// After the last token.
    Last,
    /// After every token.
    All,
}

impl LogitsAt {
    /// Rows of logits that a sequence of `tokens` new tokens gets.
    pub(crate) fn rows(self, tokens: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Last => 1,
            Self::All => tokens,
        }
    }
}

/// One sequence's part of a step.
#[derive(Debug, Clone, Copy)]
pub struct SequenceStep<'a> {
    /// Which sequence.
    pub sequence: SequenceId,
    /// Where the new tokens start: the sequence's length before the step.
    pub position: usize,
    /// The new tokens, at least one.
    pub tokens: &'a [TokenId],
    /// Where logits are wanted.
    pub logits: LogitsAt,
}

/// What an engine can hold, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Most sequences at once.
    pub max_sequences: usize,
    /// Sequences allocated.
    pub sequences: usize,
    /// Longest sequence in tokens.
    pub max_sequence_len: usize,
    /// Tokens that the KV cache holds at most, over all sequences.
    pub max_tokens: usize,
    /// Tokens that it holds; those that sequences share may count for each.
    pub tokens: usize,
    /// Tokens of a new sequence that would fit now.
    pub free_tokens: usize,
}

/// Runs a model over batches of sequences.
///
/// A failed call changes nothing: the same sequences have the same lengths and contents as before.
pub trait Engine: Send {
    /// The numbers of the model.
    fn architecture(&self) -> &Architecture;

    /// What runs it, for people: for example `candle on cpu, float32`.
    fn description(&self) -> String;

    /// What it can hold, and what it holds.
    fn capacity(&self) -> Capacity;

    /// Makes an empty sequence.
    ///
    /// # Errors
    /// [`RuntimeError::CacheFull`] when there are as many as the engine can hold.
    fn allocate(&mut self) -> Result<SequenceId, RuntimeError>;

    /// Makes a sequence that starts with as many of `tokens` as earlier sequences have left in the
    /// KV cache, and says how many those are: fewer than all, so that the rest yields logits.
    ///
    /// An engine that keeps nothing makes an empty sequence.
    ///
    /// # Errors
    /// As [`Engine::allocate`].
    fn resume(&mut self, tokens: &[TokenId]) -> Result<(SequenceId, usize), RuntimeError> {
        let _ = tokens;
        Ok((self.allocate()?, 0))
    }

    /// Forgets a sequence. What it holds may stay for [`Engine::resume`] while there is room.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`].
    fn free(&mut self, sequence: SequenceId) -> Result<(), RuntimeError>;

    /// Tokens of a sequence.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`].
    fn len(&self, sequence: SequenceId) -> Result<usize, RuntimeError>;

    /// Forgets the tokens of a sequence from position `length` on.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`], or [`RuntimeError::InvalidStep`] when it is shorter.
    fn truncate(&mut self, sequence: SequenceId, length: usize) -> Result<(), RuntimeError>;

    /// Makes a sequence that starts with the first `length` tokens of another one.
    ///
    /// # Errors
    /// As [`Engine::truncate`], or [`RuntimeError::CacheFull`].
    fn fork(&mut self, sequence: SequenceId, length: usize) -> Result<SequenceId, RuntimeError>;

    /// Appends tokens to sequences and returns their logits, in the order of `batch`.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`]; [`RuntimeError::InvalidStep`] when a position is not the
    /// sequence's length, a sequence occurs twice, has no tokens, or a token is no row of the
    /// embedding; [`RuntimeError::CacheFull`]; [`RuntimeError::Compute`].
    fn step(&mut self, batch: &[SequenceStep<'_>]) -> Result<Vec<Logits>, RuntimeError>;

    /// Does, while there is no step to do, a little of what later ones would wait for: no more than milliseconds take.
    /// Says whether something is left.
    fn prepare(&mut self) -> bool {
        false
    }
}

/// Checks that a sequence of `actual` tokens has as many as `wanted`.
fn require_length(actual: usize, wanted: usize) -> Result<(), RuntimeError> {
    if wanted > actual {
        return Err(RuntimeError::InvalidStep(format!("length {wanted} of a sequence of {actual} tokens")));
    }
    Ok(())
}
