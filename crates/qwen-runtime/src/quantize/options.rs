//! Owns what a caller may choose and what it gets to know. Must not know how anything is done.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::checkpoint::StoredType;

/// What a file is made of. The names are llama.cpp's; those that end in `KM` give more bits to the tensors that need
/// them most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// Single precision.
    F32,
    /// bfloat16.
    BF16,
    /// Half precision.
    F16,
    /// 8.5 bits for each weight.
    Q8_0,
    /// 6.6 bits.
    Q6K,
    /// 5.5 bits, and 6.6 for some.
    Q5KM,
    /// 4.5 bits, and 6.6 for some.
    Q4KM,
    /// 4.5 bits in the oldest block format, and 6.6 for the head.
    Q4_0,
}

impl fmt::Display for FileType {
    /// The name in lower case, as flags have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::BF16 => "bf16",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q6K => "q6_k",
            Self::Q5KM => "q5_k_m",
            Self::Q4KM => "q4_k_m",
            Self::Q4_0 => "q4_0",
        })
    }
}

/// Whether a file that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExistingFile {
    /// It stays, and the call fails.
    #[default]
    Keep,
    /// It is replaced when the new one is whole.
    Replace,
}

/// How a checkpoint is quantized.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizeOptions {
    /// What the file is made of.
    pub file_type: FileType,
    /// An importance matrix (`imatrix` of llama.cpp, either of its two formats): how much the error of each column
    /// of a matrix counts.
    pub importance: Option<PathBuf>,
    /// Whether a file that is there may be replaced.
    pub existing: ExistingFile,
    /// The model's name in the file; without one, the directory's.
    pub name: Option<String>,
    /// Threads that compute; without a number, as many as the machine has.
    pub threads: Option<NonZeroUsize>,
}

impl QuantizeOptions {
    /// A file of that type, with nothing else said.
    pub fn new(file_type: FileType) -> Self {
        Self { file_type, importance: None, existing: ExistingFile::Keep, name: None, threads: None }
    }
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantizeProgress<'a> {
    /// The tensor at work, by its name in the file.
    pub tensor: &'a str,
    /// Bytes of it that are read and written in their new form.
    pub tensor_done: u64,
    /// Its bytes in the checkpoint.
    pub tensor_total: u64,
    /// Bytes of all tensors that are done.
    pub done: u64,
    /// The checkpoint's bytes of all tensors.
    pub total: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizeReport {
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Weights in it.
    pub weights: u64,
    /// How many tensors, and weights in them, are of each type, the type with most weights first.
    pub types: Vec<StoredCount>,
    /// Tensors for which the importance matrix had values.
    pub weighted_tensors: usize,
}

/// Tensors of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCount {
    /// Their type.
    pub dtype: StoredType,
    /// How many they are.
    pub tensors: usize,
    /// Weights in them.
    pub weights: u64,
}
