//! A checkpoint on disk: which model it is, its tensors, and what it says about generating.
//!
//! Owns the file formats. Knows nothing of tensor libraries, tokenizing or engines.

mod adapter;
mod architecture;
mod config_json;
mod files;
mod generation_config;
mod gguf;
mod gguf_metadata;
mod gguf_reader;
mod mapped_file;
mod safetensors;
mod template_source;
mod tensor;

use std::path::{Path, PathBuf};

pub use adapter::Adapter;
pub use architecture::{Architecture, AttentionBias, HeadWeights, RampBounds, Rope, RopeScaling};
pub(crate) use files::CheckpointFiles;
pub use files::EmbeddedFile;
pub(crate) use generation_config::END_TOKENS;
pub use generation_config::GenerationDefaults;
pub(crate) use gguf::GgufFile;
pub(crate) use safetensors::TensorLocation;
pub use tensor::{LayerTensor, StoredTensor, StoredType, TensorName};

use crate::error::RuntimeError;
use safetensors::SafetensorsFiles;

/// An open checkpoint: `config.json` and safetensors, in a directory or in the program, or one `.gguf` file.
///
/// Opening reads headers only; every tensor that the model needs is there, with the shape that the
/// architecture gives it.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    /// The files beside the tensors: tokenizer, template, configuration.
    files: CheckpointFiles,
    architecture: Architecture,
    store: TensorStore,
    adapter: Option<Adapter>,
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
        if metadata.is_dir() {
            return Self::of_files(CheckpointFiles::Directory(path.to_owned()));
        }
        let file = GgufFile::open(path)?;
        let architecture = gguf_metadata::architecture(&file)?;
        let files = CheckpointFiles::Directory(path.parent().unwrap_or(Path::new(".")).to_owned());
        Self { path: path.to_owned(), files, architecture, store: TensorStore::Gguf(Box::new(file)), adapter: None }
            .complete()
    }

    /// The checkpoint whose files are part of the program, those of a Hugging Face directory; `name` is
    /// what messages call it.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn embedded(name: &str, files: &'static [EmbeddedFile]) -> Result<Self, RuntimeError> {
        Self::of_files(CheckpointFiles::Embedded(name.into(), files))
    }

    fn of_files(files: CheckpointFiles) -> Result<Self, RuntimeError> {
        const CONFIG: &str = "config.json";
        let config = files.read(CONFIG)?.ok_or_else(|| files.missing(CONFIG))?;
        let architecture = config_json::parse(&config, &files.path_of(CONFIG))?;
        let store = TensorStore::Safetensors(SafetensorsFiles::open(&files)?);
        Self { path: files.path().to_owned(), files, architecture, store, adapter: None }.complete()
    }

    /// Itself, if no tensor is missing.
    fn complete(self) -> Result<Self, RuntimeError> {
        for name in self.architecture.tensor_names() {
            self.stored(name)?;
        }
        Ok(self)
    }

    /// The model that an adapter makes of this one.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidAdapter`] when it belongs to another model, or this one is quantized.
    pub fn with_adapter(mut self, adapter: Adapter) -> Result<Self, RuntimeError> {
        adapter.check(&self)?;
        self.adapter = Some(adapter);
        Ok(self)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's numbers.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The tensor of that name, its shape checked. A matrix that an adapter changes is computed, in F32.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidCheckpoint`] when it is missing or has another shape,
    /// [`RuntimeError::UnsupportedCheckpoint`] when its type is not known.
    pub fn tensor(&self, name: TensorName) -> Result<StoredTensor<'_>, RuntimeError> {
        let stored = self.stored(name)?;
        let Some(adapter) = self.adapter.as_ref().filter(|adapter| adapter.changes(name)) else { return Ok(stored) };
        let mut values = vec![0.0; stored.shape.iter().product()];
        stored.dtype.widen(&stored.bytes, &mut values);
        self.release(&stored.bytes);
        adapter.add_to(name, &mut values);
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        Ok(StoredTensor { dtype: StoredType::F32, shape: stored.shape, bytes: bytes.into() })
    }

    /// The type that [`Checkpoint::tensor`] gives a tensor, without computing it.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn tensor_type(&self, name: TensorName) -> Result<StoredType, RuntimeError> {
        let changed = self.adapter.as_ref().is_some_and(|adapter| adapter.changes(name));
        if changed { Ok(StoredType::F32) } else { Ok(self.stored(name)?.dtype) }
    }

    /// The tensor as it is in the files.
    fn stored(&self, name: TensorName) -> Result<StoredTensor<'_>, RuntimeError> {
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
        let stored = self.stored(name)?;
        if self.adapter.is_some() || matches!(self.files, CheckpointFiles::Embedded(..)) {
            return Err(RuntimeError::unsupported(
                &self.path,
                "it is no directory as it stands: write it to one first",
            ));
        }
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
            TensorStore::Safetensors(_) => generation_config::from_files(&self.files),
            TensorStore::Gguf(file) => generation_config::from_gguf(file, &self.files),
        }
    }

    /// What a GGUF file says it is made of: the number in llama.cpp's `enum llama_ftype`. `None` when it says nothing,
    /// and for a directory.
    pub fn file_type_number(&self) -> Option<u64> {
        self.gguf()?.integer("general.file_type")
    }

    /// The files beside the tensors: tokenizer, template, configuration.
    pub(crate) fn side_files(&self) -> &CheckpointFiles {
        &self.files
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
