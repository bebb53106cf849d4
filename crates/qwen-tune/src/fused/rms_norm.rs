//! [`RmsNorm`].

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::real::{Real, dot, numbers, read, with_real};

/// `x / rms(x) · weight` over the last dimension: `(…, n)` and `(n)` to `(…, n)`.
pub(super) struct RmsNorm {
    pub(super) eps: f64,
}

/// `1 / rms(x)`.
#[inline(always)]
pub(super) fn inverse<T: Real>(x: &[T], eps: f64) -> T {
    T::one() / (dot(x, x) / T::from_f64(x.len() as f64) + T::from_f64(eps)).sqrt()
}

/// The gradient of one row, from the one for its result: sets the one for `x`, adds the one for `weight`.
#[inline(always)]
pub(super) fn gradient<T: Real>(
    x: &[T],
    weight: &[T],
    eps: f64,
    of_result: &[T],
    (of_x, of_weight): (&mut [T], &mut [T]),
) {
    let inverse = inverse(x, eps);
    for (((to, sum), &g), (&x, &w)) in of_x.iter_mut().zip(of_weight).zip(of_result).zip(x.iter().zip(weight)) {
        *to = g * w;
        *sum += g * x * inverse;
    }
    let pull = dot(of_x, x) * inverse * inverse / T::from_f64(x.len() as f64);
    of_x.iter_mut().zip(x).for_each(|(to, &x)| *to = (*to - x * pull) * inverse);
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dtype = candle_core::backend::BackendStorage::dtype(x);
        let storage = with_real!(dtype, T => {
            let (x, weight) = (numbers::<T>(x, x_layout)?, numbers::<T>(weight, weight_layout)?);
            let mut out = vec![T::default(); x.len()];
            for (x, out) in x.chunks(weight.len()).zip(out.chunks_mut(weight.len())) {
                let inverse = inverse(x, self.eps);
                out.iter_mut().zip(x.iter().zip(weight)).for_each(|(out, (x, w))| *out = x * inverse * w);
            }
            candle_core::WithDType::to_cpu_storage_owned(out)
        });
        Ok((storage, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        of_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let n = weight.elem_count();
        with_real!(x.dtype(), T => {
            let mut of_x = vec![T::default(); x.elem_count()];
            let mut of_weight = vec![T::default(); n];
            read::<T, _>(x, |x| read::<T, _>(weight, |weight| read::<T, _>(of_result, |of_result| {
                for ((x, g), to) in x.chunks(n).zip(of_result.chunks(n)).zip(of_x.chunks_mut(n)) {
                    gradient(x, weight, self.eps, g, (to, &mut of_weight));
                }
                Ok(())
            })))?;
            let device = x.device();
            Ok((Some(Tensor::from_vec(of_x, x.shape(), device)?), Some(Tensor::from_vec(of_weight, n, device)?)))
        })
    }
}
