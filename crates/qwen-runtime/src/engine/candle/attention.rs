//! Attention of one sequence: in candle's operations, or in one kernel of the GPU.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;

/// The causal mask of `tokens` new positions after `past` old ones, `(tokens, past + tokens)`; `None` for one token,
/// which sees everything, and where attention is [fused](is_fused).
pub(super) fn causal_mask(tokens: usize, past: usize, (device, dtype): (&Device, DType)) -> Result<Option<Tensor>> {
    if tokens == 1 || is_fused(device, dtype) {
        return Ok(None);
    }
    let row = |token: usize| {
        let visible = past + token + 1;
        (0..past + tokens).map(move |position| if position < visible { 0.0 } else { f32::NEG_INFINITY })
    };
    let values: Vec<f32> = (0..tokens).flat_map(row).collect();
    Tensor::from_vec(values, (tokens, past + tokens), device).map(Some)
}

/// Whether this build has a kernel that does all of it on the device, in half precision: FlashAttention-2 (arXiv
/// 2307.08691), which never writes the scores to memory and hides later positions itself.
fn is_fused(device: &Device, dtype: DType) -> bool {
    cfg!(feature = "flash-attn") && device.is_cuda() && matches!(dtype, DType::BF16 | DType::F16)
}

/// Attends from `query` `(tokens, heads, head_dim)`, the newest tokens, to `keys` and `values`
/// `(kv_heads, positions, head_dim)`; the result is `(tokens, heads * head_dim)`.
pub(super) fn attend(query: &Tensor, keys: &Tensor, values: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    #[cfg(feature = "flash-attn")]
    if is_fused(values.device(), values.dtype()) {
        return fused(query, keys, values);
    }
    composed(query, keys, values, mask)
}

/// The query heads of a group share their keys, so they are laid side by side as rows of one product and no key is
/// copied.
fn composed(query: &Tensor, keys: &Tensor, values: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (tokens, heads, head_dim) = query.dims3()?;
    let (kv_heads, positions, _) = keys.dims3()?;
    let group = heads / kv_heads;
    let query = query.reshape((tokens, kv_heads, group, head_dim))?.permute((1, 2, 0, 3))?;
    let query = query.contiguous()?.reshape((kv_heads, group * tokens, head_dim))?;
    let scale = 1.0 / (head_dim as f64).sqrt();
    let scores = (query.matmul(&keys.t()?)? * scale)?; // (kv_heads, group * tokens, positions)
    let scores = scores.to_dtype(DType::F32)?;
    let scores = match mask {
        Some(mask) => {
            let by_head = scores.reshape((kv_heads, group, tokens, positions))?.broadcast_add(mask)?;
            by_head.reshape((kv_heads, group * tokens, positions))?
        }
        None => scores,
    };
    let weights = softmax_last_dim(&scores)?.to_dtype(values.dtype())?;
    weights
        .matmul(values)? // (kv_heads, group * tokens, head_dim)
        .reshape((kv_heads, group, tokens, head_dim))?
        .permute((2, 0, 1, 3))?
        .reshape((tokens, heads * head_dim))
}

/// The kernel takes `(sequences, positions, heads, head_dim)` with any strides but the last.
#[cfg(feature = "flash-attn")]
fn fused(query: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
    let head_dim = query.dim(2)?;
    let by_position = |tensor: &Tensor| tensor.transpose(0, 1)?.unsqueeze(0);
    let scale = 1.0 / (head_dim as f32).sqrt();
    // The mask is aligned to the last position: the newest token sees all.
    let attended =
        candle_flash_attn::flash_attn(&query.unsqueeze(0)?, &by_position(keys)?, &by_position(values)?, scale, true)?;
    attended.squeeze(0)?.flatten_from(1)
}
