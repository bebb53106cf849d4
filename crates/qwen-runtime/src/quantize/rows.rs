//! Owns the conversion of rows from one type to another, on several threads. Must not know files.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::block::{self, SUPER_BLOCK};
use super::{q4_0, q4_k, q5_k, q6_k, q8_0};
use crate::checkpoint::StoredType;
use crate::error::RuntimeError;

/// Largest value whose block factors are half floats with room to spare.
const BLOCK_LIMIT: f32 = 1_048_576.0;
/// The half float after the largest finite one would be 65,536; from here on, rounding reaches it.
const HALF_LIMIT: f32 = 65_520.0;
/// Half a step above the largest finite bfloat16.
const BFLOAT_LIMIT: f32 = f32::from_bits(0x7f7f_8000);
/// Values that a thread takes at once.
const PORTION: usize = 1 << 15;

/// Why values cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// A value is infinite or not a number.
    NotFinite,
    /// The type cannot hold this value.
    TooLarge(f32),
    /// The types, or the lengths that were given, do not fit each other.
    Mismatch,
}

impl Fault {
    /// The error for tensor `name` of the file or directory `path`.
    pub(crate) fn explain(self, path: &Path, name: &str, source: StoredType, target: StoredType) -> RuntimeError {
        match self {
            Self::NotFinite => RuntimeError::invalid(path, format!("{name} has a weight that is not a finite number")),
            Self::TooLarge(value) => {
                RuntimeError::unsupported(path, format!("{name} has a weight of {value}, too large for {target:?}"))
            }
            Self::Mismatch => {
                RuntimeError::unsupported(path, format!("{name} cannot be turned from {source:?} into {target:?}"))
            }
        }
    }
}

/// How the rows of a tensor are converted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowCodec<'a> {
    pub(crate) source: StoredType,
    pub(crate) target: StoredType,
    pub(crate) columns: usize,
    /// How much the error of each column counts.
    pub(crate) importance: Option<&'a [f32]>,
}

impl RowCodec<'_> {
    /// Bytes of a row in the source.
    pub(crate) fn source_row(&self) -> usize {
        self.columns / self.source.block_len() * self.source.block_bytes()
    }

    /// Bytes of a row in the target.
    pub(crate) fn target_row(&self) -> usize {
        self.columns / self.target.block_len() * self.target.block_bytes()
    }

    /// Converts whole rows from `raw` into `out`.
    pub(crate) fn convert(&self, raw: &[u8], out: &mut [u8], threads: NonZeroUsize) -> Result<(), Fault> {
        let rows = (PORTION / self.columns.max(1)).max(1);
        let (source, target) = (rows * self.source_row(), rows * self.target_row());
        if raw.len() / self.source_row().max(1) != out.len() / self.target_row().max(1) || source == 0 || target == 0 {
            return Err(Fault::Mismatch);
        }
        let portions = Mutex::new(raw.chunks(source).zip(out.chunks_mut(target)));
        let next = || portions.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || -> Result<(), Fault> {
            let mut values = vec![0.0; self.columns];
            while let Some((raw, out)) = next() {
                for (raw, out) in raw.chunks(self.source_row()).zip(out.chunks_mut(self.target_row())) {
                    self.convert_row(raw, &mut values, out)?;
                }
            }
            Ok(())
        };
        if threads.get() == 1 {
            return work();
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
            // A worker that panicked is a fault of this crate; the panic goes on in the caller.
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .fold(Ok(()), Result::and)
        })
    }

    fn convert_row(&self, raw: &[u8], values: &mut [f32], out: &mut [u8]) -> Result<(), Fault> {
        self.source.widen(raw, values).ok_or(Fault::Mismatch)?;
        check(self.target, values)?;
        match self.target {
            StoredType::F32 => {
                for (out, value) in out.as_chunks_mut().0.iter_mut().zip(values) {
                    *out = value.to_le_bytes();
                }
            }
            StoredType::BF16 => {
                for (out, value) in out.as_chunks_mut().0.iter_mut().zip(values) {
                    *out = bf16::from_f32(*value).to_le_bytes();
                }
            }
            StoredType::F16 => {
                let mut halves = vec![f16::ZERO; values.len()];
                halves.convert_from_f32_slice(values);
                for (out, half) in out.as_chunks_mut().0.iter_mut().zip(halves) {
                    *out = half.to_le_bytes();
                }
            }
            StoredType::Q4_0 => {
                for (out, values) in out.as_chunks_mut().0.iter_mut().zip(values.as_chunks().0) {
                    q4_0::encode(values, out);
                }
            }
            StoredType::Q8_0 => {
                for (out, values) in out.as_chunks_mut().0.iter_mut().zip(values.as_chunks().0) {
                    q8_0::encode(values, out);
                }
            }
            StoredType::Q4K => self.super_blocks(values, out, q4_k::encode),
            StoredType::Q5K => self.super_blocks(values, out, q5_k::encode),
            StoredType::Q6K => self.super_blocks(values, out, q6_k::encode),
        }
        Ok(())
    }

    fn super_blocks<const BYTES: usize>(
        &self,
        values: &[f32],
        out: &mut [u8],
        encode: fn(&[f32; SUPER_BLOCK], &[f32; SUPER_BLOCK], &mut [u8; BYTES]),
    ) {
        let blocks = values.as_chunks::<SUPER_BLOCK>().0.iter().zip(out.as_chunks_mut::<BYTES>().0);
        for (index, (values, out)) in blocks.enumerate() {
            let importance = self.importance.and_then(|all| all.get(index * SUPER_BLOCK..)?.get(..SUPER_BLOCK));
            encode(values, &block::weights(importance), out);
        }
    }
}

/// Refuses what the target cannot hold: it would be found as nonsense in the middle of an answer.
fn check(target: StoredType, values: &[f32]) -> Result<(), Fault> {
    if !values.iter().all(|value| value.is_finite()) {
        return Err(Fault::NotFinite);
    }
    let limit = match target {
        StoredType::F32 => f32::INFINITY,
        StoredType::BF16 => BFLOAT_LIMIT,
        StoredType::F16 => HALF_LIMIT,
        _ => BLOCK_LIMIT,
    };
    match values.iter().find(|value| value.abs() >= limit) {
        Some(&value) => Err(Fault::TooLarge(value)),
        None => Ok(()),
    }
}
