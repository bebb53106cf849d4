//! Owns what the results say of a model: its name as llama.cpp writes it, its size, and what a token makes an engine
//! read. Must not know engines.

use qwen_runtime::{Architecture, Checkpoint, HeadWeights, KvType, RuntimeError, StoredType, TensorName, WeightForm};

use crate::plan::Test;

/// A model in numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelFacts {
    pub(crate) filename: String,
    /// Like `qwen3 0.6B Q4_K - Medium`.
    pub(crate) kind: String,
    /// Bytes of all tensors.
    pub(crate) bytes: u64,
    /// Weights of all tensors.
    pub(crate) weights: u64,
    /// Bytes of the tensors that a forward pass reads from end to end.
    pub(crate) bytes_per_pass: u64,
    /// Heads of keys and of values in all layers.
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl ModelFacts {
    /// The numbers of a checkpoint whose weights are held in a form that is suited to it.
    pub(crate) fn new(checkpoint: &Checkpoint, weights: WeightForm) -> Result<Self, RuntimeError> {
        let architecture = checkpoint.architecture();
        let (mut bytes, mut bytes_per_pass) = (0, 0);
        for name in architecture.tensor_names() {
            let dtype = weights.dtype(checkpoint, name)?;
            let values: u64 = architecture.shape_of(name).iter().map(|&dimension| dimension as u64).product();
            let len = values / dtype.block_len() as u64 * dtype.block_bytes() as u64;
            bytes += len;
            // Of an embedding that is not the head, too, one row is read.
            if name != TensorName::Embedding || architecture.head == HeadWeights::Tied {
                bytes_per_pass += len;
            }
        }
        let made_of = match (weights, checkpoint.file_type_number()) {
            (WeightForm::Quantized(made), _) => file_type(made.number().into()),
            (_, Some(number)) => file_type(number),
            (_, None) => plain_type(checkpoint.tensor(TensorName::Embedding)?.dtype),
        };
        Ok(Self {
            filename: checkpoint.path().display().to_string(),
            kind: format!("qwen3 {} {made_of}", size_name(architecture)),
            bytes,
            weights: architecture.weights(),
            bytes_per_pass,
            kv_heads: 2 * architecture.layers * architecture.kv_heads,
            head_dim: architecture.head_dim,
        })
    }

    /// Bytes that one generated token makes an engine read, on average over the test: its share of the weights, which
    /// are read once for all sequences, and the keys and values of the tokens before it and its own.
    pub(crate) fn bytes_per_token(&self, test: Test, kv_type: KvType) -> f64 {
        let weights = self.bytes_per_pass as f64 / test.sequences as f64;
        let context = test.depth as f64 + (test.generated + 1) as f64 / 2.0;
        weights + kv_type.head_bytes(self.head_dim) as f64 * self.kv_heads as f64 * context
    }
}

/// The published sizes, by which llama.cpp knows them.
fn size_name(architecture: &Architecture) -> &'static str {
    match (architecture.layers, architecture.hidden_size) {
        (28, 1024) => "0.6B",
        (28, _) => "1.7B",
        (36, 2560) => "4B",
        (36, _) => "8B",
        (40, _) => "14B",
        (64, _) => "32B",
        _ => "?B",
    }
}

/// llama.cpp's words for its `enum llama_ftype`.
fn file_type(number: u64) -> &'static str {
    match number {
        0 => "all F32",
        1 => "F16",
        2 => "Q4_0",
        7 => "Q8_0",
        14 => "Q4_K - Small",
        15 => "Q4_K - Medium",
        16 => "Q5_K - Small",
        17 => "Q5_K - Medium",
        18 => "Q6_K",
        32 => "BF16",
        _ => "unknown, may not work",
    }
}

fn plain_type(dtype: StoredType) -> &'static str {
    match dtype {
        StoredType::F32 => "all F32",
        StoredType::F16 => "F16",
        StoredType::BF16 => "BF16",
        _ => "unknown, may not work",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_its_share_of_the_weights_and_what_came_before_it() {
        let model = ModelFacts {
            filename: String::new(),
            kind: String::new(),
            bytes: 1200,
            weights: 600,
            bytes_per_pass: 1000,
            kv_heads: 2,
            head_dim: 5,
        };
        let test = Test { threads: 1, depth: 100, sequences: 4, prompt: 0, generated: 9, ubatch: 512 };
        assert_eq!(model.bytes_per_token(test, KvType::F16), 250.0 + 105.0 * 20.0);
        let alone = Test { sequences: 1, depth: 0, generated: 1, ..test };
        assert_eq!(model.bytes_per_token(alone, KvType::F32), 1000.0 + 40.0);
    }
}
