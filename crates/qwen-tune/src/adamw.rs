//! [`AdamW`]: Adam with decoupled weight decay (arXiv 1711.05101), whose state can be kept.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use crate::error::TuneError;

/// Its numbers; the learning rate comes with each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub eps: f64,
    /// Decay of matrices; vectors do not decay.
    pub weight_decay: f64,
    /// Longest gradient, over all parameters; longer ones are shortened to it.
    pub max_norm: f64,
}

impl Default for AdamWOptions {
    /// What is usual for language models.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, max_norm: 1.0 }
    }
}

/// The means of one parameter's gradients.
#[derive(Debug, Clone)]
struct Moments {
    mean: Tensor,
    square: Tensor,
}

/// The optimizer and its state.
#[derive(Debug)]
pub struct AdamW {
    options: AdamWOptions,
    steps: usize,
    moments: BTreeMap<String, Moments>,
}

impl AdamW {
    /// A new optimizer.
    #[must_use]
    pub fn new(options: AdamWOptions) -> Self {
        Self { options, steps: 0, moments: BTreeMap::new() }
    }

    /// One step down the gradients, which have the names of the variables; a variable without one
    /// stays as it is. Returns the length of the gradient before it was shortened.
    ///
    /// # Errors
    /// [`TuneError::Compute`].
    pub fn step<'a>(
        &mut self,
        variables: impl Iterator<Item = (&'a str, &'a Var)>,
        gradients: &BTreeMap<String, Tensor>,
        rate: f64,
    ) -> Result<f64, TuneError> {
        let squares: Vec<Tensor> =
            gradients.values().map(|gradient| gradient.sqr()?.sum_all()).collect::<candle_core::Result<_>>()?;
        // A GPU is waited for once.
        let squares = Tensor::stack(&squares, 0)?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let norm = squares.iter().sum::<f64>().sqrt();
        let AdamWOptions { beta1, beta2, eps, weight_decay, max_norm } = self.options;
        let shorten = if norm > max_norm { max_norm / norm } else { 1.0 };
        self.steps += 1;
        let correction = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        for (name, variable) in variables {
            let Some(gradient) = gradients.get(name) else { continue };
            let gradient = (gradient * shorten)?;
            let moments = match self.moments.remove(name) {
                Some(moments) => moments,
                None => Moments { mean: variable.zeros_like()?, square: variable.zeros_like()? },
            };
            let mean = ((moments.mean * beta1)? + (&gradient * (1.0 - beta1))?)?;
            let square = ((moments.square * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
            let root = ((&square / correction(beta2))?.sqrt()? + eps)?;
            let change = ((&mean / correction(beta1))? / root)?;
            let decay = if variable.rank() > 1 { weight_decay } else { 0.0 };
            variable.set(&((variable.as_tensor() * (1.0 - rate * decay))? - (change * rate)?)?)?;
            self.moments.insert(name.to_owned(), Moments { mean, square });
        }
        Ok(norm)
    }

    /// Steps that are done.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// The state: the number of steps, and tensors by name.
    #[must_use]
    pub fn state(&self) -> (usize, BTreeMap<String, Tensor>) {
        let tensors = self.moments.iter().flat_map(|(name, Moments { mean, square })| {
            [(format!("{name}.mean"), mean.clone()), (format!("{name}.square"), square.clone())]
        });
        (self.steps, tensors.collect())
    }

    /// The optimizer in a state that [`AdamW::state`] gave. Names that are not of a pair are left out.
    #[must_use]
    pub fn resume(options: AdamWOptions, steps: usize, tensors: &BTreeMap<String, Tensor>) -> Self {
        let moments = tensors.iter().filter_map(|(name, mean)| {
            let name = name.strip_suffix(".mean")?;
            let square = tensors.get(&format!("{name}.square"))?.clone();
            Some((name.to_owned(), Moments { mean: mean.clone(), square }))
        });
        Self { options, steps, moments: moments.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: std::ops::Range<usize>, optimizer: &mut AdamW, variable: &Var) {
        for step in steps {
            let gradient = ((variable.as_tensor() * 2.0).unwrap() + step as f64 * 0.1).unwrap();
            let gradients = BTreeMap::from([("w".to_owned(), gradient)]);
            optimizer.step([("w", variable)].into_iter(), &gradients, 0.1).unwrap();
        }
    }

    fn variable() -> Var {
        Var::from_tensor(&Tensor::new(&[[1.0_f64, -2.0], [0.5, 3.0]], &Device::Cpu).unwrap()).unwrap()
    }

    /// With the mean and the root of the mean of squares of one gradient equal, a first step goes by the
    /// learning rate, whatever the gradient's length; before it, weights decay.
    #[test]
    fn the_first_step_goes_by_the_learning_rate() {
        let variable = variable();
        let norm = {
            let gradient = Tensor::new(&[[30.0_f64, -40.0], [1e-3, 0.0]], &Device::Cpu).unwrap();
            let gradients = BTreeMap::from([("w".to_owned(), gradient)]);
            AdamW::new(AdamWOptions::default()).step([("w", &variable)].into_iter(), &gradients, 0.1).unwrap()
        };
        assert!((norm - 50.0).abs() < 1e-6);
        let expected = [0.99 - 0.1, -1.98 + 0.1, 0.495 - 0.1, 2.97];
        let actual = variable.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert!(actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{actual:?}");
    }

    #[test]
    fn a_resumed_optimizer_goes_on_as_if_nothing_had_happened() {
        let (whole, parts) = (variable(), variable());
        run(0..6, &mut AdamW::new(AdamWOptions::default()), &whole);
        let mut first = AdamW::new(AdamWOptions::default());
        run(0..3, &mut first, &parts);
        let (steps, state) = first.state();
        run(3..6, &mut AdamW::resume(AdamWOptions::default(), steps, &state), &parts);
        assert_eq!(whole.to_vec2::<f64>().unwrap(), parts.to_vec2::<f64>().unwrap());
    }
}
