//! [`Parameters`]: the weights of a model, and the variables that gradients are computed for.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use qwen_runtime::{Architecture, AttentionBias, Checkpoint, LayerTensor, RopeScaling, StoredType, TensorName};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::TuneError;
use crate::induction::Induction;
use crate::low_rank::{LowRankOptions, pair_names};

/// Standard deviation of new matrices: `initializer_range` of Qwen3's configurations.
pub(crate) const DEVIATION: f64 = 0.02;

/// What the matrices of a new model are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initialization {
    /// Random.
    #[default]
    Normal,
    /// Random, with heads that copy what followed the same tokens before.
    Induction,
}

/// The tensors of a model, and those that are learnt: all of them, or narrow ones beside them (LoRA).
#[derive(Debug)]
pub struct Parameters {
    architecture: Architecture,
    device: Device,
    /// Every tensor, by its name in a Hugging Face checkpoint.
    weights: BTreeMap<String, Tensor>,
    variables: BTreeMap<String, Var>,
    low_rank: Option<LowRankOptions>,
}

impl Parameters {
    /// New weights: matrices normally distributed, those that write into the residual stream less the
    /// more layers there are (GPT-2's rule), norms 1. Equal seeds make equal weights.
    ///
    /// # Errors
    /// [`TuneError::Parameter`] for an architecture with biases or scaled positions, which training
    /// does not know, or without room for what it shall begin with; [`TuneError::Compute`].
    pub fn random(
        architecture: &Architecture,
        initialization: Initialization,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, TuneError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let induction = match initialization {
            Initialization::Normal => None,
            Initialization::Induction => Some(Induction::new(architecture, &mut rng)?),
        };
        let residual = DEVIATION / (2.0 * architecture.layers as f64).sqrt();
        Self::of(architecture, device, |name, shape| {
            let len = shape.iter().product();
            let mut values: Vec<f64> = match (shape.len(), name) {
                (1, _) => vec![1.0; len],
                (_, TensorName::Layer(_, LayerTensor::Output | LayerTensor::Down)) => normal(&mut rng, len, residual),
                _ => normal(&mut rng, len, DEVIATION),
            };
            if let Some(induction) = &induction {
                induction.write(name, &mut values);
            }
            Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
        })
    }

    /// The weights of a checkpoint, to go on from.
    ///
    /// # Errors
    /// As [`Parameters::random`]; [`TuneError::Model`] for what [`Checkpoint::tensor`] says;
    /// [`TuneError::Parameter`] for quantized weights.
    pub fn of_checkpoint(checkpoint: &Checkpoint, dtype: DType, device: &Device) -> Result<Self, TuneError> {
        Self::of(checkpoint.architecture(), device, |name, shape| stored(checkpoint, name, &shape, dtype, device))
    }

    /// The weights of a checkpoint, frozen, with a new adapter to be learnt.
    ///
    /// # Errors
    /// As [`Parameters::of_checkpoint`]; [`TuneError::Parameter`] for no rank.
    pub fn low_rank(
        checkpoint: &Checkpoint,
        options: LowRankOptions,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, TuneError> {
        let architecture = checkpoint.architecture();
        check(architecture)?;
        let weights = architecture.tensor_names().map(|name| {
            let tensor = stored(checkpoint, name, &architecture.shape_of(name), dtype, device)?;
            Ok((name.in_safetensors(), tensor))
        });
        Ok(Self {
            architecture: architecture.clone(),
            device: device.clone(),
            weights: weights.collect::<Result<_, TuneError>>()?,
            variables: options.variables(architecture, dtype, device)?,
            low_rank: Some(options),
        })
    }

    fn of(
        architecture: &Architecture,
        device: &Device,
        mut tensor: impl FnMut(TensorName, Vec<usize>) -> Result<Tensor, TuneError>,
    ) -> Result<Self, TuneError> {
        check(architecture)?;
        let variables = architecture.tensor_names().map(|name| {
            let variable = Var::from_tensor(&tensor(name, architecture.shape_of(name))?)?;
            Ok((name.in_safetensors(), variable))
        });
        let variables: BTreeMap<String, Var> = variables.collect::<Result<_, TuneError>>()?;
        let weights = variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        Ok(Self { architecture: architecture.clone(), device: device.clone(), weights, variables, low_rank: None })
    }

    /// The shape of the model.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Names and variables, in the order of names.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// Names and tensors of the model, in the order of names; an adapter's are not among them.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.weights.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// What an adapter that is learnt is like; `None` where the whole model is.
    pub(crate) fn low_rank_options(&self) -> Option<LowRankOptions> {
        self.low_rank
    }

    /// One tensor, tracked where it is learnt.
    pub(crate) fn tensor(&self, name: TensorName) -> Result<&Tensor, TuneError> {
        let name = name.in_safetensors();
        self.weights.get(&name).ok_or_else(|| TuneError::parameter("model", format!("it has no {name}")))
    }

    /// `x Wᵀ` for the matrix of that name, with its adapter: `(rows, in)` to `(rows, out)`.
    pub(crate) fn product(&self, x: &Tensor, name: TensorName) -> Result<Tensor, TuneError> {
        let plain = x.matmul(&self.tensor(name)?.t()?)?;
        let Some(options) = self.low_rank else { return Ok(plain) };
        let [a, b] = pair_names(name).map(|name| self.variables.get(&name));
        let (Some(a), Some(b)) = (a, b) else { return Ok(plain) };
        let narrow = x.matmul(&a.as_tensor().t()?)?; // (rows, rank)
        Ok((plain + (narrow.matmul(&b.as_tensor().t()?)? * options.scale())?)?)
    }
}

/// Fails for what training does not know.
fn check(architecture: &Architecture) -> Result<(), TuneError> {
    if architecture.attention_bias == AttentionBias::Present {
        return Err(TuneError::parameter("model", "training knows no biases of attention"));
    }
    if architecture.rope.scaling != RopeScaling::None {
        return Err(TuneError::parameter("model", "training knows no scaled positions"));
    }
    Ok(())
}

/// A tensor of a checkpoint.
fn stored(
    checkpoint: &Checkpoint,
    name: TensorName,
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> Result<Tensor, TuneError> {
    let stored = checkpoint.tensor(name)?;
    let stored_dtype = match stored.dtype {
        StoredType::F32 => DType::F32,
        StoredType::F16 => DType::F16,
        StoredType::BF16 => DType::BF16,
        _ => return Err(TuneError::parameter("model", "its weights are quantized; training needs plain ones")),
    };
    Ok(Tensor::from_raw_buffer(&stored.bytes, stored_dtype, shape, device)?.to_dtype(dtype)?)
}

/// Normally distributed numbers (Box and Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng, len: usize, deviation: f64) -> Vec<f64> {
    let mut number = || {
        let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos() * deviation
    };
    (0..len).map(|_| number()).collect()
}
