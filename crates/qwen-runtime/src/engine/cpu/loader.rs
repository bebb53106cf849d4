//! Brings the tensors of a checkpoint into the form that the kernels read.

use super::kernels::{Precision, ROWS, RowGroup, Team};
use super::packed::{PackedMatrix, Weights};
use crate::checkpoint::{AttentionBias, Checkpoint, LayerTensor, TensorName};
use crate::engine::weight_form::WeightForm;
use crate::error::RuntimeError;

/// Loads tensors with the threads that will read them.
pub(super) struct Loader<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    team: &'a mut Team,
    weights: Weights,
    form: WeightForm,
    /// Hears how many bytes of the matrices of how many are read.
    progress: &'a dyn Fn(usize, usize),
    done: usize,
    total: usize,
}

/// `y = W x + b`, the activations in the precision that the weights need.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) weight: PackedMatrix,
    /// A value for each row; empty when there is none.
    pub(super) bias: Vec<f32>,
}

impl Linear {
    pub(super) fn precision(&self) -> Precision {
        RowGroup::precision(self.weight.dtype())
    }

    /// What a product of group `index` is added to, `[token][16 rows]`: the bias, or nothing.
    pub(super) fn start(&self, index: usize, out: &mut [f32]) {
        out.fill(0.0);
        self.add_bias(index, out);
    }

    /// Adds the bias of group `index`'s rows to `out`, `[token][16 rows]`.
    pub(super) fn add_bias(&self, index: usize, out: &mut [f32]) {
        if let Some(bias) = self.bias.get(index * ROWS..) {
            for token in out.chunks_exact_mut(ROWS) {
                token.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        }
    }

    /// Columns of the activations, and what they must come with.
    pub(super) fn input(&self) -> (usize, Precision) {
        (self.weight.columns(), self.precision())
    }
}

impl<'a> Loader<'a> {
    /// A loader of a checkpoint's matrices, with room for them in a form that is suited to it.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        team: &'a mut Team,
        form: WeightForm,
        progress: &'a dyn Fn(usize, usize),
    ) -> Result<Self, RuntimeError> {
        let (mut sizes, mut total) = (Vec::new(), 0);
        for name in checkpoint.architecture().tensor_names() {
            let shape = checkpoint.architecture().shape_of(name);
            if let [rows, columns] = shape[..] {
                sizes.push((form.dtype(checkpoint, name)?, rows, columns));
                total += checkpoint.tensor_type(name)?.tensor_bytes(&shape).unwrap_or(0);
            }
        }
        progress(0, total);
        let weights = Weights::with_room_for(sizes.into_iter())?;
        Ok(Self { checkpoint, team, weights, form, progress, done: 0, total })
    }

    /// A vector, such as a norm's weight.
    pub(super) fn vector(&self, name: TensorName) -> Result<Vec<f32>, RuntimeError> {
        let stored = self.checkpoint.tensor(name)?;
        let mut values = vec![0.0; stored.shape.iter().product()];
        stored.dtype.widen(&stored.bytes, &mut values).ok_or_else(|| {
            RuntimeError::unsupported(self.checkpoint.path(), format!("{} is quantized, a vector", name.in_gguf()))
        })?;
        Ok(values)
    }

    /// A matrix `(out, in)`.
    pub(super) fn matrix(&mut self, name: TensorName) -> Result<PackedMatrix, RuntimeError> {
        let checkpoint = self.checkpoint;
        let stored = checkpoint.tensor(name)?;
        let dtype = self.form.dtype(checkpoint, name)?;
        let packed = self.weights.pack(&stored, dtype, self.team, &mut |bytes| {
            checkpoint.release(bytes);
            self.done += bytes.len();
            (self.progress)(self.done, self.total);
        });
        packed.map_err(|fault| fault.explain(checkpoint.path(), &name.in_gguf(), stored.dtype, dtype))
    }

    /// A projection of layer `layer`.
    pub(super) fn linear(
        &mut self,
        layer: usize,
        weight: LayerTensor,
        bias: Option<LayerTensor>,
    ) -> Result<Linear, RuntimeError> {
        let weight = self.matrix(TensorName::Layer(layer, weight))?;
        let bias = match (self.checkpoint.architecture().attention_bias, bias) {
            (AttentionBias::Present, Some(bias)) => self.vector(TensorName::Layer(layer, bias))?,
            _ => Vec::new(),
        };
        Ok(Linear { weight, bias })
    }

    /// The memory of all matrices, when each has been loaded.
    pub(super) fn finish(self) -> Weights {
        // With a page that is read the system maps those around it, also of tensors that were released before.
        self.checkpoint.release_all();
        self.weights
    }
}
