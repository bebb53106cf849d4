//! [`ComputeDevice`]: where tensors are, and [`Devices`]: over which the layers are split.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use candle_core::{DType, Device};

use crate::error::RuntimeError;

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
    /// The device of that kind and number.
    fn open(self) -> Result<Device, RuntimeError> {
        let lacks = |feature| {
            let reason = format!("this build cannot use {self}: it is one without the cargo feature `{feature}`");
            Err(RuntimeError::parameter("device", reason))
        };
        match self {
            Self::Cuda(_) if !cfg!(feature = "cuda") => lacks("cuda"),
            Self::Metal(_) if !cfg!(feature = "metal") => lacks("metal"),
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => Ok(Device::new_cuda(index)?),
            Self::Metal(index) => Ok(Device::new_metal(index)?),
        }
    }

    /// The type of numbers that it is fast with.
    fn dtype(self) -> DType {
        match self {
            Self::Cpu => DType::F32,
            Self::Cuda(_) => DType::BF16,
            Self::Metal(_) => DType::F16,
        }
    }

    /// The one so many numbers further.
    fn after(self, number: usize) -> Self {
        match self {
            Self::Cpu => Self::Cpu,
            Self::Cuda(index) => Self::Cuda(index + number),
            Self::Metal(index) => Self::Metal(index + number),
        }
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

/// One device, or some of a kind with numbers in a row. A model's layers are split over them in order,
/// as evenly as they can be, and so are the layers' keys and values: none must hold the whole model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Devices {
    first: ComputeDevice,
    count: NonZeroUsize,
}

impl Devices {
    /// `count` devices from `first` on. Several times the processor is one processor that takes turns.
    pub const fn new(first: ComputeDevice, count: NonZeroUsize) -> Self {
        Self { first, count }
    }

    /// The first one; the others are of its kind.
    pub const fn first(self) -> ComputeDevice {
        self.first
    }

    /// All of them, and the type of numbers that they are fast with.
    pub(super) fn open(self) -> Result<(Vec<Device>, DType), RuntimeError> {
        let devices = (0..self.count.get()).map(|number| self.first.after(number).open()).collect::<Result<_, _>>()?;
        Ok((devices, self.first.dtype()))
    }
}

impl From<ComputeDevice> for Devices {
    fn from(first: ComputeDevice) -> Self {
        Self::new(first, NonZeroUsize::MIN)
    }
}

impl Default for Devices {
    fn default() -> Self {
        ComputeDevice::default().into()
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.first.after(self.count.get() - 1);
        match last {
            ComputeDevice::Cuda(last) | ComputeDevice::Metal(last) if self.count.get() > 1 => {
                write!(f, "{}-{last}", self.first)
            }
            _ => write!(f, "{}", self.first),
        }
    }
}

impl FromStr for Devices {
    type Err = &'static str;

    /// As a setting says it: that of a [`ComputeDevice`], or `cuda:0-3`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected cpu, cuda[:N], cuda:N-M, or the same with metal";
        let parsed = || {
            let Some((first, last)) = text.split_once('-') else {
                return text.parse::<ComputeDevice>().map(Self::from).ok();
            };
            let first: ComputeDevice = first.parse().ok().filter(|_| first.contains(':'))?;
            let last: usize = last.parse().ok()?;
            let (ComputeDevice::Cuda(from) | ComputeDevice::Metal(from)) = first else { return None };
            let count = NonZeroUsize::new(last.checked_sub(from)?.checked_add(1)?)?;
            Some(Self::new(first, count))
        };
        parsed().ok_or(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_devices_are_said_as_they_are_shown() {
        for text in ["cpu", "cuda:0", "cuda:0-3", "cuda:2-3", "metal:1"] {
            assert_eq!(text.parse::<Devices>().map(|devices| devices.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("cuda:1-1".parse(), Ok(Devices::from(ComputeDevice::Cuda(1))));
        for wrong in ["", "cpu-1", "cuda-1", "cuda:3-2", "cuda:0-", "cuda:-1", "cuda:0-x", "cuda:0-1-2"] {
            assert!(wrong.parse::<Devices>().is_err(), "{wrong}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_build_says_what_it_lacks() {
        let error = "cuda:1".parse::<Devices>().map(Devices::open).unwrap().unwrap_err();
        assert!(error.to_string().contains("cuda:1: it is one without the cargo feature `cuda`"), "{error}");
    }

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
