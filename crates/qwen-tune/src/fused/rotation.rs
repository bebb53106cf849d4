//! [`NormedRotation`].

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::real::{Real, numbers, read, with_real};
use super::rms_norm::{gradient, inverse};

/// What queries and keys go through: the RMS norm of every head, and rotary position embedding in
/// halves. `(len, heads · head_dim)` and `(head_dim)` to `(heads, len, head_dim)`.
pub(super) struct NormedRotation {
    pub(super) eps: f64,
    /// Cosine and sine of each token's angles, `(len, head_dim / 2)`.
    pub(super) turns: Arc<[(f64, f64)]>,
}

impl CustomOp2 for NormedRotation {
    fn name(&self) -> &'static str {
        "normed-rotation"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (len, width) = x_layout.shape().dims2()?;
        let dtype = candle_core::backend::BackendStorage::dtype(x);
        with_real!(dtype, T => {
            let (x, weight) = (numbers::<T>(x, x_layout)?, numbers::<T>(weight, weight_layout)?);
            let (dim, half) = (weight.len(), weight.len() / 2);
            let heads = width / dim;
            let mut out = vec![T::default(); x.len()];
            let turns = self.turns::<T>();
            for (place, (x, turns)) in x.chunks(width).zip(turns.chunks(half)).enumerate() {
                for (head, x) in x.chunks(dim).enumerate() {
                    let inverse = inverse(x, self.eps);
                    let (first, second) = out[(head * len + place) * dim..][..dim].split_at_mut(half);
                    for pair in 0..half {
                        let (a, b) = (x[pair] * inverse * weight[pair], x[pair + half] * inverse * weight[pair + half]);
                        let (cos, sin) = turns[pair];
                        first[pair] = a * cos - b * sin;
                        second[pair] = b * cos + a * sin;
                    }
                }
            }
            Ok((candle_core::WithDType::to_cpu_storage_owned(out), Shape::from((heads, len, dim))))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        of_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (len, width) = x.dims2()?;
        let (dim, half) = (weight.elem_count(), weight.elem_count() / 2);
        with_real!(x.dtype(), T => {
            let mut of_x = vec![T::default(); x.elem_count()];
            let mut of_weight = vec![T::default(); dim];
            let mut turned_back = vec![T::default(); dim];
            let turns = self.turns::<T>();
            read::<T, _>(x, |x| read::<T, _>(weight, |weight| read::<T, _>(of_result, |of_result| {
                for place in 0..len {
                    let turns = &turns[place * half..][..half];
                    for head in 0..width / dim {
                        let (first, second) = of_result[(head * len + place) * dim..][..dim].split_at(half);
                        for pair in 0..half {
                            let (cos, sin) = turns[pair];
                            turned_back[pair] = first[pair] * cos + second[pair] * sin;
                            turned_back[pair + half] = second[pair] * cos - first[pair] * sin;
                        }
                        let at = place * width + head * dim;
                        let (x, to) = (&x[at..][..dim], &mut of_x[at..][..dim]);
                        gradient(x, weight, self.eps, &turned_back, (to, &mut of_weight));
                    }
                }
                Ok(())
            })))?;
            let device = x.device();
            Ok((Some(Tensor::from_vec(of_x, x.shape(), device)?), Some(Tensor::from_vec(of_weight, dim, device)?)))
        })
    }
}

impl NormedRotation {
    fn turns<T: Real>(&self) -> Vec<(T, T)> {
        self.turns.iter().map(|&(cos, sin)| (T::from_f64(cos), T::from_f64(sin))).collect()
    }
}
