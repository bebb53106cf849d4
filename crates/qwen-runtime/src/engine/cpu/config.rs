//! [`CpuConfig`]: how a [`CpuEngine`](super::CpuEngine) is set up.

use std::fmt;
use std::str::FromStr;
use std::thread::available_parallelism;

use super::kernels::{KernelSet, SCALED};
use crate::engine::weight_form::WeightForm;

/// How a [`CpuEngine`](super::CpuEngine) is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuConfig {
    /// Threads that compute, the caller's included. More than the machine has cores make it slower.
    pub threads: usize,
    /// How keys and values are stored.
    pub kv_type: KvType,
    /// Tokens that the KV cache holds at most, over all sequences; rounded up to whole blocks.
    pub kv_tokens: usize,
    /// Most sequences at once.
    pub max_sequences: usize,
    /// Which instructions are used; `None` for the best that the machine has.
    pub kernels: Option<KernelSet>,
    /// In which form the matrices are held.
    pub weights: WeightForm,
}

impl Default for CpuConfig {
    /// All cores, half precision, one sequence of 4,096 tokens.
    fn default() -> Self {
        Self {
            threads: available_parallelism().map_or(1, usize::from),
            kv_type: KvType::F16,
            kv_tokens: 4096,
            max_sequences: 1,
            kernels: None,
            weights: WeightForm::Stored,
        }
    }
}

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum KvType {
    /// In half precision.
    #[default]
    F16,
    /// In single precision.
    F32,
    /// In 8 bits, of which 32 of a head share a scale in single precision.
    Q8_0,
}

impl KvType {
    /// Bytes of the key, or of the value, of one head of `head_dim` at one position.
    pub fn head_bytes(self, head_dim: usize) -> usize {
        match self {
            Self::F16 => 2 * head_dim,
            Self::F32 => 4 * head_dim,
            Self::Q8_0 => head_dim + head_dim.div_ceil(SCALED) * size_of::<f32>(),
        }
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::Q8_0 => "q8_0",
        })
    }
}

impl FromStr for KvType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f16" => Ok(Self::F16),
            "f32" => Ok(Self::F32),
            "q8_0" => Ok(Self::Q8_0),
            _ => Err(format!("{text:?} is no type of the KV cache: f16, f32 or q8_0")),
        }
    }
}
