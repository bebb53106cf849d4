//! [`LowRankOptions`]: LoRA (Hu et al. 2021, arXiv 2106.09685), narrow matrices that are learnt beside
//! frozen ones, under the names that PEFT gives them.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use qwen_runtime::{Architecture, TensorName};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::TuneError;

/// What an adapter is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LowRankOptions {
    /// Rows of `A`, columns of `B`.
    pub rank: usize,
    /// The product is added `alpha / rank` times.
    pub alpha: f64,
    /// Decides the first `A`; the first `B` is zero.
    pub seed: u64,
}

impl LowRankOptions {
    pub(crate) fn scale(self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// New `A` and `B` for every matrix of every layer.
    pub(crate) fn variables(
        self,
        architecture: &Architecture,
        dtype: DType,
        device: &Device,
    ) -> Result<BTreeMap<String, Var>, TuneError> {
        if self.rank == 0 || !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(TuneError::parameter("rank, alpha", "both must be above 0"));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut variables = BTreeMap::new();
        for name in architecture.tensor_names().filter(|name| matches!(name, TensorName::Layer(..))) {
            let [out, columns] = architecture.shape_of(name)[..] else { continue };
            // As PEFT begins: uniformly, by the root of the columns.
            let limit = 1.0 / (columns as f64).sqrt();
            let values: Vec<f64> = (0..self.rank * columns).map(|_| rng.random_range(-limit..limit)).collect();
            let a = Tensor::from_vec(values, (self.rank, columns), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?;
            let b = Tensor::zeros((out, self.rank), dtype, device)?;
            let [a_name, b_name] = pair_names(name);
            variables.insert(a_name, Var::from_tensor(&a)?);
            variables.insert(b_name, Var::from_tensor(&b)?);
        }
        Ok(variables)
    }
}

/// The names of `A` and `B` of a matrix.
pub(crate) fn pair_names(name: TensorName) -> [String; 2] {
    let module = name.in_safetensors();
    let module = module.strip_suffix(".weight").unwrap_or(&module);
    ["A", "B"].map(|which| format!("base_model.model.{module}.lora_{which}.weight"))
}
