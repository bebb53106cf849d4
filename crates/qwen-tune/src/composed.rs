//! [`Batch`]: a forward pass in candle's own operations, for any device, and for rows together.

use candle_core::{D, DType, Device, Result, Tensor};

use crate::operations::Operations;
use crate::packing::PackedRow;
use crate::parameters::Parameters;

/// What the operations are told of some rows.
pub(crate) struct Batch<'a> {
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
    pub(crate) fn new(parameters: &'a Parameters, rows: &[&PackedRow], dtype: DType) -> Result<Self> {
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
            of_row.iter_mut().zip(row.angles(theta, half)).for_each(|(to, angle)| *to = angle);
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

impl Operations for Batch<'_> {
    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let mean = (x.sqr()?.mean_keepdim(D::Minus1)? + self.parameters.architecture().rms_norm_eps)?;
        x.broadcast_div(&mean.sqrt()?)?.broadcast_mul(weight)
    }

    fn attention(&self, [query, key, value]: [&Tensor; 3], [query_norm, key_norm]: [&Tensor; 2]) -> Result<Tensor> {
        let Self { parameters, count, len, .. } = *self;
        let architecture = parameters.architecture();
        let (kv, dim) = (architecture.kv_heads, architecture.head_dim);
        let group = architecture.heads / kv;
        // (rows, kv, group, len, head_dim), since the query heads of a key head follow each other.
        let query = query.reshape((count, len, kv, group, dim))?;
        let query = self.norm(&query, query_norm)?.permute((0, 2, 3, 1, 4))?.contiguous()?;
        let query = self.rotate(&query)?.reshape((count * kv, group * len, dim))?;
        // (rows, kv, 1, len, head_dim)
        let key = key.reshape((count, len, kv, 1, dim))?;
        let key = self.norm(&key, key_norm)?.permute((0, 2, 3, 1, 4))?.contiguous()?;
        let key = self.rotate(&key)?.reshape((count * kv, len, dim))?;
        let value = value.reshape((count, len, kv, dim))?.transpose(1, 2)?.contiguous()?;
        let value = value.reshape((count * kv, len, dim))?;
        let scores = (query.matmul(&key.t()?)? * (1.0 / (dim as f64).sqrt()))?; // (rows · kv, group · len, len)
        let scores = scores.reshape((count, kv, group, len, len))?.broadcast_add(&self.mask)?;
        let weights = softmax(&scores)?.reshape((count * kv, group * len, len))?;
        let out = weights.matmul(&value)?.reshape((count, kv, group, len, dim))?;
        out.permute((0, 3, 1, 2, 4))?.contiguous()?.reshape((count * len, kv * group * dim))
    }

    fn gated(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        gate.silu()? * up
    }

    fn cross_entropy(&self, logits: &Tensor, wanted: Vec<u32>) -> Result<Tensor> {
        let wanted = Tensor::new(wanted, logits.device())?.unsqueeze(1)?;
        let largest = logits.detach().max_keepdim(D::Minus1)?;
        let shifted = logits.broadcast_sub(&largest)?;
        let total = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
        (total - shifted.gather(&wanted, 1)?)?.sum_all()
    }
}

/// Softmax of the last dimension.
fn softmax(scores: &Tensor) -> Result<Tensor> {
    let largest = scores.detach().max_keepdim(D::Minus1)?;
    let weights = scores.broadcast_sub(&largest)?.exp()?;
    weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)
}
