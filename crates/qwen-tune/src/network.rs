//! [`loss`]: the forward pass of Qwen3 over packed rows, in operations that have gradients.

use candle_core::{Device, Result, Tensor};
use qwen_runtime::{HeadWeights, LayerTensor as L, TensorName};

use crate::composed::Batch;
use crate::error::TuneError;
use crate::fused::{self, FusedRow};
use crate::operations::Operations;
use crate::packing::PackedRow;
use crate::parameters::Parameters;

/// The sum over the targets of all rows of `-ln p(target)`, a scalar, tracked for the gradients of the
/// parameters. The rows are computed together, the shorter ones filled up.
///
/// # Errors
/// [`TuneError::Compute`], also for a token that the embedding has no row for, and for no rows.
pub fn loss(parameters: &Parameters, rows: &[&PackedRow]) -> std::result::Result<Tensor, TuneError> {
    let dtype = parameters.tensor(TensorName::Embedding)?.dtype();
    match rows {
        [row] if parameters.device().is_cpu() && fused::knows(dtype) => {
            forward(parameters, rows, &FusedRow::new(parameters.architecture(), row))
        }
        _ => forward(parameters, rows, &Batch::new(parameters, rows, dtype)?),
    }
}

fn forward(
    parameters: &Parameters,
    rows: &[&PackedRow],
    with: &impl Operations,
) -> std::result::Result<Tensor, TuneError> {
    let (architecture, device) = (parameters.architecture(), parameters.device());
    let len = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
    let weight = |name| parameters.tensor(name);
    let mut x = weight(TensorName::Embedding)?.index_select(&tokens(rows, len, device)?, 0)?; // (rows · len, hidden)
    for layer in 0..architecture.layers {
        let vector = |tensor| weight(TensorName::Layer(layer, tensor));
        let linear = |x: &Tensor, tensor| parameters.product(x, TensorName::Layer(layer, tensor));
        let normed = with.norm(&x, vector(L::AttentionNorm)?)?;
        let (query, key, value) = (linear(&normed, L::Query)?, linear(&normed, L::Key)?, linear(&normed, L::Value)?);
        let attended = with.attention([&query, &key, &value], [vector(L::QueryNorm)?, vector(L::KeyNorm)?])?;
        x = (x + linear(&attended, L::Output)?)?;
        let normed = with.norm(&x, vector(L::FeedForwardNorm)?)?;
        let gated = with.gated(&linear(&normed, L::Gate)?, &linear(&normed, L::Up)?)?;
        x = (x + linear(&gated, L::Down)?)?;
    }
    let (after, wanted) = targets(rows, len);
    // Logits are computed where something is learnt only.
    let x = x.index_select(&Tensor::new(after, device)?, 0)?; // (targets, hidden)
    let x = with.norm(&x, weight(TensorName::OutputNorm)?)?;
    let head = match architecture.head {
        HeadWeights::Tied => TensorName::Embedding,
        HeadWeights::Untied => TensorName::Head,
    };
    let logits = parameters.product(&x, head)?; // (targets, vocab)
    Ok(with.cross_entropy(&logits, wanted)?)
}

/// The tokens of all rows, the shorter ones filled up with token 0.
fn tokens(rows: &[&PackedRow], len: usize, device: &Device) -> Result<Tensor> {
    let mut tokens = vec![0; rows.len() * len];
    for (row, to) in rows.iter().zip(tokens.chunks_mut(len.max(1))) {
        to[..row.tokens.len()].copy_from_slice(&row.tokens);
    }
    Tensor::new(tokens, device)
}

/// The places after which something is learnt, and what.
fn targets(rows: &[&PackedRow], len: usize) -> (Vec<u32>, Vec<u32>) {
    let starts = (0..).step_by(len.max(1));
    let all = starts.zip(rows).flat_map(|(start, row)| row.targets.iter().map(move |target| (start, target)));
    all.map(|(start, target): (u32, _)| (start + target.after, target.token)).unzip()
}
