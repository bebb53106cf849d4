//! Owns how engines are made. Nothing else knows which there are.

use std::fmt;

use clap::ValueEnum;
use qwen_runtime::{CandleConfig, CandleEngine, Checkpoint, ComputeDevice, Engine, QuantizedWeights};

use crate::cli::BenchArguments;
use crate::failure::{Failure, usage};

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum EngineName {
    /// candle's tensors
    #[default]
    Candle,
}

/// The instruction set of an engine's kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernels {
    Scalar,
    Avx2,
    Avx512,
}

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KvType {
    F16,
    F32,
    #[value(name = "q8_0")]
    Q8_0,
}

impl KvType {
    /// Bytes of that many values.
    pub(crate) fn bytes(self, values: f64) -> f64 {
        match self {
            Self::F32 => 4.0 * values,
            Self::F16 => 2.0 * values,
            // 32 values and a half float.
            Self::Q8_0 => 34.0 / 32.0 * values,
        }
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::Q8_0 => "q8_0",
        })
    }
}

/// Which engine is wanted, as far as the command line says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineChoice {
    pub(crate) name: EngineName,
    pub(crate) kernels: Option<Kernels>,
    pub(crate) kv_type: Option<KvType>,
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
    pub(crate) kernels: Option<String>,
    pub(crate) kv_type: KvType,
}

impl EngineChoice {
    /// The choice on the command line, which must be one that the engine has.
    pub(crate) fn new(arguments: &BenchArguments) -> Result<Self, Failure> {
        let kv_type = arguments.kv_type.first().copied();
        if arguments.kv_type.iter().any(|&other| Some(other) != kv_type) {
            return Err(usage("keys and values have one type: give -ctk and -ctv the same, or --kv-type alone"));
        }
        let choice = Self { name: arguments.engine, kernels: arguments.kernels, kv_type };
        match choice.name {
            EngineName::Candle if choice.kernels.is_some() => Err(usage("candle chooses its kernels itself")),
            EngineName::Candle if choice.kv_type.is_some_and(|kv_type| kv_type != KvType::F32) => {
                Err(usage("candle stores keys and values as f32 only"))
            }
            EngineName::Candle => Ok(choice),
        }
    }

    /// Loads the engine.
    pub(crate) fn load(self, checkpoint: &Checkpoint, needs: Needs) -> Result<(Box<dyn Engine>, EngineFacts), Failure> {
        match self.name {
            EngineName::Candle => {
                let config = CandleConfig {
                    device: ComputeDevice::Cpu,
                    quantized: QuantizedWeights::Keep,
                    max_sequences: needs.sequences,
                    max_tokens: needs.kv_tokens,
                };
                let engine = CandleEngine::load(checkpoint, config, &|_, _| {})?;
                Ok((Box::new(engine), EngineFacts { name: "candle", kernels: None, kv_type: KvType::F32 }))
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
        EngineChoice::new(&Arguments::parse_from(format!("qwen-bench -m a.gguf {line}").split(' ')).bench)
    }

    #[test]
    fn an_engine_gets_what_it_can_do_only() {
        assert!(choice("--engine candle --kv-type f32").is_ok());
        for line in ["--engine candle --kv-type f16", "--engine candle --kernels avx2", "--ctk f16 --ctv f32"] {
            assert!(choice(line).unwrap_err().is_usage, "{line}");
        }
        assert_eq!(KvType::Q8_0.bytes(64.0), 68.0);
        assert_eq!(KvType::Q8_0.to_string(), "q8_0");
    }
}
