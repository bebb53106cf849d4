//! A GGUF file: its header, checked against the file's real length, and its tensors.
//!
//! The format is specified in ggml's `docs/gguf.md`. Nothing in the header is believed before it
//! is compared with the bytes that are there, so a lying file costs an error and no memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::gguf_reader::{Reader, ScalarKind};
use super::mapped_file::MappedFile;
use super::tensor::{StoredTensor, StoredType};
use crate::error::RuntimeError;

const MAGIC: &[u8; 4] = b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_DIMENSIONS: u32 = 4;

/// A metadata value. Arrays stay in the file until they are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MetadataValue {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(String),
    Array { kind: ScalarKind, count: usize, offset: usize },
}

/// Where a tensor lies in the file.
#[derive(Debug, Clone)]
struct TensorPlace {
    dtype: StoredType,
    shape: Vec<usize>,
    start: usize,
    len: usize,
}

/// An open GGUF file.
#[derive(Debug)]
pub(crate) struct GgufFile {
    path: PathBuf,
    map: MappedFile,
    metadata: HashMap<String, MetadataValue>,
    tensors: HashMap<String, TensorPlace>,
}

impl GgufFile {
    /// Lets the system take back the memory of bytes that have been copied.
    pub(crate) fn release(&self, bytes: &[u8]) {
        self.map.release(bytes);
    }

    /// Lets the system take back all memory of the file.
    pub(crate) fn release_all(&self) {
        self.map.release(&self.map);
    }

    /// Maps the file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, RuntimeError> {
        let map = MappedFile::open(path)?;
        let (metadata, tensors) = read_header(&map, path)?;
        // A tokenizer's arrays were read to find their ends; some megabytes that only few will read again.
        map.release(&map);
        Ok(Self { path: path.to_owned(), map, metadata, tensors })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            MetadataValue::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, key: &str) -> Option<u64> {
        match *self.metadata.get(key)? {
            MetadataValue::Unsigned(value) => Some(value),
            MetadataValue::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match *self.metadata.get(key)? {
            MetadataValue::Float(value) => Some(value),
            MetadataValue::Unsigned(value) => Some(value as f64),
            MetadataValue::Signed(value) => Some(value as f64),
            _ => None,
        }
    }

    /// An array of strings; `None` when the key is absent.
    pub(crate) fn strings(&self, key: &str) -> Result<Option<Vec<&str>>, RuntimeError> {
        let Some(MetadataValue::Array { kind, count, offset }) = self.metadata.get(key) else { return Ok(None) };
        if *kind != ScalarKind::String {
            return Err(RuntimeError::invalid(&self.path, format!("{key} is not an array of strings")));
        }
        let mut reader = Reader::at(&self.map, *offset);
        let texts = (0..*count).map(|_| reader.string()).collect::<Result<_, _>>();
        texts.map(Some).map_err(|reason| RuntimeError::invalid(&self.path, format!("{key}: {reason}")))
    }

    /// An array of integers; `None` when the key is absent.
    pub(crate) fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, RuntimeError> {
        let Some(MetadataValue::Array { kind, count, offset }) = self.metadata.get(key) else { return Ok(None) };
        let fail = |reason: &str| RuntimeError::invalid(&self.path, format!("{key}: {reason}"));
        let mut reader = Reader::at(&self.map, *offset);
        let mut values = Vec::new();
        for _ in 0..*count {
            values.push(match reader.scalar(*kind).map_err(|reason| fail(&reason))? {
                MetadataValue::Unsigned(value) => i64::try_from(value).map_err(|_| fail("number too large"))?,
                MetadataValue::Signed(value) => value,
                _ => return Err(fail("not an array of integers")),
            });
        }
        Ok(Some(values))
    }

    /// The names of all tensors.
    pub(crate) fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor of that name, if the file has it.
    pub(crate) fn tensor(&self, name: &str) -> Option<StoredTensor<'_>> {
        let place = self.tensors.get(name)?;
        let bytes = self.map.get(place.start..place.start + place.len)?;
        Some(StoredTensor { dtype: place.dtype, shape: place.shape.clone(), bytes: bytes.into() })
    }
}

type Header = (HashMap<String, MetadataValue>, HashMap<String, TensorPlace>);

fn read_header(bytes: &[u8], path: &Path) -> Result<Header, RuntimeError> {
    let mut reader = Reader::at(bytes, 0);
    let invalid = |reason: String| RuntimeError::invalid(path, reason);
    if reader.bytes(4).map_err(invalid)? != MAGIC {
        return Err(invalid("it does not start with GGUF".to_owned()));
    }
    let version = reader.u32().map_err(invalid)?;
    if !matches!(version, 2 | 3) {
        return Err(RuntimeError::unsupported(path, format!("GGUF version {version}; versions 2 and 3 are known")));
    }
    let tensor_count = reader.u64().map_err(invalid)?;
    let metadata_count = reader.u64().map_err(invalid)?;
    let mut metadata = HashMap::new();
    for _ in 0..metadata_count {
        let (key, value) = reader.entry().map_err(invalid)?;
        metadata.insert(key, value);
    }
    let alignment = match metadata.get("general.alignment") {
        Some(MetadataValue::Unsigned(value)) => *value,
        _ => DEFAULT_ALIGNMENT,
    };
    if !alignment.is_power_of_two() || !(8..=65_536).contains(&alignment) {
        return Err(invalid(format!("general.alignment is {alignment}")));
    }
    let mut infos = Vec::new();
    for _ in 0..tensor_count {
        infos.push(reader.tensor_info(MAX_DIMENSIONS).map_err(invalid)?);
    }
    let data_start = (reader.position() as u64).next_multiple_of(alignment);
    let mut tensors = HashMap::new();
    for info in infos {
        let Some(dtype) = StoredType::from_ggml(info.ggml_type) else {
            let reason = format!("tensor {} has ggml type {}, which is not supported", info.name, info.ggml_type);
            return Err(RuntimeError::unsupported(path, reason));
        };
        let len = dtype.tensor_bytes(&info.shape).ok_or_else(|| {
            invalid(format!("tensor {} of shape {:?} is no whole number of blocks", info.name, info.shape))
        })?;
        if !info.offset.is_multiple_of(alignment) {
            return Err(invalid(format!("tensor {} is not aligned to {alignment} bytes", info.name)));
        }
        let start = data_start.checked_add(info.offset).and_then(|start| usize::try_from(start).ok());
        let end = start.and_then(|start| start.checked_add(len));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(invalid(format!("tensor {} has an offset out of range", info.name)));
        };
        if end > bytes.len() {
            return Err(invalid(format!(
                "tensor {} ends at byte {end}, but the file has {}; it is cut off",
                info.name,
                bytes.len()
            )));
        }
        tensors.insert(info.name, TensorPlace { dtype, shape: info.shape, start, len });
    }
    Ok((metadata, tensors))
}
