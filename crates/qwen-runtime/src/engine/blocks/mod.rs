//! The KV cache's room, without its tensors: a pool of blocks of equal size, and for each sequence
//! a table of the blocks that hold its tokens.
//!
//! Sequences share blocks, each counted by its owners. A block that is full can be found again by
//! what it holds: the tokens in it, after exactly the tokens before it. So a new sequence starts
//! from what earlier ones have computed, and blocks that nobody owns stay findable until their
//! place is needed.

mod block;
mod pool;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use block::BlockCopy;
#[cfg(test)]
pub(crate) use block::BlockId;
pub(crate) use pool::BlockPool;
