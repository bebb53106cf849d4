//! A checkpoint of safetensors becomes a GGUF file: smaller, and with its tokenizer and template inside.
//!
//! Owns the way from file to file: one tensor after the other, in slabs of rows, so that a model of any size needs
//! little memory; and with it the rules by which engines quantize what they load. Also writes files of random weights, for measuring. Knows `checkpoint` and `tokenizer`; must not know engines.

mod affine;
mod block;
mod gguf_writer;
mod imatrix;
mod metadata;
mod mix;
mod options;
mod output_file;
mod q4_0;
mod q4_k;
mod q5_k;
mod q6_k;
mod q8_0;
mod random_model;
mod rows;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::Path;

use gguf_writer::{ALIGNMENT, TensorEntry};
use imatrix::Importance;
pub(crate) use mix::stored_type;
pub use options::{ExistingFile, FileType, QuantizeOptions, QuantizeProgress, QuantizeReport, StoredCount};
use output_file::OutputFile;
pub use random_model::{RandomModelOptions, random_model};
pub(crate) use rows::{Fault, RowCodec};

use crate::checkpoint::{Checkpoint, TensorLocation, TensorName};
use crate::error::RuntimeError;

/// Values in a slab: with both its types, some 100 MiB.
const SLAB: usize = 1 << 24;

/// A tensor to write.
struct Job<'a> {
    entry: TensorEntry,
    location: TensorLocation<'a>,
    importance: Option<&'a [f32]>,
}

impl Job<'_> {
    fn weights(&self) -> u64 {
        self.entry.shape.iter().map(|&dimension| dimension as u64).product()
    }

    /// Length in the checkpoint.
    fn source_bytes(&self) -> u64 {
        self.location.dtype.tensor_bytes(&self.entry.shape).map_or(0, |bytes| bytes as u64)
    }
}

/// Writes the checkpoint in directory `source` as a GGUF file `target` that llama.cpp and this crate read.
///
/// The file appears under its name when it is whole. `progress` is called on the calling thread, several times for
/// each large tensor.
///
/// # Errors
/// Those of [`Checkpoint::open`]; [`RuntimeError::UnsupportedCheckpoint`] for a GGUF source, a tokenizer that a GGUF
/// cannot describe, and weights too large for the type; [`RuntimeError::InvalidCheckpoint`] for weights that are not
/// finite; [`RuntimeError::InvalidImportance`]; [`RuntimeError::TargetExists`]; [`RuntimeError::Write`].
pub fn quantize(
    source: &Path,
    target: &Path,
    options: &QuantizeOptions,
    progress: &dyn Fn(QuantizeProgress<'_>),
) -> Result<QuantizeReport, RuntimeError> {
    let mut output = OutputFile::create(target, options.existing)?;
    let checkpoint = Checkpoint::open(source)?;
    let importance = options.importance.as_deref().map(Importance::read).transpose()?;
    let jobs = jobs(&checkpoint, options, importance.as_ref())?;
    let weights = checkpoint.architecture().weights();
    let total = jobs.iter().map(Job::source_bytes).sum();
    let metadata = metadata::entries(&checkpoint, options, importance.as_ref(), weights)?;
    let entries: Vec<_> = jobs.iter().map(|job| job.entry.clone()).collect();
    output.write(&gguf_writer::header(&metadata, &entries))?;
    let threads = options.threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let mut done = 0;
    for job in &jobs {
        let (tensor, before) = (&job.entry.name, done);
        let mut report = |bytes: u64| {
            done += bytes;
            progress(QuantizeProgress {
                tensor,
                tensor_done: done - before,
                tensor_total: job.source_bytes(),
                done,
                total,
            });
        };
        write_tensor(job, threads, &mut output, &mut report)?;
    }
    Ok(QuantizeReport {
        bytes: output.finish()?,
        weights,
        types: count_types(&jobs),
        weighted_tensors: jobs.iter().filter(|job| job.importance.is_some()).count(),
    })
}

fn jobs<'a>(
    checkpoint: &'a Checkpoint,
    options: &QuantizeOptions,
    importance: Option<&'a Importance>,
) -> Result<Vec<Job<'a>>, RuntimeError> {
    let architecture = checkpoint.architecture();
    let mut jobs = Vec::new();
    for name in architecture.tensor_names() {
        let location = checkpoint.location(name)?.ok_or_else(|| {
            RuntimeError::unsupported(checkpoint.path(), "it is a GGUF file already; give the directory it was made of")
        })?;
        let (dtype, shape) = (mix::stored_type(name, architecture, options.file_type), location.shape.to_vec());
        let text = name.in_gguf();
        let len = dtype
            .tensor_bytes(&shape)
            .ok_or_else(|| RuntimeError::invalid(checkpoint.path(), format!("tensor {text} has no length")))?;
        // Only blocks of a super-block have a choice to weigh.
        let importance = match (importance, shape.last()) {
            (Some(importance), Some(&columns)) if shape.len() == 2 => match importance.of(&text, columns) {
                // The embedding is a look-up: a matrix computed from other uses of it may have another size.
                Err(_) if name == TensorName::Embedding => None,
                found => found?,
            },
            _ => None,
        };
        let entry = TensorEntry { name: text, shape, dtype, len: len as u64 };
        jobs.push(Job { entry, location, importance });
    }
    if let Some(importance) = importance
        && jobs.iter().all(|job| job.importance.is_none())
    {
        return Err(RuntimeError::importance(importance.path(), "it names no matrix of this model"));
    }
    Ok(jobs)
}

fn write_tensor(
    job: &Job<'_>,
    threads: NonZeroUsize,
    output: &mut OutputFile,
    report: &mut dyn FnMut(u64),
) -> Result<(), RuntimeError> {
    let location = &job.location;
    let failed = |source| RuntimeError::io(location.path, source);
    let columns = location.shape.last().copied().unwrap_or(1);
    let codec = RowCodec { source: location.dtype, target: job.entry.dtype, columns, importance: job.importance };
    let rows = usize::try_from(job.weights()).unwrap_or(usize::MAX) / columns.max(1);
    let slab = (SLAB / columns.max(1)).clamp(1, rows.max(1));
    // Read, not mapped: what is read through a mapping stays in this process's memory.
    let mut file = File::open(location.path).map_err(failed)?;
    file.seek(SeekFrom::Start(location.offset)).map_err(failed)?;
    let (mut raw, mut out) = (vec![0; slab * codec.source_row()], vec![0; slab * codec.target_row()]);
    let mut left = rows;
    while left > 0 {
        let now = slab.min(left);
        let (raw, out) = (&mut raw[..now * codec.source_row()], &mut out[..now * codec.target_row()]);
        file.read_exact(raw).map_err(failed)?;
        codec
            .convert(raw, out, threads)
            .map_err(|fault| fault.explain(location.path, &job.entry.name, codec.source, codec.target))?;
        output.write(out)?;
        left -= now;
        report(raw.len() as u64);
    }
    output.pad(ALIGNMENT)
}

fn count_types(jobs: &[Job<'_>]) -> Vec<StoredCount> {
    let mut counts: Vec<StoredCount> = Vec::new();
    for job in jobs {
        let dtype = job.entry.dtype;
        let known = counts.iter().position(|count| count.dtype == dtype);
        let index = known.unwrap_or_else(|| {
            counts.push(StoredCount { dtype, tensors: 0, weights: 0 });
            counts.len() - 1
        });
        counts[index].tensors += 1;
        counts[index].weights += job.weights();
    }
    counts.sort_by_key(|count| std::cmp::Reverse(count.weights));
    counts
}
