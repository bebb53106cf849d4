//! A checkpoint on disk: which model it is, its tensors, and what it says about generating.
//!
//! Owns the file formats. Knows nothing of tensor libraries, tokenizing or engines.

mod architecture;
mod config_json;
mod generation_config;
mod gguf;
mod gguf_metadata;
mod gguf_reader;
mod mapped_file;
mod safetensors;
mod template_source;
mod tensor;

use std::path::{Path, PathBuf};

pub use architecture::{Architecture, AttentionBias, HeadWeights, RampBounds, Rope, RopeScaling};
pub(crate) use generation_config::END_TOKENS;
pub use generation_config::GenerationDefaults;
pub(crate) use gguf::GgufFile;
pub(crate) use safetensors::TensorLocation;
pub(crate) use template_source::SideFiles;
pub use tensor::{LayerTensor, StoredTensor, StoredType, TensorName};

use crate::error::RuntimeError;
use safetensors::SafetensorsFiles;

/// An open checkpoint: a directory with `config.json` and safetensors, or one `.gguf` file.
///
/// Opening reads headers only; every tensor that the model needs is there, with the shape that the
/// architecture gives it.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    architecture: Architecture,
    store: TensorStore,
}

#[derive(Debug)]
enum TensorStore {
    Safetensors(SafetensorsFiles),
    Gguf(Box<GgufFile>),
}

impl Checkpoint {
    /// Opens the checkpoint at `path`.
    ///
    /// # Errors
    /// [`RuntimeError::Io`], [`RuntimeError::InvalidCheckpoint`] or
    /// [`RuntimeError::UnsupportedCheckpoint`], each naming the file.
    pub fn open(path: &Path) -> Result<Self, RuntimeError> {
        let metadata = std::fs::metadata(path).map_err(|source| RuntimeError::io(path, source))?;
        let (architecture, store) = if metadata.is_dir() {
            let config = path.join("config.json");
            let bytes = std::fs::read(&config).map_err(|source| RuntimeError::io(&config, source))?;
            (config_json::parse(&bytes, &config)?, TensorStore::Safetensors(SafetensorsFiles::open(path)?))
        } else {
            let file = GgufFile::open(path)?;
            (gguf_metadata::architecture(&file)?, TensorStore::Gguf(Box::new(file)))
        };
        let checkpoint = Self { path: path.to_owned(), architecture, store };
        for name in checkpoint.architecture.tensor_names() {
            checkpoint.tensor(name)?;
        }
        Ok(checkpoint)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's numbers.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The tensor of that name, its shape checked.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidCheckpoint`] when it is missing or has another shape,
    /// [`RuntimeError::UnsupportedCheckpoint`] when its type is not known.
    pub fn tensor(&self, name: TensorName) -> Result<StoredTensor<'_>, RuntimeError> {
        let (text, found) = match &self.store {
            TensorStore::Safetensors(files) => {
                let text = name.in_safetensors();
                let found = files.tensor(&text)?;
                (text, found)
            }
            TensorStore::Gguf(file) => {
                let text = name.in_gguf();
                let found = file.tensor(&text);
                (text, found)
            }
        };
        let tensor = found.ok_or_else(|| RuntimeError::invalid(&self.path, format!("tensor {text} is missing")))?;
        let expected = self.architecture.shape_of(name);
        if tensor.shape != expected {
            let reason = format!("tensor {text} has shape {:?}, expected {expected:?}", tensor.shape);
            return Err(RuntimeError::invalid(&self.path, reason));
        }
        Ok(tensor)
    }

    /// Lets the system take back the memory of bytes of a tensor that have been copied.
    pub(crate) fn release(&self, bytes: &[u8]) {
        match &self.store {
            TensorStore::Safetensors(files) => files.release(bytes),
            TensorStore::Gguf(file) => file.release(bytes),
        }
    }

    /// Lets the system take back all memory of the files.
    pub(crate) fn release_all(&self) {
        match &self.store {
            TensorStore::Safetensors(files) => files.release_all(),
            TensorStore::Gguf(file) => file.release_all(),
        }
    }

