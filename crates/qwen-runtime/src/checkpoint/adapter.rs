//! [`Adapter`]: a LoRA adapter in PEFT's layout, which is merged into a checkpoint's matrices when they
//! are read.
//!
//! LoRA (Hu et al. 2021, arXiv 2106.09685) adds to a matrix `W` `(out, in)` a product of two narrow ones,
//! `scale · B A` with `A` `(rank, in)` and `B` `(out, rank)`. PEFT keeps them as
//! `base_model.model.<module>.lora_A.weight` and `….lora_B.weight` in `adapter_model.safetensors`, and
//! rank and scale in `adapter_config.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Checkpoint, StoredType, TensorName};
use crate::error::RuntimeError;

/// PEFT's files.
const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
/// What PEFT puts before the name of a module.
const PREFIX: &str = "base_model.model.";
/// Where the metadata of the tensors' file name the base; PEFT's own files do not.
const BASE: &str = "base_fingerprint";

/// A LoRA adapter.
#[derive(Debug)]
pub struct Adapter {
    path: PathBuf,
    /// The [fingerprint](Checkpoint::fingerprint) of the base, where the adapter names it.
    base: Option<String>,
    scale: f32,
    /// By the names of the matrices that they change, as safetensors files have them.
    pairs: BTreeMap<String, Pair>,
}

/// `A` and `B`, row-major.
#[derive(Debug, Default)]
struct Pair {
    a: Option<Matrix>,
    b: Option<Matrix>,
}

#[derive(Debug)]
struct Matrix {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// What changes the meaning of the tensors; everything else in the file is how they were trained.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    r: usize,
    lora_alpha: f32,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    bias: Option<String>,
    #[serde(default)]
    rank_pattern: Value,
    #[serde(default)]
    alpha_pattern: Value,
    #[serde(default)]
    modules_to_save: Value,
}

