//! [`loss`]: the forward pass of Qwen3 over a packed row, in operations that have gradients.

use candle_core::{D, DType, Device, Result, Tensor};
use qwen_runtime::{HeadWeights, LayerTensor as L, TensorName};

use crate::error::TuneError;
use crate::packing::PackedRow;
use crate::parameters::Parameters;

/// The sum over a row's targets of `-ln p(target)`, a scalar, tracked for the gradients of the
/// parameters.
///
/// # Errors
/// [`TuneError::Compute`], also for a token that the embedding has no row for.
pub fn loss(parameters: &Parameters, row: &PackedRow) -> std::result::Result<Tensor, TuneError> {
    let architecture = parameters.architecture();
    let weight = |name| parameters.tensor(name);
    let embedding = weight(TensorName::Embedding)?;
    let tokens = Tensor::new(row.tokens.as_slice(), &Device::Cpu)?;
    let mut x = embedding.index_select(&tokens, 0)?; // (tokens, hidden)
    let place = Place::new(parameters, row, embedding.dtype())?;
    for layer in 0..architecture.layers {
        let weight = |tensor| weight(TensorName::Layer(layer, tensor));
        let normed = rms_norm(&x, weight(L::AttentionNorm)?, architecture.rms_norm_eps)?;
        let attended = place.attention(&normed, weight)?;
        x = (x + linear(&attended, weight(L::Output)?)?)?;
        let normed = rms_norm(&x, weight(L::FeedForwardNorm)?, architecture.rms_norm_eps)?;
        let gated = (linear(&normed, weight(L::Gate)?)?.silu()? * linear(&normed, weight(L::Up)?)?)?;
        x = (x + linear(&gated, weight(L::Down)?)?)?;
    }
    let after: Vec<u32> = row.targets.iter().map(|target| target.after).collect();
    let wanted: Vec<u32> = row.targets.iter().map(|target| target.token).collect();
    // Logits are computed where something is learnt only.
    let x = x.index_select(&Tensor::new(after, &Device::Cpu)?, 0)?; // (targets, hidden)
    let x = rms_norm(&x, weight(TensorName::OutputNorm)?, architecture.rms_norm_eps)?;
    let head = match architecture.head {
        HeadWeights::Tied => embedding,
        HeadWeights::Untied => weight(TensorName::Head)?,
    };
    let logits = linear(&x, head)?; // (targets, vocab)
    let wanted = Tensor::new(wanted, &Device::Cpu)?.unsqueeze(1)?;
    let largest = logits.detach().max_keepdim(D::Minus1)?;
    let shifted = logits.broadcast_sub(&largest)?;
    let total = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok((total - shifted.gather(&wanted, 1)?)?.sum_all()?)
}

/// `x Wᵀ`.
fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)
}

/// RMS norm of the last dimension.
fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let mean = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?;
    x.broadcast_div(&mean.sqrt()?)?.broadcast_mul(weight)
}

/// What attention is told of a row.
struct Place<'a> {
    parameters: &'a Parameters,
    /// 0 where a token sees another, else minus infinity: `(tokens, tokens)`.
    mask: Tensor,
    /// `(tokens, head_dim / 2)`
    cos: Tensor,
    sin: Tensor,
}

impl<'a> Place<'a> {
    fn new(parameters: &'a Parameters, row: &PackedRow, dtype: DType) -> Result<Self> {
        let len = row.tokens.len();
        let mask: Vec<f32> = row.visible().iter().map(|&seen| if seen { 0.0 } else { f32::NEG_INFINITY }).collect();
        let half = parameters.architecture().head_dim / 2;
        let theta = parameters.architecture().rope.theta;
        let angle = |position: u32, index: usize| f64::from(position) / theta.powf(index as f64 / half as f64);
        let angles: Vec<f64> =
            row.positions.iter().flat_map(|&position| (0..half).map(move |index| angle(position, index))).collect();
        let angles = Tensor::from_vec(angles, (len, half), &Device::Cpu)?;
        Ok(Self {
            parameters,
            mask: Tensor::from_vec(mask, (len, len), &Device::Cpu)?.to_dtype(dtype)?,
            cos: angles.cos()?.to_dtype(dtype)?,
            sin: angles.sin()?.to_dtype(dtype)?,
        })
    }

    /// Attention of every token to those that it sees, `(tokens, heads · head_dim)`.
    fn attention<'w>(
        &self,
        x: &Tensor,
        weight: impl Fn(L) -> std::result::Result<&'w Tensor, TuneError>,
    ) -> std::result::Result<Tensor, TuneError> {
        let architecture = self.parameters.architecture();
        let (tokens, _) = x.dims2()?;
        let (kv, dim, eps) = (architecture.kv_heads, architecture.head_dim, architecture.rms_norm_eps);
        let group = architecture.heads / kv;
        // (kv, group, tokens, head_dim), since the query heads of a key head follow each other.
        let query = linear(x, weight(L::Query)?)?.reshape((tokens, kv, group, dim))?;
        let query = rms_norm(&query, weight(L::QueryNorm)?, eps)?.permute((1, 2, 0, 3))?.contiguous()?;
        let query = self.rotate(&query)?.reshape((kv, group * tokens, dim))?;
        // (kv, tokens, head_dim)
        let key = linear(x, weight(L::Key)?)?.reshape((tokens, kv, dim))?;
        let key = rms_norm(&key, weight(L::KeyNorm)?, eps)?.transpose(0, 1)?.contiguous()?;
        let key = self.rotate(&key)?;
        let value = linear(x, weight(L::Value)?)?.reshape((tokens, kv, dim))?.transpose(0, 1)?.contiguous()?;
        let scores = (query.matmul(&key.t()?)? * (1.0 / (dim as f64).sqrt()))?; // (kv, group · tokens, tokens)
        let scores = scores.reshape((kv, group, tokens, tokens))?.broadcast_add(&self.mask)?;
        let weights = softmax(&scores)?.reshape((kv, group * tokens, tokens))?;
        let out = weights.matmul(&value)?.reshape((kv, group, tokens, dim))?;
        Ok(out.permute((2, 0, 1, 3))?.contiguous()?.reshape((tokens, kv * group * dim))?)
    }

    /// Rotary position embedding of the last two dimensions `(tokens, head_dim)`, in halves.
    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let (first, second) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let turned = |a: &Tensor, b: &Tensor| a.broadcast_mul(&self.cos)?.sub(&b.broadcast_mul(&self.sin)?);
        let first_turned = turned(&first, &second)?;
        let second_turned = second.broadcast_mul(&self.cos)?.add(&first.broadcast_mul(&self.sin)?)?;
        Tensor::cat(&[&first_turned, &second_turned], D::Minus1)
    }
}

/// Softmax of the last dimension.
fn softmax(scores: &Tensor) -> Result<Tensor> {
    let largest = scores.detach().max_keepdim(D::Minus1)?;
    let weights = scores.broadcast_sub(&largest)?.exp()?;
    weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)
}
