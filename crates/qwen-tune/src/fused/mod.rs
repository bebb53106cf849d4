//! [`FusedRow`]: a forward pass in operations that a processor computes in one pass over memory, each
//! with its gradient worked out by hand: what candle makes of several operations is as slow as the
//! memory between them.
//!
//! They are for one packed row, in F32 or F64. `composed` has the same operations in candle's own, and
//! tests compare the two.

mod attention;
mod cross_entropy;
mod real;
mod rms_norm;
mod rotation;
mod swiglu;

use std::sync::Arc;

use candle_core::{Result, Tensor};
use qwen_runtime::Architecture;

use crate::operations::Operations;
use crate::packing::PackedRow;
use attention::{Attention, Sight};
use cross_entropy::CrossEntropy;
pub(crate) use real::knows;
use rms_norm::RmsNorm;
use rotation::NormedRotation;
use swiglu::SwiGlu;

/// What the operations are told of a row.
pub(crate) struct FusedRow {
    eps: f64,
    kv_heads: usize,
    sight: Arc<Sight>,
    /// Cosine and sine of each token's angles, `(len, head_dim / 2)`.
    turns: Arc<[(f64, f64)]>,
}

impl FusedRow {
    pub(crate) fn new(architecture: &Architecture, row: &PackedRow) -> Self {
        let angles = row.angles(architecture.rope.theta, architecture.head_dim / 2);
        Self {
            eps: architecture.rms_norm_eps,
            kv_heads: architecture.kv_heads,
            sight: Arc::new(Sight::of(row)),
            turns: angles.map(|angle| (angle.cos(), angle.sin())).collect(),
        }
    }
}

impl Operations for FusedRow {
    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        x.apply_op2(weight, RmsNorm { eps: self.eps })
    }

    fn attention(&self, [query, key, value]: [&Tensor; 3], [query_norm, key_norm]: [&Tensor; 2]) -> Result<Tensor> {
        let turned =
            |x: &Tensor, norm: &Tensor| x.apply_op2(norm, NormedRotation { eps: self.eps, turns: self.turns.clone() });
        let attention = Attention { sight: self.sight.clone(), kv_heads: self.kv_heads };
        turned(query, query_norm)?.apply_op3(&turned(key, key_norm)?, value, attention)
    }

    fn gated(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        gate.apply_op2(up, SwiGlu)
    }

    fn cross_entropy(&self, logits: &Tensor, wanted: Vec<u32>) -> Result<Tensor> {
        logits.apply_op1(CrossEntropy { wanted })
    }
}
