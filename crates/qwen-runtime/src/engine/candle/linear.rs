//! A linear map with dense or quantized weights.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor, QuantizedType, ggml_file};
use candle_core::{DType, Device, Module, Result, Tensor};

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    weight: Weight,       // (out, in)
    bias: Option<Tensor>, // (out)
}

/// A matrix `(out, in)`.
#[derive(Clone)]
pub(super) enum Weight {
    /// In the dtype of the computation.
    Dense(Tensor),
    /// Blocks of small integers; products are made in f32.
    Quantized(Arc<QTensor>, QMatMul),
    /// The same without candle's repacked kernels, which on some processors quantize the
    /// activations of a Q8_0 product in blocks of 256 instead of Q8_0's own 32 and lose accuracy.
    Blocks { blocks: Arc<dyn QuantizedType>, out: usize, input: usize },
}

impl fmt::Debug for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dense(tensor) => write!(f, "Dense({:?}, {:?})", tensor.dtype(), tensor.dims()),
            Self::Quantized(tensor, _) => write!(f, "Quantized({:?}, {:?})", tensor.dtype(), tensor.shape()),
            Self::Blocks { blocks, out, input } => write!(f, "Blocks({:?}, [{out}, {input}])", blocks.dtype()),
        }
    }
}

impl Weight {
    /// A matrix of ggml blocks, of shape `(out, in)`.
    pub(super) fn quantized(dtype: GgmlDType, bytes: &[u8], shape: &[usize], device: &Device) -> Result<Self> {
        if let ([out, input], GgmlDType::Q8_0, Device::Cpu) = (shape, dtype, device) {
            let blocks = Arc::from(dtype.from_data(Cow::Borrowed(bytes)));
            return Ok(Self::Blocks { blocks, out: *out, input: *input });
        }
        let tensor = Arc::new(ggml_file::qtensor_from_ggml(dtype, bytes, shape.to_vec(), device)?);
        let product = QMatMul::from_arc(Arc::clone(&tensor))?;
        Ok(Self::Quantized(tensor, product))
    }

    /// The rows `ids` of the matrix, `(ids, in)`; a quantized one is widened row by row, so that no
    /// wide copy of a whole embedding is ever made.
    pub(super) fn rows(&self, ids: &Tensor, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => weight.index_select(ids, 0),
            Self::Quantized(tensor, _) => tensor.embedding(ids)?.to_dtype(dtype),
            Self::Blocks { blocks, out, input } => {
                let ids = ids.to_vec1::<u32>()?;
                let rows = blocks.embedding(&ids, *out, *input)?;
                Tensor::from_slice(rows.as_slice::<f32>()?, (ids.len(), *input), &Device::Cpu)?.to_dtype(dtype)
            }
        }
    }

    /// `(tokens, in)` to `(tokens, out)`.
    fn product(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => x.matmul(&weight.t()?),
            Self::Quantized(_, product) => product.forward(&x.to_dtype(DType::F32)?)?.to_dtype(x.dtype()),
            Self::Blocks { blocks, out, input } => {
                let tokens = x.dim(0)?;
                let activations = x.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
                let mut products = vec![0.0; tokens * out];
                blocks.matmul_t((tokens, *input, *out), &activations, &mut products)?;
                Tensor::from_vec(products, (tokens, *out), x.device())?.to_dtype(x.dtype())
            }
        }
    }
}

impl Linear {
    pub(super) fn new(weight: Weight, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// `(tokens, in)` to `(tokens, out)`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.weight.product(x)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}
