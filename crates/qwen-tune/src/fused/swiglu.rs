//! [`SwiGlu`].

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::real::{Real, numbers, read, with_real};

/// `silu(gate) · up` (arXiv 2002.05202), of equal shapes.
pub(super) struct SwiGlu;

#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::one() / (T::one() + (-x).exp())
}

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dtype = candle_core::backend::BackendStorage::dtype(gate);
        let storage = with_real!(dtype, T => {
            let (gate, up) = (numbers::<T>(gate, gate_layout)?, numbers::<T>(up, up_layout)?);
            let out: Vec<T> = gate.iter().zip(up).map(|(&gate, &up)| gate * sigmoid(gate) * up).collect();
            candle_core::WithDType::to_cpu_storage_owned(out)
        });
        Ok((storage, gate_layout.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        of_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        with_real!(gate.dtype(), T => {
            let mut of_gate = vec![T::default(); gate.elem_count()];
            let mut of_up = of_gate.clone();
            read::<T, _>(gate, |gate| read::<T, _>(up, |up| read::<T, _>(of_result, |of_result| {
                let to = of_gate.iter_mut().zip(&mut of_up);
                for ((&gate, &up), (&g, (of_gate, of_up))) in gate.iter().zip(up).zip(of_result.iter().zip(to)) {
                    let open = sigmoid(gate);
                    *of_up = g * gate * open;
                    *of_gate = g * up * open * (1.0 + gate * (1.0 - open));
                }
                Ok(())
            })))?;
            let (shape, device) = (gate.shape(), gate.device());
            Ok((Some(Tensor::from_vec(of_gate, shape, device)?), Some(Tensor::from_vec(of_up, shape, device)?)))
        })
    }
}
