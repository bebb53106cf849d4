//! [`BlockPool`]: sequences over a store of blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::block::{BlockCopy, BlockId};
use super::store::BlockStore;
use crate::TokenId;
use crate::engine::{SequenceId, require_length};
use crate::error::RuntimeError;

#[derive(Default)]
struct Sequence {
    tokens: Vec<TokenId>,
    /// The blocks of its tokens, and after a `reserve` those that the next tokens go to.
    table: Vec<BlockId>,
}

/// Which blocks of the KV cache hold which tokens of which sequence.
///
/// A step is: [`reserve`](Self::reserve), the copies that it asks for, the writing, and
/// [`append`](Self::append). Tables change in `reserve` and `append`; they are read anew for each step.
pub(crate) struct BlockPool {
    pub(super) store: BlockStore,
    block_len: usize,
    max_sequences: usize,
    sequences: BTreeMap<SequenceId, Sequence>,
    next: u64,
}

impl BlockPool {
    /// A pool of `blocks` blocks of `block_len` tokens each, in bundles of `bundle`, for up to `max_sequences`
    /// sequences.
    pub(crate) fn new(blocks: usize, bundle: usize, block_len: usize, max_sequences: usize) -> Self {
        let block_len = block_len.max(1);
        Self { store: BlockStore::new(blocks, bundle), block_len, max_sequences, sequences: BTreeMap::new(), next: 0 }
    }

    /// Makes an empty sequence.
    ///
    /// # Errors
    /// [`RuntimeError::CacheFull`] when there are as many as there may be.
    pub(crate) fn allocate(&mut self) -> Result<SequenceId, RuntimeError> {
        self.insert(Sequence::default())
    }

    /// Makes a sequence that starts with the longest beginning of `tokens` that is cached in full
    /// blocks, and says how many tokens that is. At least one is left to compute, since logits come
    /// of computing.
    ///
    /// # Errors
    /// As [`BlockPool::allocate`].
    pub(crate) fn resume(&mut self, tokens: &[TokenId]) -> Result<(SequenceId, usize), RuntimeError> {
        let id = self.allocate()?;
        let before_last = &tokens[..tokens.len().saturating_sub(1)];
        let mut table = Vec::new();
        let mut parent = None;
        for content in before_last.chunks_exact(self.block_len) {
            let Some(block) = self.store.find(parent, content) else { break };
            self.store.share(block);
            parent = self.store.content(block);
            table.push(block);
        }
        let cached = table.len() * self.block_len;
        self.sequences.insert(id, Sequence { tokens: tokens[..cached].to_vec(), table });
        Ok((id, cached))
    }

    /// Forgets a sequence; its full blocks stay findable until their place is needed.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`].
    pub(crate) fn free(&mut self, id: SequenceId) -> Result<(), RuntimeError> {
        let sequence = self.sequences.remove(&id).ok_or(RuntimeError::UnknownSequence)?;
        // The last block first: a block is of no use to anybody once the one before it is gone.
        sequence.table.into_iter().rev().for_each(|block| self.store.release(block));
        Ok(())
    }

    /// Tokens of a sequence.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`].
    pub(crate) fn len(&self, id: SequenceId) -> Result<usize, RuntimeError> {
        Ok(self.sequence(id)?.tokens.len())
    }