    /// Where a tensor lies in the files of a directory, its shape checked; `None` for a GGUF file.
    pub(crate) fn location(&self, name: TensorName) -> Result<Option<TensorLocation<'_>>, RuntimeError> {
        let stored = self.tensor(name)?;
        match &self.store {
            TensorStore::Safetensors(files) => Ok(files.location(&name.in_safetensors(), stored.dtype)),
            TensorStore::Gguf(_) => Ok(None),
        }
    }

    /// The ids that end a text and the sampling values that the checkpoint names.
    ///
    /// # Errors
    /// [`RuntimeError::Io`] or [`RuntimeError::InvalidCheckpoint`].
    pub fn generation_defaults(&self) -> Result<GenerationDefaults, RuntimeError> {
        match &self.store {
            TensorStore::Safetensors(_) => generation_config::from_directory(&self.path),
            TensorStore::Gguf(file) => generation_config::from_gguf(file),
        }
    }

    /// What a GGUF file says it is made of: the number in llama.cpp's `enum llama_ftype`. `None` when it says nothing,
    /// and for a directory.
    pub fn file_type_number(&self) -> Option<u64> {
        self.gguf()?.integer("general.file_type")
    }

    /// The directory of the files beside the tensors: tokenizer, template, configuration.
    pub(crate) fn directory(&self) -> &Path {
        match &self.store {
            TensorStore::Safetensors(_) => &self.path,
            TensorStore::Gguf(_) => self.path.parent().unwrap_or(Path::new(".")),
        }
    }

    /// The GGUF file, if the checkpoint is one.
    pub(crate) fn gguf(&self) -> Option<&GgufFile> {
        match &self.store {
            TensorStore::Safetensors(_) => None,
            TensorStore::Gguf(file) => Some(file),
        }
    }
}

impl Architecture {
    /// Every tensor that a checkpoint of this architecture must have.
    pub fn tensor_names(&self) -> impl Iterator<Item = TensorName> + use<> {
        use LayerTensor as L;
        let biases: &'static [L] = match self.attention_bias {
            AttentionBias::Absent => &[],
            AttentionBias::Present => &[L::QueryBias, L::KeyBias, L::ValueBias, L::OutputBias],
        };
        let weights: &'static [L] = &[
            L::AttentionNorm,
            L::Query,
            L::Key,
            L::Value,
            L::Output,
            L::QueryNorm,
            L::KeyNorm,
            L::FeedForwardNorm,
            L::Gate,
            L::Up,
            L::Down,
        ];
        let head = match self.head {
            HeadWeights::Tied => None,
            HeadWeights::Untied => Some(TensorName::Head),
        };
        [TensorName::Embedding, TensorName::OutputNorm].into_iter().chain(head).chain(
            (0..self.layers).flat_map(move |layer| {
                weights.iter().chain(biases).map(move |&tensor| TensorName::Layer(layer, tensor))
            }),
        )
    }

    /// Weights of all tensors together.
    pub fn weights(&self) -> u64 {
        let weights = |name| self.shape_of(name).into_iter().map(|dimension| dimension as u64).product::<u64>();
        self.tensor_names().map(weights).sum()
    }

    /// The shape that a tensor must have, row-major.
    pub fn shape_of(&self, name: TensorName) -> Vec<usize> {
        use LayerTensor as L;
        let (hidden, q, kv) = (self.hidden_size, self.query_size(), self.kv_size());
        match name {
            TensorName::Embedding | TensorName::Head => vec![self.vocab_size, hidden],
            TensorName::OutputNorm => vec![hidden],
            TensorName::Layer(_, tensor) => match tensor {
                L::AttentionNorm | L::FeedForwardNorm | L::OutputBias => vec![hidden],
                L::Query => vec![q, hidden],
                L::QueryBias => vec![q],
                L::Key | L::Value => vec![kv, hidden],
                L::KeyBias | L::ValueBias => vec![kv],
                L::Output => vec![hidden, q],
                L::QueryNorm | L::KeyNorm => vec![self.head_dim],
                L::Gate | L::Up => vec![self.intermediate_size, hidden],
                L::Down => vec![hidden, self.intermediate_size],
            },
        }
    }
}
