//! Owns the choice of a type for each tensor, llama.cpp's for its file types. Must not know how types are written.

use super::options::FileType;
use crate::checkpoint::{Architecture, HeadWeights, LayerTensor, StoredType, TensorName};

impl FileType {
    /// The number in llama.cpp's `enum llama_ftype`.
    pub fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
            Self::Q4KM => 15,
            Self::Q5KM => 17,
            Self::Q6K => 18,
            Self::BF16 => 32,
        }
    }

    /// The type of most matrices.
    fn usual(self) -> StoredType {
        match self {
            Self::F32 => StoredType::F32,
            Self::BF16 => StoredType::BF16,
            Self::F16 => StoredType::F16,
            Self::Q4_0 => StoredType::Q4_0,
            Self::Q8_0 => StoredType::Q8_0,
            Self::Q6K => StoredType::Q6K,
            Self::Q5KM => StoredType::Q5K,
            Self::Q4KM => StoredType::Q4K,
        }
    }
}

/// The type of a tensor in a file of `file_type`.
pub(crate) fn stored_type(name: TensorName, architecture: &Architecture, file_type: FileType) -> StoredType {
    let shape = architecture.shape_of(name);
    let [_, columns] = shape[..] else {
        // Norms and biases: next to nothing in bytes, and much in effect.
        return StoredType::F32;
    };
    let is_head = match name {
        TensorName::Head => true,
        TensorName::Embedding => architecture.head == HeadWeights::Tied,
        _ => false,
    };
    let usual = file_type.usual();
    let wanted = match name {
        _ if !usual.is_quantized() || usual == StoredType::Q8_0 => usual,
        // The logits come straight out of the head.
        _ if is_head => StoredType::Q6K,
        TensorName::Layer(layer, LayerTensor::Value | LayerTensor::Down)
            if usual != StoredType::Q4_0 && gets_more(layer, architecture.layers) =>
        {
            StoredType::Q6K
        }
        _ => usual,
    };
    fitting(wanted, columns)
}

/// Whether the value and down projections of a layer get more bits: those of the first and the last eighth, and of
/// every third layer between.
fn gets_more(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

/// The type itself where its blocks fill a row, else the next larger one that does. llama.cpp takes Q5_0 and Q5_1
/// in some of these cases, which are smaller and which this crate does not run.
fn fitting(wanted: StoredType, columns: usize) -> StoredType {
    [wanted, StoredType::Q8_0]
        .into_iter()
        .find(|dtype| columns.is_multiple_of(dtype.block_len()))
        .unwrap_or(StoredType::F16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_with_more_bits_are_those_of_llama_cpp() {
        // Qwen3-0.6B's 28 layers, as in a file that llama.cpp has written.
        let more: Vec<_> = (0..28).filter(|&layer| gets_more(layer, 28)).collect();
        assert_eq!(more, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27]);
        assert_eq!((0..2).filter(|&layer| gets_more(layer, 2)).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn rows_that_blocks_do_not_fill_get_another_type() {
        for dtype in [StoredType::Q4K, StoredType::Q5K, StoredType::Q6K] {
            assert_eq!(fitting(dtype, 512), dtype);
            assert_eq!(fitting(dtype, 160), StoredType::Q8_0);
            assert_eq!(fitting(dtype, 72), StoredType::F16);
        }
        assert_eq!(fitting(StoredType::Q8_0, 72), StoredType::F16);
        assert_eq!(fitting(StoredType::F16, 7), StoredType::F16);
    }
}