impl Config {
    /// What is asked for that is not done here.
    fn unsupported(&self) -> Option<&'static str> {
        let given = |value: &Value| match value {
            Value::Null => false,
            Value::Object(entries) => !entries.is_empty(),
            Value::Array(entries) => !entries.is_empty(),
            _ => true,
        };
        [
            (self.peft_type != "LORA", "only peft_type LORA is known"),
            (self.use_dora, "use_dora"),
            (self.fan_in_fan_out, "fan_in_fan_out"),
            (self.bias.as_deref().is_some_and(|bias| bias != "none"), "it changes biases"),
            (given(&self.rank_pattern), "rank_pattern"),
            (given(&self.alpha_pattern), "alpha_pattern"),
            (given(&self.modules_to_save), "modules_to_save"),
        ]
        .into_iter()
        .find_map(|(asked, name)| asked.then_some(name))
    }

    fn scale(&self) -> f32 {
        let rank = self.r as f32;
        self.lora_alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

impl Adapter {
    /// Opens the adapter in `directory` and reads its tensors, which are small.
    ///
    /// # Errors
    /// [`RuntimeError::Io`], and [`RuntimeError::InvalidAdapter`] naming the file: for what is cut off or
    /// contradicts itself, and for kinds of adapters that are not known.
    pub fn open(directory: &Path) -> Result<Self, RuntimeError> {
        let path = directory.join(CONFIG);
        let bytes = std::fs::read(&path).map_err(|source| RuntimeError::io(&path, source))?;
        let config: Config =
            serde_json::from_slice(&bytes).map_err(|error| RuntimeError::adapter(&path, error.to_string()))?;
        if let Some(what) = config.unsupported() {
            return Err(RuntimeError::adapter(&path, format!("not supported: {what}")));
        }
        if config.r == 0 || !config.scale().is_finite() {
            return Err(RuntimeError::adapter(&path, "r must be at least 1, and lora_alpha a number"));
        }
        let path = directory.join(TENSORS);
        let bytes = std::fs::read(&path).map_err(|source| RuntimeError::io(&path, source))?;
        let fault = |reason: String| RuntimeError::adapter(&path, reason);
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| fault(error.to_string()))?;
        let base = metadata.metadata().as_ref().and_then(|metadata| metadata.get(BASE)).cloned();
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| fault(error.to_string()))?;
        let mut adapter = Self { path: path.clone(), base, scale: config.scale(), pairs: BTreeMap::new() };
        for (name, view) in tensors.iter() {
            let module = name.strip_prefix(PREFIX).unwrap_or(name);
            let narrow = [".lora_A.weight", ".lora_B.weight"].map(|suffix| module.strip_suffix(suffix));
            let (module, is_a) = match narrow {
                [Some(module), _] => (module, true),
                [_, Some(module)] => (module, false),
                _ => return Err(fault(format!("{name} is no lora_A or lora_B"))),
            };
            let matrix = matrix(&view).ok_or_else(|| fault(format!("{name} is no matrix of plain numbers")))?;
            if matrix.shape[usize::from(!is_a)] != config.r {
                return Err(fault(format!("{name} has shape {:?}, which is not of rank {}", matrix.shape, config.r)));
            }
            let pair = adapter.pairs.entry(format!("{module}.weight")).or_default();
            *(if is_a { &mut pair.a } else { &mut pair.b }) = Some(matrix);
        }
        Ok(adapter)
    }

    /// The tensors' metadata by which [`Adapter::open`] knows the base that they were trained on.
    ///
    /// # Errors
    /// Those of [`Checkpoint::tensor`].
    pub fn metadata_for(base: &Checkpoint) -> Result<(String, String), RuntimeError> {
        Ok((BASE.to_owned(), base.fingerprint()?))
    }

    /// Fails unless everything in it has its place in `checkpoint`.
    pub(super) fn check(&self, checkpoint: &Checkpoint) -> Result<(), RuntimeError> {
        let fault = |reason: String| Err(RuntimeError::adapter(&self.path, reason));
        if let Some(base) = &self.base
            && checkpoint.fingerprint()? != *base
        {
            return fault(format!("it was trained on another model than {}", checkpoint.path().display()));
        }
        let architecture = checkpoint.architecture();
        let matrices: BTreeMap<String, TensorName> = architecture
            .tensor_names()
            .filter(|name| matches!(name, TensorName::Layer(..)) && architecture.shape_of(*name).len() == 2)
            .map(|name| (name.in_safetensors(), name))
            .collect();
        for (text, Pair { a, b }) in &self.pairs {
            let Some(&name) = matrices.get(text) else {
                return fault(format!("{} has no matrix {text}", checkpoint.path().display()));
            };
            let (Some(a), Some(b)) = (a, b) else { return fault(format!("{text} has only one of lora_A and lora_B")) };
            let (own, expected) = ([b.shape[0], a.shape[1]], architecture.shape_of(name));
            if own[..] != expected {
                return fault(format!("it changes a {text} of shape {own:?}; the model's has {expected:?}"));
            }
            if checkpoint.stored(name)?.dtype.is_quantized() {
                return fault(format!(
                    "{} is quantized: apply it to the model in F16, BF16 or F32, which can be quantized while it is loaded",
                    checkpoint.path().display()
                ));
            }
        }
        Ok(())
    }

    /// Whether it changes the matrix of that name.
    pub(super) fn changes(&self, name: TensorName) -> bool {
        self.pairs.contains_key(&name.in_safetensors())
    }

    /// Adds `scale · B A` to the values of the matrix of that name, row-major.
    pub(super) fn add_to(&self, name: TensorName, values: &mut [f32]) {
        let Some(Pair { a: Some(a), b: Some(b) }) = self.pairs.get(&name.in_safetensors()) else { return };
        let (rank, columns) = (a.shape[0], a.shape[1]);
        for (row, factors) in values.chunks_exact_mut(columns).zip(b.values.chunks_exact(rank)) {
            for (factor, direction) in factors.iter().zip(a.values.chunks_exact(columns)) {
                let factor = factor * self.scale;
                row.iter_mut().zip(direction).for_each(|(value, step)| *value += factor * step);
            }
        }
    }
}

fn matrix(view: &::safetensors::tensor::TensorView<'_>) -> Option<Matrix> {
    let dtype = match view.dtype() {
        Dtype::F32 => StoredType::F32,
        Dtype::F16 => StoredType::F16,
        Dtype::BF16 => StoredType::BF16,
        _ => return None,
    };
    let shape = view.shape().to_vec();
    let mut values = vec![0.0; shape.iter().product()];
    dtype.widen(view.data(), &mut values)?;
    (shape.len() == 2).then_some(Matrix { shape, values })
}

impl Checkpoint {
    /// What tells this model from others of its shape: the SHA-256 of its norms' weights, which any
    /// training changes and no quantization.
    ///
    /// # Errors
    /// Those of [`Checkpoint::tensor`].
    pub fn fingerprint(&self) -> Result<String, RuntimeError> {
        let mut digest = Sha256::new();
        for name in self.architecture.tensor_names().filter(|name| self.architecture.shape_of(*name).len() == 1) {
            let stored = self.stored(name)?;
            let mut values = vec![0.0_f32; stored.shape.iter().product()];
            stored.dtype.widen(&stored.bytes, &mut values);
            digest.update(name.in_safetensors());
            values.iter().for_each(|value| digest.update(value.to_le_bytes()));
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
