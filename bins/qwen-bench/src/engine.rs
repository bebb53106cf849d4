//! Owns how engines are made. Nothing else knows which there are.

use clap::ValueEnum;
use qwen_runtime::{
    CandleConfig, CandleEngine, Checkpoint, ComputeDevice, CpuConfig, CpuEngine, Devices, Engine, KernelSet, KvType,
    WeightForm,
};

use crate::cli::BenchArguments;
use crate::failure::{Failure, usage};
use crate::thread_variables;

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// The engine with kernels of its own.
    Cpu,
    /// candle's tensors.
    Candle,
}

/// Which engine is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineChoice {
    name: EngineName,
    kernels: KernelSet,
    kv_type: KvType,
    /// In which form it holds the weights.
    pub(crate) weights: WeightForm,
    /// Where candle computes.
    devices: Devices,
}

/// What the tests need of an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) threads: usize,
    /// Most sequences at once.
    pub(crate) sequences: usize,
    /// Tokens of all sequences together.
    pub(crate) kv_tokens: usize,
}

/// What the results say of an engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineFacts {
    pub(crate) name: &'static str,
    pub(crate) devices: Devices,
    pub(crate) kernels: Option<String>,
    pub(crate) kv_type: KvType,
    /// What keys and values really are: GPUs have their own type of two bytes.
    pub(crate) kv_name: String,
}

impl EngineChoice {
    /// The choice on the command line, which must be one that the engine and the machine have.
    pub(crate) fn new(arguments: &BenchArguments) -> Result<Self, Failure> {
        let kv_type = arguments.kv_type.first().copied();
        if arguments.kv_type.iter().any(|&other| Some(other) != kv_type) {
            return Err(usage("keys and values have one type: give -ctk and -ctv the same, or --kv-type alone"));
        }
        let available = KernelSet::available();
        let kernels = arguments.kernels.or_else(|| available.iter().copied().max()).unwrap_or(KernelSet::Scalar);
        if !available.contains(&kernels) {
            let names: Vec<_> = available.iter().map(ToString::to_string).collect();
            return Err(usage(format!("this machine has no {kernels}; it has {}", names.join(", "))));
        }
        let (weights, devices) = (arguments.quantize, arguments.device);
        // As the server chooses.
        let on_processor = devices.first() == ComputeDevice::Cpu;
        let default = if on_processor { EngineName::Cpu } else { EngineName::Candle };
        let name = arguments.engine.unwrap_or(default);
        match name {
            EngineName::Cpu if !on_processor => Err(usage("the cpu engine computes on the processor only")),
            EngineName::Cpu => Ok(Self { name, kernels, kv_type: kv_type.unwrap_or_default(), weights, devices }),
            EngineName::Candle if arguments.kernels.is_some() => Err(usage("candle chooses its kernels itself")),
            EngineName::Candle if kv_type.is_some_and(|kv_type| kv_type != KvType::F32) => {
                Err(usage("candle stores keys and values in the type that it computes in"))
            }
            EngineName::Candle if weights != WeightForm::Stored => Err(usage("candle does not quantize")),
            EngineName::Candle => Ok(Self { name, kernels, kv_type: KvType::F32, weights, devices }),
        }
    }

    /// Does what must be done before anything else, for engines that run with these numbers of threads in turn.
    pub(crate) fn prepare_process(self, threads: &[usize]) -> Result<(), Failure> {
        match self.name {
            EngineName::Cpu => Ok(()),
            EngineName::Candle => thread_variables::set(threads),
        }
    }

    /// Loads the engine; `progress` hears how much of how much is loaded.
    pub(crate) fn load(
        self,
        checkpoint: &Checkpoint,
        needs: Needs,
        progress: &dyn Fn(usize, usize),
    ) -> Result<(Box<dyn Engine>, EngineFacts), Failure> {
        let Self { kv_type, weights, devices, .. } = self;
        let max_sequences = needs.sequences;
        match self.name {
            EngineName::Cpu => {
                let config = CpuConfig {
                    threads: needs.threads,
                    kv_type,
                    kv_tokens: needs.kv_tokens,
                    max_sequences,
                    kernels: Some(self.kernels),
                    weights,
                };
                let engine = CpuEngine::load(checkpoint, config, progress)?;
                Ok((
                    Box::new(engine),
                    EngineFacts {
                        name: "cpu",
                        devices,
                        kernels: Some(self.kernels.to_string()),
                        kv_type,
                        kv_name: kv_type.to_string(),
                    },
                ))
            }
            EngineName::Candle => {
                let config = CandleConfig { devices, weights, max_sequences, max_tokens: needs.kv_tokens };
                let engine = CandleEngine::load(checkpoint, config, progress)?;
                let (kv_type, kv_name) = match devices.first() {
                    ComputeDevice::Cpu => (KvType::F32, "f32"),
                    ComputeDevice::Cuda(_) => (KvType::F16, "bf16"),
                    ComputeDevice::Metal(_) => (KvType::F16, "f16"),
                };
                let kv_name = kv_name.to_owned();
                Ok((Box::new(engine), EngineFacts { name: "candle", devices, kernels: None, kv_type, kv_name }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Arguments;

    fn choice(line: &str) -> Result<EngineChoice, Failure> {
        EngineChoice::new(&Arguments::parse_from(format!("qwen-bench -m a.gguf {line}").split_whitespace()).bench)
    }

    #[test]
    fn an_engine_gets_what_it_can_do_only() {
        assert_eq!(choice("").unwrap().kv_type, KvType::F16);
        assert_eq!(choice("--ctk f32 --ctv f32 --kernels scalar").unwrap().kernels, KernelSet::Scalar);
        assert_eq!(choice("--engine candle").unwrap().kv_type, KvType::F32);
        assert_eq!(choice("--device cuda").unwrap().name, EngineName::Candle);
        for line in [
            "--engine candle --kv-type f16",
            "--engine candle --kernels scalar",
            "--engine candle --quantize q8_0",
            "--engine cpu --device cuda",
            "--ctk f16 --ctv f32",
        ] {
            assert!(choice(line).unwrap_err().is_usage, "{line}");
        }
    }
}
