//! The tensors of a Hugging Face checkpoint: one safetensors file, or several with an index.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use ::safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::files::{CheckpointFiles, FileBytes};
use super::tensor::{StoredTensor, StoredType};
use crate::error::RuntimeError;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

#[derive(Debug)]
struct TensorPlace {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

/// Where a tensor lies, for who reads the file instead of the mapping: pages that are read through a mapping
/// count as memory of this process for as long as it stands.
#[derive(Debug, Clone)]
pub(crate) struct TensorLocation<'a> {
    pub(crate) path: &'a Path,
    /// Bytes from the start of the file.
    pub(crate) offset: u64,
    pub(crate) dtype: StoredType,
    pub(crate) shape: &'a [usize],
}

/// The open safetensors files of a checkpoint.
#[derive(Debug)]
pub(crate) struct SafetensorsFiles {
    shards: Vec<(PathBuf, FileBytes)>,
    tensors: HashMap<String, TensorPlace>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl SafetensorsFiles {
    /// Opens every file with tensors and reads the headers.
    pub(crate) fn open(directory: &CheckpointFiles) -> Result<Self, RuntimeError> {
        let mut files = Self { shards: Vec::new(), tensors: HashMap::new() };
        for name in shard_names(directory)? {
            files.add(directory.path_of(&name), directory.open(&name)?)?;
        }
        Ok(files)
    }

    /// Lets the system take back the memory of bytes that have been copied.
    pub(crate) fn release(&self, bytes: &[u8]) {
        self.shards.iter().for_each(|(_, map)| map.release(bytes));
    }

    /// Lets the system take back all memory of the files.
    pub(crate) fn release_all(&self) {
        self.shards.iter().for_each(|(_, map)| map.release(map));
    }

    fn add(&mut self, path: PathBuf, map: FileBytes) -> Result<(), RuntimeError> {
        let (header_len, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| RuntimeError::invalid(&path, error.to_string()))?;
        // The data follow the 8 bytes of the header's length and the header itself.
        let data_start = header_len + 8;
        let shard = self.shards.len();
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let place = TensorPlace {
                shard,
                dtype: info.dtype,
                shape: info.shape.clone(),
                start: data_start + start,
                end: data_start + end,
            };
            self.tensors.insert(name, place);
        }
        self.shards.push((path, map));
        Ok(())
    }

    /// The tensor of that name, if the checkpoint has it.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<StoredTensor<'_>>, RuntimeError> {
        let Some(place) = self.tensors.get(name) else { return Ok(None) };
        let (path, map) = &self.shards[place.shard];
        let dtype = match place.dtype {
            Dtype::F32 => StoredType::F32,
            Dtype::F16 => StoredType::F16,
            Dtype::BF16 => StoredType::BF16,
            other => return Err(RuntimeError::unsupported(path, format!("tensor {name} has type {other:?}"))),
        };
        let bytes = map.get(place.start..place.end).filter(|b| Some(b.len()) == dtype.tensor_bytes(&place.shape));
        let bytes = bytes.ok_or_else(|| {
            RuntimeError::invalid(path, format!("tensor {name} does not have the length of its shape"))
        })?;
        Ok(Some(StoredTensor { dtype, shape: place.shape.clone(), bytes: bytes.into() }))
    }
}

impl SafetensorsFiles {
    /// Where the tensor of that name, known to be of type `dtype`, lies.
    pub(crate) fn location(&self, name: &str, dtype: StoredType) -> Option<TensorLocation<'_>> {
        let place = self.tensors.get(name)?;
        let path = &self.shards[place.shard].0;
        Some(TensorLocation { path, offset: place.start as u64, dtype, shape: &place.shape })
    }
}

/// The one file, or the files that the index names.
fn shard_names(directory: &CheckpointFiles) -> Result<Vec<String>, RuntimeError> {
    let Some(bytes) = directory.read(INDEX)? else { return Ok(vec![SINGLE.to_owned()]) };
    let path = directory.path_of(INDEX);
    let index: Index =
        serde_json::from_slice(&bytes).map_err(|error| RuntimeError::invalid(&path, error.to_string()))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    for name in &names {
        // A shard lies beside its index: a path that leads elsewhere is not followed.
        if name.is_empty() || name.contains(['/', '\\']) || name == ".." {
            return Err(RuntimeError::invalid(&path, format!("shard {name:?}")));
        }
    }
    Ok(names.into_iter().collect())
}
