//! [`Muon`]: momentum whose matrices are made orthogonal before a step
//! (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>), scaled so that AdamW's learning
//! rate fits (arXiv 2502.16982).
//!
//! A gradient's matrix has a few strong directions, which drown the rare ones: a step that is as
//! long in every direction learns what is rare, such as copying a name that was never seen, sooner.

use std::collections::BTreeMap;
use std::thread;

use candle_core::{D, Result, Tensor, Var};

use crate::error::TuneError;

/// Its numbers; the learning rate comes with each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuonOptions {
    /// Decay of the sum of gradients.
    pub momentum: f64,
    /// Decay of weights.
    pub weight_decay: f64,
}

impl Default for MuonOptions {
    /// What its authors recommend.
    fn default() -> Self {
        Self { momentum: 0.95, weight_decay: 0.1 }
    }
}

/// Length of a step by the learning rate, as the root of the mean of squares: what AdamW's is about
/// (arXiv 2502.16982, section 2.2).
const SCALE: f64 = 0.2;

/// The optimizer and its state. It is for the matrices between embedding and logits: AdamW suits
/// those two, and vectors, better.
#[derive(Debug)]
pub(crate) struct Muon {
    options: MuonOptions,
    sums: BTreeMap<String, Tensor>,
}

impl Muon {
    pub(crate) fn new(options: MuonOptions) -> Self {
        Self { options, sums: BTreeMap::new() }
    }

    /// One step down the gradients, on so many threads, each with matrices of its own.
    pub(crate) fn step(
        &mut self,
        variables: &[(&str, &Var)],
        gradients: &BTreeMap<String, Tensor>,
        rate: f64,
        threads: usize,
    ) -> std::result::Result<(), TuneError> {
        let Self { options, sums } = &*self;
        let part = |thread: usize| {
            let own = variables.iter().skip(thread).step_by(threads);
            let with_gradient = own.filter_map(|&(name, variable)| Some((name, variable, gradients.get(name)?)));
            let stepped = with_gradient.map(|(name, variable, gradient)| {
                options.step(variable, gradient, sums.get(name), rate).map(|sum| (name.to_owned(), sum))
            });
            stepped.collect::<Result<Vec<_>>>()
        };
        let parts = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || part(thread))).collect();
            let joined = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect::<Result<Vec<_>>>()
        })?;
        self.sums.extend(parts.into_iter().flatten());
        Ok(())
    }

    /// The state: tensors by name.
    pub(crate) fn state(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.sums.iter().map(|(name, sum)| (format!("{name}.sum"), sum.clone()))
    }

    /// The optimizer in a state that [`Muon::state`] gave; other names are left out.
    pub(crate) fn resume(options: MuonOptions, tensors: &BTreeMap<String, Tensor>) -> Self {
        let own = tensors.iter().filter_map(|(name, sum)| Some((name.strip_suffix(".sum")?.to_owned(), sum.clone())));
        Self { options, sums: own.collect() }
    }
}

impl MuonOptions {
    /// Changes a matrix; returns the new sum of its gradients.
    fn step(self, variable: &Var, gradient: &Tensor, sum: Option<&Tensor>, rate: f64) -> Result<Tensor> {
        let Self { momentum, weight_decay } = self;
        let sum = match sum {
            Some(sum) => ((sum * momentum)? + gradient)?,
            None => gradient.clone(),
        };
        // Nesterov: a look ahead along the sum.
        let change = orthogonal(&(gradient + (&sum * momentum)?)?)?;
        let (rows, columns) = variable.dims2()?;
        let length = rate * SCALE * (rows.max(columns) as f64).sqrt();
        variable.set(&((variable.as_tensor() * (1.0 - rate * weight_decay))? - (change * length)?)?)?;
        Ok(sum)
    }
}

/// About the nearest matrix with orthogonal rows or columns: five steps of Newton and Schulz, which
/// bring every singular value between about 0.7 and 1.2.
fn orthogonal(matrix: &Tensor) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    let wide = if rows > columns { matrix.t()? } else { matrix.clone() };
    let length = (wide.sqr()?.sum_keepdim(D::Minus1)?.sum_keepdim(0)?.sqrt()? + 1e-12)?; // (1, 1)
    let mut x = wide.broadcast_div(&length)?.contiguous()?;
    for _ in 0..5 {
        let square = x.matmul(&x.t()?)?; // (n, n), n the smaller dimension
        let factor = ((&square * -4.775)? + (square.matmul(&square)? * 2.0315)?)?;
        x = ((&x * 3.4445)? + factor.matmul(&x)?)?;
    }
    if rows > columns { x.t()?.contiguous() } else { Ok(x) }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Strong and weak directions become about equally long, and keep their sides.
    #[test]
    fn matrices_become_orthogonal() {
        let wide = Tensor::new(&[[0.0_f64, 8.0, 0.0, 0.0], [0.6, 0.0, 0.0, -0.8], [0.0, 0.0, 0.3, 0.0]], &Device::Cpu)
            .unwrap();
        let near = orthogonal(&wide).unwrap();
        let lengths: Vec<f64> = near.sqr().unwrap().sum(1).unwrap().sqrt().unwrap().to_vec1().unwrap();
        assert!(lengths.iter().all(|length| (0.65..1.25).contains(length)), "{lengths:?}");
        let sides = near.to_vec2::<f64>().unwrap();
        assert!(sides[0][1] > 0.0 && sides[1][0] > 0.0 && sides[1][3] < 0.0 && sides[2][2] > 0.0, "{sides:?}");
        assert_eq!((sides[0][0], sides[1][2], sides[2][3]), (0.0, 0.0, 0.0));
        let tall = orthogonal(&wide.t().unwrap()).unwrap();
        assert_eq!(tall.t().unwrap().to_vec2::<f64>().unwrap(), sides);
    }

    #[test]
    fn a_step_goes_against_the_gradient_and_weights_decay() {
        let variable = Var::from_tensor(&Tensor::new(&[[1.0_f64, 0.0], [0.0, -1.0]], &Device::Cpu).unwrap()).unwrap();
        let gradient = Tensor::new(&[[100.0_f64, 0.0], [0.0, 100.0]], &Device::Cpu).unwrap();
        let gradients = BTreeMap::from([("w".to_owned(), gradient)]);
        let mut muon = Muon::new(MuonOptions::default());
        muon.step(&[("w", &variable), ("without", &variable)], &gradients, 0.1, 2).unwrap();
        let values = variable.to_vec2::<f64>().unwrap();
        // 1 % decays, and a step is 0.1 · 0.2 · √2 times about 1.
        assert!((0.95..0.98).contains(&values[0][0]) && (-1.03..-1.0).contains(&values[1][1]), "{values:?}");
        assert_eq!(muon.state().map(|(name, _)| name).collect::<Vec<_>>(), ["w.sum"]);
    }
}
