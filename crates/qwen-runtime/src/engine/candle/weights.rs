//! Brings the tensors of a checkpoint onto a device.

use candle_core::quantized::{GgmlDType, ggml_file};
use candle_core::{DType, Device, Tensor};

use super::linear::{Linear, Weight};
use crate::checkpoint::{Checkpoint, LayerTensor, StoredTensor, StoredType, TensorName};
use crate::engine::weight_form::WeightForm;
use crate::error::RuntimeError;

/// Loads tensors in the types that an engine computes with.
pub(super) struct Loader<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) device: &'a Device,
    /// Type of activations and dense weights.
    pub(super) dtype: DType,
    pub(super) weights: WeightForm,
}

impl Loader<'_> {
    /// A vector, such as a norm's weight.
    pub(super) fn vector(&self, name: TensorName) -> Result<Tensor, RuntimeError> {
        let stored = self.checkpoint.tensor(name)?;
        Ok(self.dense(&stored)?)
    }

    /// A matrix `(out, in)`.
    pub(super) fn matrix(&self, name: TensorName) -> Result<Weight, RuntimeError> {
        let stored = self.checkpoint.tensor(name)?;
        if stored.dtype.is_quantized() && self.weights != WeightForm::Dequantized {
            return Ok(Weight::quantized(ggml_type(stored.dtype), &stored.bytes, &stored.shape, self.device)?);
        }
        Ok(Weight::Dense(self.dense(&stored)?))
    }

    /// A projection of layer `layer`.
    pub(super) fn linear(
        &self,
        layer: usize,
        weight: LayerTensor,
        bias: Option<LayerTensor>,
    ) -> Result<Linear, RuntimeError> {
        let weight = self.matrix(TensorName::Layer(layer, weight))?;
        let bias = bias.map(|bias| self.vector(TensorName::Layer(layer, bias))).transpose()?;
        Ok(Linear::new(weight, bias))
    }

    fn dense(&self, stored: &StoredTensor<'_>) -> candle_core::Result<Tensor> {
        let raw = |dtype| Tensor::from_raw_buffer(&stored.bytes, dtype, &stored.shape, self.device);
        let tensor = match stored.dtype {
            StoredType::F32 => raw(DType::F32)?,
            StoredType::F16 => raw(DType::F16)?,
            StoredType::BF16 => raw(DType::BF16)?,
            quantized => {
                let shape = stored.shape.clone();
                ggml_file::qtensor_from_ggml(ggml_type(quantized), &stored.bytes, shape, self.device)?
                    .dequantize(self.device)?
            }
        };
        tensor.to_dtype(self.dtype)
    }
}

fn ggml_type(dtype: StoredType) -> GgmlDType {
    match dtype {
        StoredType::F32 => GgmlDType::F32,
        StoredType::F16 => GgmlDType::F16,
        StoredType::BF16 => GgmlDType::BF16,
        StoredType::Q4_0 => GgmlDType::Q4_0,
        StoredType::Q8_0 => GgmlDType::Q8_0,
        StoredType::Q4K => GgmlDType::Q4K,
        StoredType::Q5K => GgmlDType::Q5K,
        StoredType::Q6K => GgmlDType::Q6K,
    }
}
