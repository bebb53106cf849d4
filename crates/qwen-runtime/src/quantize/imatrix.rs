//! Owns importance matrices: the two file formats of llama.cpp's `imatrix`. Must not know how importance is used.
//!
//! An importance is the mean square of the activations that a column of a matrix meets: the error of a weight
//! reaches the output multiplied by that activation.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::checkpoint::GgufFile;
use crate::error::RuntimeError;

const GGUF_MAGIC: &[u8; 4] = b"GGUF";
const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

/// The importance of each column of each matrix, by the matrix's name in a GGUF file.
#[derive(Debug)]
pub(super) struct Importance {
    path: PathBuf,
    columns: HashMap<String, Vec<f32>>,
    /// Where the activations came from.
    pub(super) dataset: Option<String>,
    /// How many pieces of text were run.
    pub(super) chunks: Option<u32>,
}

impl Importance {
    /// Reads a file of either format.
    pub(super) fn read(path: &Path) -> Result<Self, RuntimeError> {
        let bytes = std::fs::read(path).map_err(|source| RuntimeError::io(path, source))?;
        let read = if bytes.starts_with(GGUF_MAGIC) { Self::from_gguf(path) } else { Self::from_dat(&bytes, path) };
        let importance = read.map_err(|error| match error {
            RuntimeError::InvalidCheckpoint { reason, .. } | RuntimeError::UnsupportedCheckpoint { reason, .. } => {
                RuntimeError::importance(path, reason)
            }
            other => other,
        })?;
        if importance.columns.is_empty() {
            return Err(RuntimeError::importance(path, "it has no entries"));
        }
        for (name, values) in &importance.columns {
            if !values.iter().all(|value| value.is_finite() && *value >= 0.0) {
                return Err(RuntimeError::importance(path, format!("{name} has a value that is no mean square")));
            }
        }
        Ok(importance)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many matrices it has values for.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The importance of the columns of a matrix, if the file has it.
    pub(super) fn of(&self, name: &str, columns: usize) -> Result<Option<&[f32]>, RuntimeError> {
        match self.columns.get(name) {
            None => Ok(None),
            Some(values) if values.len() == columns => Ok(Some(values)),
            Some(values) => {
                let reason = format!("{name} has {} values for {columns} columns", values.len());
                Err(RuntimeError::importance(&self.path, reason))
            }
        }
    }

    /// The newer format: for each matrix a tensor with sums and one with the number of their terms.
    fn from_gguf(path: &Path) -> Result<Self, RuntimeError> {
        let file = GgufFile::open(path)?;
        let floats = |name: &str| -> Result<Vec<f32>, RuntimeError> {
            let tensor = file.tensor(name).filter(|tensor| tensor.dtype == crate::checkpoint::StoredType::F32);
            let tensor =
                tensor.ok_or_else(|| RuntimeError::importance(path, format!("{name} is missing or not F32")))?;
            Ok(tensor.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        };
        let mut columns = HashMap::new();
        for name in file.tensor_names().filter_map(|name| name.strip_suffix(SUMS)) {
            let (mut values, counts) = (floats(&format!("{name}{SUMS}"))?, floats(&format!("{name}{COUNTS}"))?);
            let [count] = counts[..] else {
                let reason = format!("{name} has {} counts; a matrix of a dense model has one", counts.len());
                return Err(RuntimeError::importance(path, reason));
            };
            if count > 0.0 {
                values.iter_mut().for_each(|value| *value /= count);
            } else {
                values.fill(1.0);
            }
            columns.insert(name.to_owned(), values);
        }
        let datasets = file.strings("imatrix.datasets")?.filter(|names| !names.is_empty());
        let chunks = file.integer("imatrix.chunk_count").and_then(|count| u32::try_from(count).ok());
        Ok(Self { path: path.to_owned(), columns, dataset: datasets.map(|names| names.join(", ")), chunks })
    }

    /// The older format: little-endian numbers and strings one after the other.
    fn from_dat(bytes: &[u8], path: &Path) -> Result<Self, RuntimeError> {
        let cut_off =
            || RuntimeError::importance(path, format!("it is cut off, or not one: it has {} bytes", bytes.len()));
        let mut rest = bytes;
        let entries = number(&mut rest).filter(|count| *count > 0).ok_or_else(cut_off)?;
        let mut columns = HashMap::new();
        // Each entry takes bytes from the file, so a lying count ends with the file.
        for _ in 0..entries {
            let (name, values) = entry(&mut rest).ok_or_else(cut_off)?;
            columns.insert(name, values);
        }
        // What follows was added later, and may be missing.
        let chunks = number(&mut rest).and_then(|count| u32::try_from(count).ok());
        let dataset = number(&mut rest).and_then(|len| text(&mut rest, len)).filter(|name| !name.is_empty());
        Ok(Self { path: path.to_owned(), columns, dataset, chunks })
    }
}

fn entry(rest: &mut &[u8]) -> Option<(String, Vec<f32>)> {
    let len = number(rest)?;
    let name = text(rest, len)?;
    let calls = number(rest)?;
    let count = usize::try_from(number(rest)?).ok().filter(|count| *count > 0)?;
    let values = take(rest, count.checked_mul(4)?)?;
    let divisor = if calls > 0 { calls as f32 } else { 1.0 };
    Some((name, values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes) / divisor).collect()))
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(take(rest, 4)?.try_into().ok()?))
}

fn text(rest: &mut &[u8], len: i32) -> Option<String> {
    String::from_utf8(take(rest, usize::try_from(len).ok()?)?.to_vec()).ok()
}
