//! [`Trainer`]: step after step, from rows to better parameters.

use std::collections::BTreeMap;
use std::thread;

use candle_core::{DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::adamw::{AdamW, AdamWOptions};
use crate::error::TuneError;
use crate::muon::{Muon, MuonOptions};
use crate::network::loss;
use crate::order::Order;
use crate::packing::PackedRow;
use crate::parameters::Parameters;
use crate::schedule::Schedule;

/// How a model is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainerOptions {
    /// Rows whose gradients make one step.
    pub rows_per_step: usize,
    /// Threads, each with rows of its own. Results are the same for the same number of them. They are
    /// fastest when candle computes on one thread for each: `CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=1`.
    pub threads: usize,
    /// Decides the order of rows.
    pub seed: u64,
    /// The learning rates.
    pub schedule: Schedule,
    /// The optimizer's numbers.
    pub adamw: AdamWOptions,
    /// Another optimizer for the matrices between embedding and logits; AdamW where there is none.
    pub muon: Option<MuonOptions>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Its number, from 0.
    pub step: usize,
    /// Mean of `-ln p` over the step's targets, before the step.
    pub loss: f64,
    /// Length of the gradient, before it was shortened.
    pub gradient_norm: f64,
    /// The learning rate.
    pub rate: f64,
    /// Tokens that were computed.
    pub tokens: usize,
    /// Tokens that were predicted.
    pub targets: usize,
}

/// Trains parameters on rows.
#[derive(Debug)]
pub struct Trainer<'a> {
    options: TrainerOptions,
    parameters: &'a Parameters,
    rows: &'a [PackedRow],
    order: Order,
    /// It counts the steps too.
    adamw: AdamW,
    muon: Option<Muon>,
}

/// The summed loss of some rows, and its gradients by the variables' names.
#[derive(Default)]
struct Gradients {
    loss: f64,
    by_name: BTreeMap<String, Tensor>,
}

impl<'a> Trainer<'a> {
    /// A trainer at the beginning.
    ///
    /// # Errors
    /// [`TuneError::Parameter`] for no rows or no threads.
    pub fn new(parameters: &'a Parameters, rows: &'a [PackedRow], options: TrainerOptions) -> Result<Self, TuneError> {
        if rows.is_empty() {
            return Err(TuneError::parameter("data", "there is nothing to learn from"));
        }
        if options.rows_per_step == 0 || options.threads == 0 {
            return Err(TuneError::parameter("rows_per_step, threads", "both must be at least 1"));
        }
        let order = Order::new(options.seed, rows.len());
        let (adamw, muon) = (AdamW::new(options.adamw), options.muon.map(Muon::new));
        Ok(Self { options, parameters, rows, order, adamw, muon })
    }

    /// Goes on behind `steps` steps, with the optimizer's tensors of that time; the parameters must be
    /// those of that time too.
    #[must_use]
    pub fn resume(mut self, steps: usize, optimizer: &BTreeMap<String, Tensor>) -> Self {
        self.adamw = AdamW::resume(self.options.adamw, steps, optimizer);
        self.muon = self.options.muon.map(|options| Muon::resume(options, optimizer));
        self
    }

    /// Steps that are done, and the optimizer's tensors.
    #[must_use]
    pub fn state(&self) -> (usize, BTreeMap<String, Tensor>) {
        let (steps, mut tensors) = self.adamw.state();
        tensors.extend(self.muon.iter().flat_map(Muon::state));
        (steps, tensors)
    }

    /// The next step; `None` when all are done.
    ///
    /// # Errors
    /// [`TuneError::Compute`], also when the loss is no number any more: the parameters are as they
    /// were before the step then.
    pub fn step(&mut self) -> Result<Option<StepReport>, TuneError> {
        let step = self.adamw.steps();
        let TrainerOptions { rows_per_step, threads, schedule, .. } = self.options;
        if step >= schedule.steps() {
            return Ok(None);
        }
        let first = step * rows_per_step;
        let rows: Vec<&PackedRow> =
            (first..first + rows_per_step).map(|index| &self.rows[self.order.row(index)]).collect();
        let targets: usize = rows.iter().map(|row| row.targets.len()).sum();
        let Gradients { loss, mut by_name } = gradients(self.parameters, &rows, threads)?;
        if !loss.is_finite() {
            return Err(candle_core::Error::Msg(format!("the loss of step {step} is {loss}")).into());
        }
        for gradient in by_name.values_mut() {
            *gradient = (&*gradient / targets as f64)?;
        }
        let rate = schedule.rate(step);
        let (hidden, others): (Vec<_>, Vec<_>) =
            self.parameters.variables().partition(|(name, variable)| self.muon.is_some() && is_hidden(name, variable));
        let gradient_norm = self.adamw.step(others.into_iter(), &by_name, rate)?;
        if let Some(muon) = &mut self.muon {
            muon.step(&hidden, &by_name, rate, threads)?;
        }
        let tokens = rows.iter().map(|row| row.tokens.len()).sum();
        Ok(Some(StepReport { step, loss: loss / targets as f64, gradient_norm, rate, tokens, targets }))
    }
}

/// Whether a variable is a matrix between embedding and logits.
fn is_hidden(name: &str, variable: &Var) -> bool {
    variable.rank() == 2 && name.starts_with("model.layers.")
}

/// The gradients of all rows, in a fixed order. On a processor each thread has every so many-th row, one
/// at a time, which fits into its cache; a GPU gets all at once.
fn gradients(parameters: &Parameters, rows: &[&PackedRow], threads: usize) -> Result<Gradients, TuneError> {
    if !parameters.device().is_cpu() {
        return of_rows(parameters, rows);
    }
    let part = |thread: usize| {
        let own = rows.iter().skip(thread).step_by(threads);
        own.map(|&row| of_rows(parameters, &[row])).try_fold(Gradients::default(), |sum, next| sum.plus(next?))
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || part(thread))).collect();
        workers.into_iter().try_fold(Gradients::default(), |sum, worker| {
            let theirs = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sum.plus(theirs?)
        })
    })
}

fn of_rows(parameters: &Parameters, rows: &[&PackedRow]) -> Result<Gradients, TuneError> {
    let loss = loss(parameters, rows)?;
    let mut found = loss.backward()?;
    let by_name = parameters
        .variables()
        .filter_map(|(name, variable)| Some((name.to_owned(), found.remove(variable.as_tensor())?.detach())));
    Ok(Gradients { by_name: by_name.collect(), loss: loss.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_scalar()? })
}

impl Gradients {
    fn plus(mut self, other: Self) -> Result<Self, TuneError> {
        self.loss += other.loss;
        for (name, gradient) in other.by_name {
            let sum = match self.by_name.remove(&name) {
                Some(sum) => (sum + gradient)?,
                None => gradient,
            };
            self.by_name.insert(name, sum);
        }
        Ok(self)
    }
}
