//! [`RuntimeConfig`]: how a [`Runtime`](super::Runtime) is set up.

use crate::engine::candle::{ComputeDevice, Devices};
use crate::engine::cpu::{KernelSet, KvType};
use crate::engine::weight_form::WeightForm;
use crate::generation::GenerationOptions;

/// How a [`Runtime`](super::Runtime) is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeConfig {
    /// What runs the model.
    pub engine: EngineConfig,
    /// Longest sequence in tokens, prompt and text together; the model's own limit and the KV
    /// cache bound it too.
    pub max_context: usize,
    /// Requests that run at once; the others wait. They share the KV cache: when it is full, the
    /// youngest is paused and goes on later.
    pub max_sequences: usize,
    /// Most memory of the KV cache in bytes, over all requests. `None` is room for 16,384 tokens,
    /// or for one of `max_context` when that is longer; never for more than `max_sequences` of
    /// them. A budget below `max_context` shortens the context, with a line in the log.
    pub kv_memory: Option<u64>,
    /// Requests that may wait; further ones are refused.
    pub max_waiting: usize,
    /// Values for requests that name none; they go before those of the checkpoint.
    pub defaults: GenerationOptions,
}

impl RuntimeConfig {
    /// Settings for a clinic's machine: the engine for processors on all cores, 4,096 tokens of
    /// context as CarePath has, eight requests at once and 32 that wait.
    pub fn on_cpu() -> Self {
        Self {
            engine: EngineConfig::Cpu(CpuSettings::default()),
            max_context: 4096,
            max_sequences: 8,
            kv_memory: None,
            max_waiting: 32,
            defaults: GenerationOptions::default(),
        }
    }
}

/// What runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineConfig {
    /// The engine for processors.
    Cpu(CpuSettings),
    /// candle on a device or some: the way onto GPUs, and the reference on a processor.
    Candle(Devices),
}

/// How the engine for processors computes. The default is all cores, half precision, the best
/// instructions that the machine has, and weights as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuSettings {
    /// Threads that compute; `None` for as many as there are cores.
    pub threads: Option<usize>,
    /// How keys and values are stored.
    pub kv_type: KvType,
    /// Which instructions are used; `None` for the best that the machine has.
    pub kernels: Option<KernelSet>,
    /// In which form the matrices are held.
    pub weights: WeightForm,
}

impl EngineConfig {
    /// Bytes of a stored key, or value, of one head of `head_dim`.
    pub(super) fn kv_head_bytes(self, head_dim: usize) -> usize {
        match self {
            Self::Cpu(settings) => settings.kv_type.head_bytes(head_dim),
            // candle stores keys and values as it computes them.
            Self::Candle(devices) => match devices.first() {
                ComputeDevice::Cpu => 4 * head_dim,
                ComputeDevice::Cuda(_) | ComputeDevice::Metal(_) => 2 * head_dim,
            },
        }
    }
}