    /// Forgets the tokens of a sequence from position `length` on, and any room reserved after them.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`], or [`RuntimeError::InvalidStep`] when it is shorter.
    pub(crate) fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), RuntimeError> {
        let sequence = self.sequences.get_mut(&id).ok_or(RuntimeError::UnknownSequence)?;
        require_length(sequence.tokens.len(), length)?;
        sequence.tokens.truncate(length);
        let kept = length.div_ceil(self.block_len);
        sequence.table.drain(kept..).rev().for_each(|block| self.store.release(block));
        Ok(())
    }

    /// Makes a sequence of the first `length` tokens of another one, in the same blocks. A last block
    /// that is not full is shared too: who writes into it first gets a copy.
    ///
    /// # Errors
    /// As [`BlockPool::truncate`] and [`BlockPool::allocate`].
    pub(crate) fn fork(&mut self, id: SequenceId, length: usize) -> Result<SequenceId, RuntimeError> {
        let original = self.sequence(id)?;
        require_length(original.tokens.len(), length)?;
        let tokens = original.tokens[..length].to_vec();
        let table = original.table[..length.div_ceil(self.block_len)].to_vec();
        let fork = self.insert(Sequence { tokens, table: table.clone() })?;
        table.into_iter().for_each(|block| self.store.share(block));
        Ok(fork)
    }

    /// Makes room for the new tokens of a whole step, and returns the copies to make before the step
    /// writes. The copies are due even if the step then fails; [`BlockPool::truncate`] to the
    /// sequence's length gives unused room back.
    ///
    /// # Errors
    /// [`RuntimeError::CacheFull`], in tokens; [`RuntimeError::UnknownSequence`];
    /// [`RuntimeError::InvalidStep`] when a sequence occurs twice. Nothing is changed then.
    pub(crate) fn reserve(&mut self, step: &[(SequenceId, usize)]) -> Result<Vec<BlockCopy>, RuntimeError> {
        let (needed, available) = (self.blocks_needed(step)?, self.store.available());
        if needed > available {
            return Err(self.full(needed, available));
        }
        let full = self.full(1, 0);
        let mut copies = Vec::new();
        for &(id, new) in step.iter().filter(|(_, new)| *new > 0) {
            let Some(sequence) = self.sequences.get_mut(&id) else { continue };
            let (len, table) = (sequence.tokens.len(), &mut sequence.table);
            let written = len % self.block_len;
            if written > 0 {
                let number = len / self.block_len;
                let tail = table[number];
                if self.store.owners(tail) > 1 {
                    let before = number.checked_sub(1).map(|before| table[before]);
                    let Some(own) = self.store.take(before, number) else { return Err(full) };
                    copies.push(BlockCopy { from: tail, to: own, tokens: written });
                    self.store.release(tail);
                    table[number] = own;
                } else {
                    self.store.withdraw(tail);
                }
            }
            while table.len() < (len + new).div_ceil(self.block_len) {
                let Some(block) = self.store.take(table.last().copied(), table.len()) else { return Err(full) };
                table.push(block);
            }
        }
        Ok(copies)
    }

    /// Records that a step has written `tokens` at the end of a sequence. Blocks that are full now
    /// become findable; one whose content was there already is given back for that one.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`], or [`RuntimeError::InvalidStep`] when no room was reserved.
    pub(crate) fn append(&mut self, id: SequenceId, tokens: &[TokenId]) -> Result<(), RuntimeError> {
        let sequence = self.sequences.get_mut(&id).ok_or(RuntimeError::UnknownSequence)?;
        let (start, end) = (sequence.tokens.len(), sequence.tokens.len() + tokens.len());
        if tokens.is_empty() {
            return Ok(());
        }
        let written = sequence.table.get(start / self.block_len..end.div_ceil(self.block_len)).unwrap_or_default();
        let own = |block: &BlockId| self.store.owners(*block) == 1 && self.store.content(*block).is_none();
        if written.is_empty() || !written.iter().all(own) {
            return Err(RuntimeError::InvalidStep("no room was reserved for the tokens".to_owned()));
        }
        sequence.tokens.extend_from_slice(tokens);
        for index in start / self.block_len..end / self.block_len {
            let parent = match index.checked_sub(1).map(|before| self.store.content(sequence.table[before])) {
                None => None,
                // Every full block is findable. One that were not could not stand for what it ends.
                Some(None) => break,
                Some(parent) => parent,
            };
            let content = &sequence.tokens[index * self.block_len..(index + 1) * self.block_len];
            sequence.table[index] = self.store.publish(sequence.table[index], parent, content);
        }
        Ok(())
    }

    /// The blocks of a sequence, in the order of its tokens.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownSequence`].
    pub(crate) fn table(&self, id: SequenceId) -> Result<&[BlockId], RuntimeError> {
        Ok(&self.sequence(id)?.table)
    }

    /// Tokens of a block.
    #[cfg(test)]
    pub(crate) fn block_len(&self) -> usize {
        self.block_len
    }

    /// Sequences that there are.
    pub(crate) fn sequences(&self) -> usize {
        self.sequences.len()
    }

    /// Tokens of all sequences together; those in shared blocks count for each.
    pub(crate) fn tokens(&self) -> usize {
        self.sequences.values().map(|sequence| sequence.tokens.len()).sum()
    }

    /// Tokens that fit into all blocks.
    pub(crate) fn max_tokens(&self) -> usize {
        self.store.len() * self.block_len
    }

    /// Tokens of a new sequence that would fit now.
    pub(crate) fn free_tokens(&self) -> usize {
        self.store.available() * self.block_len
    }

    fn sequence(&self, id: SequenceId) -> Result<&Sequence, RuntimeError> {
        self.sequences.get(&id).ok_or(RuntimeError::UnknownSequence)
    }

    fn insert(&mut self, sequence: Sequence) -> Result<SequenceId, RuntimeError> {
        if self.sequences.len() >= self.max_sequences {
            return Err(RuntimeError::CacheFull { needed: 1, available: 0 });
        }
        let id = SequenceId::new(self.next);
        self.next += 1;
        self.sequences.insert(id, sequence);
        Ok(id)
    }

    /// Blocks that a step takes.
    fn blocks_needed(&self, step: &[(SequenceId, usize)]) -> Result<usize, RuntimeError> {
        let mut needed = 0;
        let mut seen = BTreeSet::new();
        let mut writers: BTreeMap<BlockId, usize> = BTreeMap::new();
        for &(id, new) in step {
            let Sequence { tokens, table } = self.sequence(id)?;
            if !seen.insert(id) {
                return Err(RuntimeError::InvalidStep("a sequence occurs twice".to_owned()));
            }
            needed += (tokens.len() + new).div_ceil(self.block_len).saturating_sub(table.len());
            if new > 0 && tokens.len() % self.block_len > 0 {
                *writers.entry(table[tokens.len() / self.block_len]).or_default() += 1;
            }
        }
        // Of those that share a block, one may write into it when all of them get to write.
        let copies = writers.into_iter().map(|(block, writers)| writers.min(self.store.owners(block) - 1));
        Ok(needed + copies.sum::<usize>())
    }

    fn full(&self, needed: usize, available: usize) -> RuntimeError {
        RuntimeError::CacheFull { needed: needed * self.block_len, available: available * self.block_len }
    }
}

/// Shows numbers only: tokens are the words of patients.
impl fmt::Debug for BlockPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockPool")
            .field("block_len", &self.block_len)
            .field("sequences", &self.sequences.len())
            .field("tokens", &self.tokens())
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl BlockPool {
    /// Checks that every block has as many owners as tables name it, and that none is lost.
    pub(crate) fn check(&self) {
        let mut owners: BTreeMap<BlockId, usize> = BTreeMap::new();
        for block in self.sequences.values().flat_map(|sequence| &sequence.table) {
            *owners.entry(*block).or_default() += 1;
        }
        for (&block, &owners) in &owners {
            assert_eq!(self.store.owners(block), owners, "{block:?}");
        }
        assert_eq!(self.store.available() + owners.len(), self.store.len(), "a block is lost");
        self.store.check();
    }
}
