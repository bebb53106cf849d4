//! [`ComputeDevice`]: where tensors are.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};

/// Where an engine computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ComputeDevice {
    /// On the processor, in float32.
    #[default]
    Cpu,
    /// On the NVIDIA GPU of that number (feature `cuda`), in bfloat16.
    Cuda(usize),
    /// On the Apple GPU of that number (feature `metal`), in float16.
    Metal(usize),
}

impl ComputeDevice {
    /// The device, and the type of numbers that it is fast with.
    pub(super) fn open(self) -> candle_core::Result<(Device, DType)> {
        Ok(match self {
            Self::Cpu => (Device::Cpu, DType::F32),
            Self::Cuda(index) => (Device::new_cuda(index)?, DType::BF16),
            Self::Metal(index) => (Device::new_metal(index)?, DType::F16),
        })
    }
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Metal(index) => write!(f, "metal:{index}"),
        }
    }
}

impl FromStr for ComputeDevice {
    type Err = &'static str;

    /// As a setting says it: `cpu`, `cuda`, `cuda:1`, `metal`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected cpu, cuda[:N] or metal[:N]";
        let (kind, number) = text.split_once(':').unwrap_or((text, "0"));
        let number = number.parse().map_err(|_| EXPECTED)?;
        match kind {
            "cpu" if !text.contains(':') => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(number)),
            "metal" => Ok(Self::Metal(number)),
            _ => Err(EXPECTED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_said_as_they_are_shown() {
        for text in ["cpu", "cuda:0", "cuda:3", "metal:1"] {
            assert_eq!(text.parse::<ComputeDevice>().map(|device| device.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("cuda".parse(), Ok(ComputeDevice::Cuda(0)));
        for wrong in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "metal:-1"] {
            assert!(wrong.parse::<ComputeDevice>().is_err(), "{wrong}");
        }
    }
}
