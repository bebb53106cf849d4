//! [`Real`]: the types that fused operations compute in, and how their numbers are reached.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType, bail};

/// F32, or F64 for checking gradients.
pub(super) trait Real: WithDType + std::ops::Neg<Output = Self> + std::iter::Sum {
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    fn larger(self, other: Self) -> Self;
}

impl Real for f64 {
    fn exp(self) -> Self {
        self.exp()
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn larger(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
}

impl Real for f32 {
    /// Within 2e-7 of the exact one, relatively, and 0 where that is below 1e-37: a form that the compiler turns into
    /// vector instructions. `2^n · e^r` with `|r| ≤ ln 2 / 2`, and the series of `e^r` up to `r^7`.
    #[inline(always)]
    fn exp(self) -> Self {
        /// Adding and subtracting it rounds to a whole number.
        const ROUND: f32 = 12_582_912.0;
        let x = self.clamp(-87.0, 88.0);
        let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
        // ln 2 in two parts, so that the difference is exact.
        let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
        let series = 1.0 / 5040.0;
        let series = series * r + 1.0 / 720.0;
        let series = series * r + 1.0 / 120.0;
        let series = series * r + 1.0 / 24.0;
        let series = series * r + 1.0 / 6.0;
        let series = series * r + 0.5;
        let series = series * r + 1.0;
        let series = series * r + 1.0;
        let power = f32::from_bits(((n as i32 + 127) << 23) as u32);
        if self < -85.0 { 0.0 } else { series * power }
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
}

/// The numbers of a contiguous tensor.
pub(super) fn numbers<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a fused operation got a tensor with gaps") };
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// What `read` makes of the numbers of a tensor.
pub(super) fn read<T: Real, R>(tensor: &Tensor, read: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("a fused operation got a tensor of a GPU") };
    read(numbers(storage, layout)?)
}

/// Whether fused operations know the type.
pub(crate) fn knows(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// The sum of a product, in parts that the compiler adds side by side.
#[inline(always)]
pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 16;
    let mut parts = [T::zero(); LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: T = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(&a, &b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            parts[lane] += a[lane] * b[lane];
        }
    }
    parts.into_iter().sum::<T>() + rest
}

/// Calls a function with the type of a tensor's numbers.
macro_rules! with_real {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => candle_core::bail!("a fused operation got {other:?}"),
        }
    };
}
pub(super) use with_real;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_enough() {
        for step in -8_400..=8_800_i16 {
            let x = f32::from(step) / 100.0;
            let (fast, exact) = (Real::exp(x), f64::from(x).exp());
            assert!((f64::from(fast) / exact - 1.0).abs() < 3e-7, "{x}: {fast} instead of {exact}");
        }
        assert_eq!((Real::exp(-1e30_f32), Real::exp(f32::NEG_INFINITY)), (0.0, 0.0));
        assert!(Real::exp(f32::NAN).is_nan());
    }

    #[test]
    fn dot_products_have_all_their_parts() {
        let numbers: Vec<f64> = (1..=37).map(f64::from).collect();
        assert_eq!(dot(&numbers, &numbers), 17_575.0);
    }
}
