//! [`loss`]: the forward pass of Qwen3 over packed rows, in operations that have gradients.

use candle_core::{D, DType, Device, Result, Tensor};
use qwen_runtime::{HeadWeights, LayerTensor as L, TensorName};

use crate::error::TuneError;
use crate::packing::PackedRow;
use crate::parameters::Parameters;

/// The sum over the targets of all rows of `-ln p(target)`, a scalar, tracked for the gradients of the
/// parameters. The rows are computed together, the shorter ones filled up.
///
/// # Errors
/// [`TuneError::Compute`], also for a token that the embedding has no row for, and for no rows.
pub fn loss(parameters: &Parameters, rows: &[&PackedRow]) -> std::result::Result<Tensor, TuneError> {
    let architecture = parameters.architecture();
    let device = parameters.device();
    let weight = |name| parameters.tensor(name);
    let embedding = weight(TensorName::Embedding)?;
    let batch = Batch::new(parameters, rows, embedding.dtype())?;
    let mut x = embedding.index_select(&batch.tokens(rows, device)?, 0)?; // (rows · len, hidden)
    for layer in 0..architecture.layers {
        let vector = |tensor| weight(TensorName::Layer(layer, tensor));
        let linear = |x: &Tensor, tensor| parameters.product(x, TensorName::Layer(layer, tensor));
        let normed = rms_norm(&x, vector(L::AttentionNorm)?, architecture.rms_norm_eps)?;
        let attended = batch.attention(&normed, layer)?;
        x = (x + linear(&attended, L::Output)?)?;
        let normed = rms_norm(&x, vector(L::FeedForwardNorm)?, architecture.rms_norm_eps)?;
        let gated = (linear(&normed, L::Gate)?.silu()? * linear(&normed, L::Up)?)?;
        x = (x + linear(&gated, L::Down)?)?;
    }
    let (after, wanted) = batch.targets(rows);
    // Logits are computed where something is learnt only.
    let x = x.index_select(&Tensor::new(after, device)?, 0)?; // (targets, hidden)
    let x = rms_norm(&x, weight(TensorName::OutputNorm)?, architecture.rms_norm_eps)?;
    let head = match architecture.head {
        HeadWeights::Tied => TensorName::Embedding,
        HeadWeights::Untied => TensorName::Head,
    };
    let logits = parameters.product(&x, head)?; // (targets, vocab)
    let wanted = Tensor::new(wanted, device)?.unsqueeze(1)?;
    let largest = logits.detach().max_keepdim(D::Minus1)?;
    let shifted = logits.broadcast_sub(&largest)?;
    let total = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok((total - shifted.gather(&wanted, 1)?)?.sum_all()?)
}

/// RMS norm of the last dimension.
fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let mean = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?;
    x.broadcast_div(&mean.sqrt()?)?.broadcast_mul(weight)
}

/// What attention is told of some rows.
struct Batch<'a> {
    parameters: &'a Parameters,
    /// How many rows.
    count: usize,
    /// Tokens of the longest.
    len: usize,
    /// 0 where a token sees another, else minus infinity: `(len, len)`, of several rows
    /// `(rows, 1, 1, len, len)`.
    mask: Tensor,
    /// `(len, head_dim / 2)`, of several rows `(rows, 1, 1, len, head_dim / 2)`.
    cos: Tensor,
    sin: Tensor,
}

