//! The tensors of a Hugging Face checkpoint: one safetensors file, or several with an index.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use ::safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::mapped_file::MappedFile;
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
    shards: Vec<(PathBuf, MappedFile)>,
    tensors: HashMap<String, TensorPlace>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl SafetensorsFiles {
    /// Opens every file of the checkpoint in `directory` and reads the headers.
    pub(crate) fn open(directory: &Path) -> Result<Self, RuntimeError> {
        let mut files = Self { shards: Vec::new(), tensors: HashMap::new() };
        for path in shard_paths(directory)? {
            files.add(path)?;
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

    fn add(&mut self, path: PathBuf) -> Result<(), RuntimeError> {
        let map = MappedFile::open(&path)?;
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
        Ok(Some(StoredTensor { dtype, shape: place.shape.clone(), bytes }))
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
fn shard_paths(directory: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
    let index_path = directory.join(INDEX);
    let bytes = match std::fs::read(&index_path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![directory.join(SINGLE)]),
        Err(error) => return Err(RuntimeError::io(&index_path, error)),
    };
    let index: Index =
        serde_json::from_slice(&bytes).map_err(|error| RuntimeError::invalid(&index_path, error.to_string()))?;
    let names: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    names
        .into_iter()
        .map(|name| {
            // A shard lies beside its index: a path that leads elsewhere is not followed.
            let inside = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
            if inside {
                Ok(directory.join(name))
            } else {
                Err(RuntimeError::invalid(&index_path, format!("shard {name:?}")))
            }
        })
        .collect()
}
