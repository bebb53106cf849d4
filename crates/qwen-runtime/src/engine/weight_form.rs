//! [`WeightForm`]: in which form an engine holds the matrices of a checkpoint.

use crate::checkpoint::{Checkpoint, StoredType, TensorName};
use crate::error::RuntimeError;
use crate::quantize::{FileType, stored_type};

/// In which form an engine holds the matrices of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightForm {
    /// As they are stored.
    #[default]
    Stored,
    /// Quantized ones are widened to plain numbers when they are loaded.
    Dequantized,
    /// Plain numbers become, while they are loaded, what [`quantize`](crate::quantize()) makes of them in a file of
    /// that type. A checkpoint that is quantized already is taken as it is stored, since errors would add up. The cpu
    /// engine does this; candle refuses it.
    Quantized(FileType),
}

impl WeightForm {
    /// The form that there is sense in for a checkpoint: one that is quantized already stays as it is.
    pub(super) fn suited_to(self, checkpoint: &Checkpoint) -> Result<Self, RuntimeError> {
        let Self::Quantized(file_type) = self else { return Ok(self) };
        for name in checkpoint.architecture().tensor_names() {
            if checkpoint.tensor(name)?.dtype.is_quantized() {
                let path = checkpoint.path().display();
                tracing::warn!(%path, ?file_type, "the checkpoint is quantized already and is taken as it is");
                return Ok(Self::Stored);
            }
        }
        Ok(self)
    }

    /// The type of matrix `name` in memory, where the checkpoint has it as `stored`.
    pub(super) fn dtype(self, checkpoint: &Checkpoint, name: TensorName, stored: StoredType) -> StoredType {
        match self {
            Self::Dequantized if stored.is_quantized() => StoredType::F32,
            Self::Stored | Self::Dequantized => stored,
            Self::Quantized(file_type) => stored_type(name, checkpoint.architecture(), file_type),
        }
    }
}