impl<'a> Batch<'a> {
    fn new(parameters: &'a Parameters, rows: &[&PackedRow], dtype: DType) -> Result<Self> {
        let device = parameters.device();
        let count = rows.len();
        let len = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
        let half = parameters.architecture().head_dim / 2;
        let theta = parameters.architecture().rope.theta;
        let mut mask = vec![f32::NEG_INFINITY; count * len * len];
        let mut angles = vec![0.0_f64; count * len * half];
        for (index, row) in rows.iter().enumerate() {
            let of_row = &mut mask[index * len * len..][..len * len];
            let visible = row.visible();
            for (seen, to) in visible.chunks(row.tokens.len().max(1)).zip(of_row.chunks_mut(len.max(1))) {
                seen.iter().zip(to).filter(|(seen, _)| **seen).for_each(|(_, to)| *to = 0.0);
            }
            // What fills a row up sees itself: a softmax over nothing is no number.
            (row.tokens.len()..len).for_each(|place| of_row[place * len + place] = 0.0);
            let of_row = &mut angles[index * len * half..][..len * half];
            for (&position, to) in row.positions.iter().zip(of_row.chunks_mut(half)) {
                let angle = |pair: usize| f64::from(position) / theta.powf(pair as f64 / half as f64);
                to.iter_mut().enumerate().for_each(|(pair, to)| *to = angle(pair));
            }
        }
        // One row alone has no dimension for rows: on a processor, candle is much faster where what is
        // added to every head is contiguous.
        let shape = |last: usize| if count == 1 { vec![len, last] } else { vec![count, 1, 1, len, last] };
        let angles = Tensor::from_vec(angles, shape(half), &Device::Cpu)?;
        Ok(Self {
            parameters,
            count,
            len,
            mask: Tensor::from_vec(mask, shape(len), device)?.to_dtype(dtype)?,
            cos: angles.cos()?.to_dtype(dtype)?.to_device(device)?,
            sin: angles.sin()?.to_dtype(dtype)?.to_device(device)?,
        })
    }

    /// The tokens of all rows, the shorter ones filled up with token 0.
    fn tokens(&self, rows: &[&PackedRow], device: &Device) -> Result<Tensor> {
        let mut tokens = vec![0; self.count * self.len];
        for (row, to) in rows.iter().zip(tokens.chunks_mut(self.len.max(1))) {
            to[..row.tokens.len()].copy_from_slice(&row.tokens);
        }
        Tensor::new(tokens, device)
    }

    /// The places after which something is learnt, and what.
    fn targets(&self, rows: &[&PackedRow]) -> (Vec<u32>, Vec<u32>) {
        let starts = (0..).step_by(self.len.max(1));
        let all = starts.zip(rows).flat_map(|(start, row)| row.targets.iter().map(move |target| (start, target)));
        all.map(|(start, target): (u32, _)| (start + target.after, target.token)).unzip()
    }

    /// Attention of every token to those that it sees, `(rows · len, heads · head_dim)`.
    fn attention(&self, x: &Tensor, layer: usize) -> std::result::Result<Tensor, TuneError> {
        let Self { parameters, count, len, .. } = *self;
        let architecture = parameters.architecture();
        let vector = |tensor| parameters.tensor(TensorName::Layer(layer, tensor));
        let linear = |tensor| parameters.product(x, TensorName::Layer(layer, tensor));
        let (kv, dim, eps) = (architecture.kv_heads, architecture.head_dim, architecture.rms_norm_eps);
        let group = architecture.heads / kv;
        // (rows, kv, group, len, head_dim), since the query heads of a key head follow each other.
        let query = linear(L::Query)?.reshape((count, len, kv, group, dim))?;
        let query = rms_norm(&query, vector(L::QueryNorm)?, eps)?.permute((0, 2, 3, 1, 4))?.contiguous()?;
        let query = self.rotate(&query)?.reshape((count * kv, group * len, dim))?;
        // (rows, kv, 1, len, head_dim)
        let key = linear(L::Key)?.reshape((count, len, kv, 1, dim))?;
        let key = rms_norm(&key, vector(L::KeyNorm)?, eps)?.permute((0, 2, 3, 1, 4))?.contiguous()?;
        let key = self.rotate(&key)?.reshape((count * kv, len, dim))?;
        let value = linear(L::Value)?.reshape((count, len, kv, dim))?.transpose(1, 2)?.contiguous()?;
        let value = value.reshape((count * kv, len, dim))?;
        let scores = (query.matmul(&key.t()?)? * (1.0 / (dim as f64).sqrt()))?; // (rows · kv, group · len, len)
        let scores = scores.reshape((count, kv, group, len, len))?.broadcast_add(&self.mask)?;
        let weights = softmax(&scores)?.reshape((count * kv, group * len, len))?;
        let out = weights.matmul(&value)?.reshape((count, kv, group, len, dim))?;
        Ok(out.permute((0, 3, 1, 2, 4))?.contiguous()?.reshape((count * len, kv * group * dim))?)
    }

    /// Rotary position embedding of the last two dimensions `(len, head_dim)`, in halves.
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
