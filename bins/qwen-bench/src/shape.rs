//! Owns the shapes and types of models that can be written at random. Must not know how they are written.

use clap::ValueEnum;
use qwen_runtime::{Architecture, AttentionBias, FileType, HeadWeights, Rope, RopeScaling};

/// Rows of the published models' embeddings.
const VOCABULARY: usize = 151_936;
/// Rows of the embedding of a tiny model that has no tokenizer.
const TINY_VOCABULARY: usize = 1024;

/// Whose shape a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Of no published model: for trying things out.
    Tiny,
    /// Qwen3-0.6B
    #[value(name = "0.6b")]
    B0_6,
    /// Qwen3-1.7B
    #[value(name = "1.7b")]
    B1_7,
    /// Qwen3-4B
    #[value(name = "4b")]
    B4,
}

/// Whether a model is to have a tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    Real,
    None,
}

impl Shape {
    /// The numbers, as the published config.json has them.
    pub(crate) fn architecture(self, vocabulary: Vocabulary) -> Architecture {
        let (hidden_size, layers, heads, kv_heads, head_dim, intermediate_size, theta) = match self {
            Self::Tiny => (256, 4, 4, 2, 64, 512, 1e6),
            Self::B0_6 => (1024, 28, 16, 8, 128, 3072, 1e6),
            Self::B1_7 => (2048, 28, 16, 8, 128, 6144, 1e6),
            Self::B4 => (2560, 36, 32, 8, 128, 9728, 5e6),
        };
        Architecture {
            hidden_size,
            layers,
            heads,
            kv_heads,
            head_dim,
            intermediate_size,
            vocab_size: match (self, vocabulary) {
                (Self::Tiny, Vocabulary::None) => TINY_VOCABULARY,
                _ => VOCABULARY,
            },
            rms_norm_eps: 1e-6,
            max_context: 40_960,
            rope: Rope { theta, scaling: RopeScaling::None },
            head: HeadWeights::Tied,
            attention_bias: AttentionBias::Absent,
        }
    }
}

/// The names of file types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TypeName {
    #[value(name = "q4_k_m")]
    Q4KM,
    #[value(name = "q4_0")]
    Q4_0,
    #[value(name = "q5_k_m")]
    Q5KM,
    #[value(name = "q6_k")]
    Q6K,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "f16")]
    F16,
    #[value(name = "bf16")]
    BF16,
    #[value(name = "f32")]
    F32,
}

impl From<TypeName> for FileType {
    fn from(name: TypeName) -> Self {
        match name {
            TypeName::Q4KM => Self::Q4KM,
            TypeName::Q4_0 => Self::Q4_0,
            TypeName::Q5KM => Self::Q5KM,
            TypeName::Q6K => Self::Q6K,
            TypeName::Q8_0 => Self::Q8_0,
            TypeName::F16 => Self::F16,
            TypeName::BF16 => Self::BF16,
            TypeName::F32 => Self::F32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_as_many_as_the_names_say() {
        for (shape, weights) in [(Shape::B0_6, 596_049_920), (Shape::B1_7, 1_720_574_976), (Shape::B4, 4_022_468_096)] {
            assert_eq!(shape.architecture(Vocabulary::None).weights(), weights);
        }
    }
}
