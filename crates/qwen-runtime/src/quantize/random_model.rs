//! Owns models of random weights: files of any shape and type that say nothing sensible and take as long as real ones.
//! Must not know which shapes there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gguf_writer::{self, ALIGNMENT, TensorEntry};
use super::options::{ExistingFile, FileType};
use super::output_file::OutputFile;
use super::rows::{Fault, RowCodec};
use super::{metadata, mix};
use crate::checkpoint::{Architecture, CheckpointFiles, StoredType};
use crate::error::RuntimeError;

/// Standard deviation of the weights: `initializer_range` of the published configurations.
const DEVIATION: f32 = 0.02;
/// The least size of a weight: half floats below it have fewer digits, and some processors are slow with them.
const LEAST: f32 = 1.0 / 16_384.0;
/// Weights that are drawn from a pool at once: a whole number of blocks of every type.
const UNIT: usize = 256;
/// Units in a pool. A row is made of several, so that hardly two rows of a model are the same.
const UNITS: usize = 4096;
/// Units that are written at once.
const PORTION: usize = 16_384;

/// What a random model is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomModelOptions {
    /// The type of its tensors.
    pub file_type: FileType,
    /// Whether a file that is there may be replaced.
    pub existing: ExistingFile,
    /// Equal seeds make equal files.
    pub seed: u64,
    /// The model's name in the file.
    pub name: String,
    /// A directory with `tokenizer.json`, and with the template where there is one, which go into the file. Without
    /// it, the model knows token ids only.
    pub tokenizer: Option<PathBuf>,
}

/// Writes a GGUF file `target` of that architecture with random weights, which engines run as they run a real one.
///
/// Matrices are normally distributed around 0 and norms around 1, so that what is computed stays finite. Only some
/// weights are drawn and quantized; they are repeated in random order. The file appears under its name when it is
/// whole; `progress` hears how many bytes of how many are written.
///
/// # Errors
/// [`RuntimeError::InvalidCheckpoint`] for an architecture that is none; for the tokenizer,
/// [`RuntimeError::Io`], [`RuntimeError::InvalidCheckpoint`] when the embedding has no row for one of its tokens, and
/// [`RuntimeError::UnsupportedCheckpoint`]; [`RuntimeError::TargetExists`]; [`RuntimeError::Write`].
pub fn random_model(
    architecture: &Architecture,
    target: &Path,
    options: &RandomModelOptions,
    progress: &dyn Fn(u64, u64),
) -> Result<(), RuntimeError> {
    let architecture = architecture.clone().validated(target)?;
    let mut output = OutputFile::create(target, options.existing)?;
    let tokenizer = options.tokenizer.clone().map(CheckpointFiles::Directory);
    let metadata =
        metadata::entries_without_checkpoint(&options.name, &architecture, options.file_type, tokenizer.as_ref())?;
    let tensors = tensors(&architecture, options.file_type, target)?;
    output.write(&gguf_writer::header(&metadata, &tensors))?;
    let total = tensors.iter().map(|tensor| tensor.len).sum();
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let unwritable = |fault| RuntimeError::unsupported(target, format!("random weights cannot be written: {fault:?}"));
    let mut pools = HashMap::new();
    let mut done = 0;
    for tensor in &tensors {
        if tensor.shape.len() == 1 {
            let values = (0..tensor.shape[0]).map(|_| 1.0 + DEVIATION * normal(&mut rng));
            output.write(&values.flat_map(f32::to_le_bytes).collect::<Vec<_>>())?;
            done += tensor.len;
        } else {
            let pool = match pools.entry(tensor.dtype) {
                Entry::Occupied(pool) => pool.into_mut(),
                Entry::Vacant(place) => place.insert(Pool::new(tensor.dtype, &mut rng).map_err(unwritable)?),
            };
            let mut left = tensor.len;
            while left > 0 {
                // A pool's portion is a few MiB, so the cast back cannot cut anything off.
                let now = left.min(pool.portion.len() as u64);
                output.write(pool.draw(now as usize, &mut rng))?;
                left -= now;
                done += now;
                progress(done, total);
            }
        }
        output.pad(ALIGNMENT)?;
    }
    output.finish().map(drop)
}

fn tensors(architecture: &Architecture, file_type: FileType, path: &Path) -> Result<Vec<TensorEntry>, RuntimeError> {
    let entry = |name| {
        let (dtype, shape) = (mix::stored_type(name, architecture, file_type), architecture.shape_of(name));
        let name = name.in_gguf();
        let len = dtype
            .tensor_bytes(&shape)
            .ok_or_else(|| RuntimeError::invalid(path, format!("tensor {name} has no length")))?;
        Ok(TensorEntry { name, shape, dtype, len: len as u64 })
    };
    architecture.tensor_names().map(entry).collect()
}

/// Random weights of one type.
struct Pool {
    units: Vec<u8>,
    unit_bytes: usize,
    /// What was drawn last.
    portion: Vec<u8>,
}

impl Pool {
    fn new(dtype: StoredType, rng: &mut ChaCha8Rng) -> Result<Self, Fault> {
        let values = (0..UNITS * UNIT).map(|_| {
            let value = DEVIATION * normal(rng);
            value.abs().max(LEAST).copysign(value)
        });
        let raw: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        let codec = RowCodec { source: StoredType::F32, target: dtype, columns: UNIT, importance: None };
        let unit_bytes = codec.target_row();
        let mut units = vec![0; UNITS * unit_bytes];
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        codec.convert(&raw, &mut units, threads)?;
        Ok(Self { units, unit_bytes, portion: vec![0; PORTION * unit_bytes] })
    }

    /// The next `len` bytes, in random order; the last unit may be cut off, at a block's end.
    fn draw(&mut self, len: usize, rng: &mut ChaCha8Rng) -> &[u8] {
        for out in self.portion[..len].chunks_mut(self.unit_bytes) {
            let start = rng.next_u32() as usize % UNITS * self.unit_bytes;
            out.copy_from_slice(&self.units[start..][..out.len()]);
        }
        &self.portion[..len]
    }
}

/// A normally distributed value (Box and Muller's method).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    // Not zero, which has no logarithm.
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}
