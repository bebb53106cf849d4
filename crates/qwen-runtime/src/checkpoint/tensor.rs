//! Tensors as a checkpoint stores them, and their names in its two file formats.

use std::borrow::Cow;

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

/// Block size of the K-quants, in values.
const SUPER_BLOCK: usize = 256;

/// How the values of a stored tensor are encoded (the block layouts are ggml's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoredType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
    /// 32 values: f16 scale, 4-bit values.
    Q4_0,
    /// 32 values: f16 scale, 8-bit values.
    Q8_0,
    /// 256 values at 4.5 bits.
    Q4K,
    /// 256 values at 5.5 bits.
    Q5K,
    /// 256 values at 6.5625 bits.
    Q6K,
}

impl StoredType {
    /// Values in one block.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q4_0 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => SUPER_BLOCK,
        }
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q4_0 => 18,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// The number in ggml's `enum ggml_type`.
    pub(crate) fn to_ggml(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
            Self::Q5K => 13,
            Self::Q6K => 14,
            Self::BF16 => 30,
        }
    }

    /// The type with that number in ggml's `enum ggml_type`.
    pub(crate) fn from_ggml(number: u32) -> Option<Self> {
        [Self::F32, Self::F16, Self::Q4_0, Self::Q8_0, Self::Q4K, Self::Q5K, Self::Q6K, Self::BF16]
            .into_iter()
            .find(|dtype| dtype.to_ggml() == number)
    }

    /// Whether the values are blocks of small integers.
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }

    /// Reads plain numbers of this type; `None` when they are blocks.
    pub(crate) fn widen(self, raw: &[u8], values: &mut [f32]) -> Option<()> {
        let pairs = raw.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
        match self {
            Self::F32 => {
                for (value, bytes) in values.iter_mut().zip(raw.as_chunks().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            Self::BF16 => {
                for (value, bits) in values.iter_mut().zip(pairs) {
                    *value = f32::from_bits(u32::from(bits) << 16);
                }
            }
            Self::F16 => {
                let bits: Vec<u16> = pairs.collect();
                bits.reinterpret_cast::<f16>().convert_to_f32_slice(values);
            }
            _ => return None,
        }
        Some(())
    }

    /// Bytes of a tensor of `shape` (row-major, the last dimension contiguous); `None` when a row
    /// is no whole number of blocks or the size overflows.
    pub(crate) fn tensor_bytes(self, shape: &[usize]) -> Option<usize> {
        let (last, rows) = shape.split_last()?;
        if last % self.block_len() != 0 {
            return None;
        }
        let row_bytes = (last / self.block_len()).checked_mul(self.block_bytes())?;
        rows.iter().try_fold(row_bytes, |bytes, &dim| bytes.checked_mul(dim))
    }
}

/// A tensor inside a mapped checkpoint.
#[derive(Debug, Clone)]
pub struct StoredTensor<'a> {
    /// Encoding of the values.
    pub dtype: StoredType,
    /// Dimensions, the contiguous one last: a matrix is `(out, in)`.
    pub shape: Vec<usize>,
    /// The encoded values; their length fits `dtype` and `shape`.
    pub bytes: Cow<'a, [u8]>,
}

/// A tensor's place in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorName {
    /// Token embedding, `(vocab, hidden)`.
    Embedding,
    /// Final norm, `(hidden)`.
    OutputNorm,
    /// Untied output head, `(vocab, hidden)`.
    Head,
    /// A tensor of decoder layer number `.0`.
    Layer(usize, LayerTensor),
}

/// A tensor's place in a decoder layer. `q = heads × head_dim`, `kv = kv_heads × head_dim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerTensor {
    /// Norm before attention, `(hidden)`.
    AttentionNorm,
    /// Query projection, `(q, hidden)`.
    Query,
    /// Its bias, `(q)`.
    QueryBias,
    /// Key projection, `(kv, hidden)`.
    Key,
    /// Its bias, `(kv)`.
    KeyBias,
    /// Value projection, `(kv, hidden)`.
    Value,
    /// Its bias, `(kv)`.
    ValueBias,
    /// Output projection, `(hidden, q)`.
    Output,
    /// Its bias, `(hidden)`.
    OutputBias,
    /// Norm of each query head, `(head_dim)`.
    QueryNorm,
    /// Norm of each key head, `(head_dim)`.
    KeyNorm,
    /// Norm before the feed-forward part, `(hidden)`.
    FeedForwardNorm,
    /// Gate projection, `(intermediate, hidden)`.
    Gate,
    /// Up projection, `(intermediate, hidden)`.
    Up,
    /// Down projection, `(hidden, intermediate)`.
    Down,
}

impl TensorName {
    /// The name in a Hugging Face checkpoint (transformers' `Qwen3ForCausalLM`).
    pub fn in_safetensors(self) -> String {
        use LayerTensor as L;
        let (layer, tensor) = match self {
            Self::Embedding => return "model.embed_tokens.weight".to_owned(),
            Self::OutputNorm => return "model.norm.weight".to_owned(),
            Self::Head => return "lm_head.weight".to_owned(),
            Self::Layer(layer, tensor) => (layer, tensor),
        };
        let suffix = match tensor {
            L::AttentionNorm => "input_layernorm.weight",
            L::Query => "self_attn.q_proj.weight",
            L::QueryBias => "self_attn.q_proj.bias",
            L::Key => "self_attn.k_proj.weight",
            L::KeyBias => "self_attn.k_proj.bias",
            L::Value => "self_attn.v_proj.weight",
            L::ValueBias => "self_attn.v_proj.bias",
            L::Output => "self_attn.o_proj.weight",
            L::OutputBias => "self_attn.o_proj.bias",
            L::QueryNorm => "self_attn.q_norm.weight",
            L::KeyNorm => "self_attn.k_norm.weight",
            L::FeedForwardNorm => "post_attention_layernorm.weight",
            L::Gate => "mlp.gate_proj.weight",
            L::Up => "mlp.up_proj.weight",
            L::Down => "mlp.down_proj.weight",
        };
        format!("model.layers.{layer}.{suffix}")
    }

    /// The name in a GGUF file (llama.cpp's `LLM_ARCH_QWEN3`).
    pub fn in_gguf(self) -> String {
        use LayerTensor as L;
        let (layer, tensor) = match self {
            Self::Embedding => return "token_embd.weight".to_owned(),
            Self::OutputNorm => return "output_norm.weight".to_owned(),
            Self::Head => return "output.weight".to_owned(),
            Self::Layer(layer, tensor) => (layer, tensor),
        };
        let suffix = match tensor {
            L::AttentionNorm => "attn_norm.weight",
            L::Query => "attn_q.weight",
            L::QueryBias => "attn_q.bias",
            L::Key => "attn_k.weight",
            L::KeyBias => "attn_k.bias",
            L::Value => "attn_v.weight",
            L::ValueBias => "attn_v.bias",
            L::Output => "attn_output.weight",
            L::OutputBias => "attn_output.bias",
            L::QueryNorm => "attn_q_norm.weight",
            L::KeyNorm => "attn_k_norm.weight",
            L::FeedForwardNorm => "ffn_norm.weight",
            L::Gate => "ffn_gate.weight",
            L::Up => "ffn_up.weight",
            L::Down => "ffn_down.weight",
        };
        format!("blk.{layer}.{suffix}")
    }
}
