//! [`Operations`]: what a forward pass needs beside products of matrices.

use candle_core::{Result, Tensor};

/// The operations of a forward pass that are more than a product of matrices.
pub(crate) trait Operations {
    /// RMS norm of the last dimension.
    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// Attention of every token to those that it sees, after the norms of queries and keys and rotary
    /// position embedding: queries `(rows · len, heads · head_dim)`, keys and values
    /// `(rows · len, kv · head_dim)`, to `(rows · len, heads · head_dim)`.
    fn attention(&self, projected: [&Tensor; 3], norms: [&Tensor; 2]) -> Result<Tensor>;

    /// `silu(gate) · up` (arXiv 2002.05202).
    fn gated(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor>;

    /// The sum of `-ln softmax(logits)[wanted]`: `(targets, vocab)` to a scalar.
    fn cross_entropy(&self, logits: &Tensor, wanted: Vec<u32>) -> Result<Tensor>;
}
