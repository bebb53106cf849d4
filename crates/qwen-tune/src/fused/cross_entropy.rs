//! [`CrossEntropy`].

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::real::{Real, numbers, read, with_real};

/// The sum of `-ln softmax(logits)[wanted]`: `(targets, vocab)` to a scalar.
pub(super) struct CrossEntropy {
    /// The token that should follow, for each target.
    pub(super) wanted: Vec<u32>,
}

/// The largest logit, and the sum of what the others are to it: `Σ e^(logit - largest)`.
#[inline(always)]
fn total<T: Real>(logits: &[T]) -> (T, T) {
    let largest = logits.iter().fold(logits[0], |a, &b| a.larger(b));
    let mut parts = [T::zero(); 16];
    let chunks = logits.chunks_exact(16);
    let rest: T = chunks.remainder().iter().map(|&logit| (logit - largest).exp()).sum();
    for chunk in chunks {
        parts.iter_mut().zip(chunk).for_each(|(part, &logit)| *part += (logit - largest).exp());
    }
    (largest, parts.into_iter().sum::<T>() + rest)
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, vocab) = layout.shape().dims2()?;
        if let Some(token) = self.wanted.iter().find(|token| **token as usize >= vocab) {
            candle_core::bail!("token {token} is wanted; there are logits of {vocab}");
        }
        let dtype = candle_core::backend::BackendStorage::dtype(logits);
        let storage = with_real!(dtype, T => {
            let rows = numbers::<T>(logits, layout)?.chunks(vocab);
            let loss = rows.zip(&self.wanted).map(|(logits, &wanted)| {
                let (largest, sum) = total(logits);
                largest + Real::ln(sum) - logits[wanted as usize]
            });
            candle_core::WithDType::to_cpu_storage_owned(vec![loss.sum::<T>()])
        });
        Ok((storage, Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, of_result: &Tensor) -> Result<Option<Tensor>> {
        let (_, vocab) = logits.dims2()?;
        with_real!(logits.dtype(), T => {
            let factor = of_result.to_scalar::<T>()?;
            let mut of_logits = vec![T::default(); logits.elem_count()];
            read::<T, _>(logits, |logits| {
                let rows = logits.chunks(vocab).zip(of_logits.chunks_mut(vocab));
                for ((logits, to), &wanted) in rows.zip(&self.wanted) {
                    let (largest, sum) = total(logits);
                    let scale = factor / sum;
                    to.iter_mut().zip(logits).for_each(|(to, &logit)| *to = Real::exp(logit - largest) * scale);
                    to[wanted as usize] -= factor;
                }
                Ok(())
            })?;
            Ok(Some(Tensor::from_vec(of_logits, logits.shape(), logits.device())?))
        })
    }
}
