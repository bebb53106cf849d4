//! [`WeightForm`]: in which form an engine holds the matrices of a checkpoint.

use std::str::FromStr;

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
    /// The form that a checkpoint gets: of one that is quantized already, no matrix is quantized.
    ///
    /// # Errors
    /// Those of [`Checkpoint::tensor`].
    pub fn suited_to(self, checkpoint: &Checkpoint) -> Result<Self, RuntimeError> {
        if let Self::Quantized(_) = self {
            for name in checkpoint.architecture().tensor_names() {
                if checkpoint.tensor_type(name)?.is_quantized() {
                    return Ok(Self::Stored);
                }
            }
        }
        Ok(self)
    }

    /// The type of matrix `name` of a checkpoint in this form, which must be [suited to](Self::suited_to) it.
    ///
    /// # Errors
    /// Those of [`Checkpoint::tensor`].
    pub fn dtype(self, checkpoint: &Checkpoint, name: TensorName) -> Result<StoredType, RuntimeError> {
        let stored = checkpoint.tensor_type(name)?;
        Ok(match self {
            Self::Dequantized if stored.is_quantized() => StoredType::F32,
            Self::Stored | Self::Dequantized => stored,
            Self::Quantized(file_type) => stored_type(name, checkpoint.architecture(), file_type),
        })
    }
}

impl FromStr for WeightForm {
    type Err = String;

    /// What to quantize to, as a setting: one of the types that are worth it, or `none` for weights as they are stored.
    fn from_str(text: &str) -> Result<Self, String> {
        let types = [FileType::Q4KM, FileType::Q5KM, FileType::Q6K, FileType::Q8_0];
        match types.into_iter().find(|file_type| file_type.to_string() == text) {
            Some(file_type) => Ok(Self::Quantized(file_type)),
            None if text == "none" => Ok(Self::Stored),
            None => Err(format!("{text:?} is nothing to quantize to: q4_k_m, q5_k_m, q6_k, q8_0 or none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_the_types_as_files_do() {
        assert_eq!("none".parse(), Ok(WeightForm::Stored));
        assert_eq!("q4_k_m".parse(), Ok(WeightForm::Quantized(FileType::Q4KM)));
        assert_eq!("q8_0".parse(), Ok(WeightForm::Quantized(FileType::Q8_0)));
        for wrong in ["", "Q4_K_M", "f16", "q4_0", "q3_k_m"] {
            assert!(wrong.parse::<WeightForm>().is_err(), "{wrong}");
        }
    }
}
