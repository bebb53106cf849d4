//! [`open_device`]: where a model is trained.

use candle_core::Device;
use qwen_runtime::ComputeDevice;

use crate::error::TuneError;

/// The device of candle's tensors; GPUs need the feature `cuda` or `metal`.
///
/// # Errors
/// [`TuneError::Compute`] when the build or the machine has none of that kind and number.
pub fn open_device(device: ComputeDevice) -> Result<Device, TuneError> {
    Ok(match device {
        ComputeDevice::Cpu => Device::Cpu,
        ComputeDevice::Cuda(number) => Device::new_cuda(number)?,
        ComputeDevice::Metal(number) => Device::new_metal(number)?,
    })
}
