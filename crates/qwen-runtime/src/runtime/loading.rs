//! Loads the engine that a configuration asks for, with a KV cache as large as it allows.

use std::hint::black_box;

use super::config::{EngineConfig, RuntimeConfig};
use crate::checkpoint::{Architecture, Checkpoint, StoredType};
use crate::engine::Engine;
use crate::engine::candle::{CandleConfig, CandleEngine, ComputeDevice};
use crate::engine::cpu::{CpuConfig, CpuEngine};
use crate::engine::weight_form::WeightForm;
use crate::error::RuntimeError;

/// Room of a KV cache for which no budget is set, in tokens: four of CarePath's contexts.
const DEFAULT_KV_TOKENS: usize = 16_384;

/// What a step, the tokenizer and the prompts take: measured for models of 0.6 to 4 billion weights.
const WORKING_MEMORY: u64 = 96 << 20;

/// Loads the engine of `config`; `progress` hears how much of how much is loaded.
pub(super) fn load_engine(
    checkpoint: &Checkpoint,
    config: &RuntimeConfig,
    progress: &dyn Fn(usize, usize),
) -> Result<Box<dyn Engine>, RuntimeError> {
    let kv_tokens = kv_tokens(checkpoint.architecture(), config)?;
    let max_sequences = config.max_sequences;
    Ok(match config.engine {
        EngineConfig::Cpu(settings) => {
            require_memory(kv_tokens.saturating_mul(token_bytes(checkpoint.architecture(), config.engine)))?;
            let defaults = CpuConfig::default();
            let engine = CpuConfig {
                threads: settings.threads.unwrap_or(defaults.threads),
                kv_type: settings.kv_type,
                kv_tokens,
                max_sequences,
                kernels: settings.kernels,
                weights: settings.weights,
            };
            Box::new(CpuEngine::load(checkpoint, engine, progress)?)
        }
        EngineConfig::Candle(devices) => {
            let weights = WeightForm::Stored;
            let engine = CandleConfig { devices, weights, max_sequences, max_tokens: kv_tokens };
            Box::new(CandleEngine::load(checkpoint, engine, progress)?)
        }
    })
}

/// Memory that a model takes in all, in bytes: its weights in the form in which they are held, a full KV cache, and
/// room to compute in.
pub(super) fn memory(checkpoint: &Checkpoint, config: &RuntimeConfig) -> Result<u64, RuntimeError> {
    let architecture = checkpoint.architecture();
    let form = match config.engine {
        EngineConfig::Cpu(settings) => settings.weights.suited_to(checkpoint)?,
        EngineConfig::Candle(_) => WeightForm::Stored,
    };
    let mut bytes = kv_tokens(architecture, config)?.saturating_mul(token_bytes(architecture, config.engine));
    for name in architecture.tensor_names() {
        let dtype = match (form.dtype(checkpoint, name)?, config.engine) {
            // It computes in F32 on a processor.
            (plain, EngineConfig::Candle(devices))
                if devices.first() == ComputeDevice::Cpu && !plain.is_quantized() =>
            {
                StoredType::F32
            }
            (dtype, _) => dtype,
        };
        let numbers: usize = architecture.shape_of(name).iter().product();
        bytes = bytes.saturating_add(numbers.div_ceil(dtype.block_len()) * dtype.block_bytes());
    }
    Ok((bytes as u64).saturating_add(WORKING_MEMORY))
}

/// Tokens for which the KV cache has room.
fn kv_tokens(architecture: &Architecture, config: &RuntimeConfig) -> Result<usize, RuntimeError> {
    let token_bytes = token_bytes(architecture, config.engine);
    let context = config.max_context.min(architecture.max_context);
    let tokens = match config.kv_memory {
        Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX) / token_bytes,
        None => context.saturating_mul(config.max_sequences).min(DEFAULT_KV_TOKENS.max(context)),
    };
    if tokens == 0 {
        let reason = format!("it must have room for a token, which takes {token_bytes} bytes");
        return Err(RuntimeError::parameter("kv_memory", reason));
    }
    Ok(tokens)
}

/// Bytes of the keys and values of a token in all layers.
fn token_bytes(architecture: &Architecture, engine: EngineConfig) -> usize {
    2 * architecture.layers * architecture.kv_heads * engine.kv_head_bytes(architecture.head_dim)
}

/// Fails where the system has no such memory to give, which would end the process later.
fn require_memory(bytes: usize) -> Result<(), RuntimeError> {
    let mut memory = Vec::<u8>::new();
    let reserved = memory.try_reserve_exact(bytes);
    // Else the compiler may leave out an allocation that nobody reads.
    black_box(&memory);
    reserved.map_err(|_| {
        let reason = format!("this machine has no {} MiB for the KV cache; set a smaller budget", bytes >> 20);
        RuntimeError::parameter("kv_memory", reason)
    })
}

#[cfg(test)]
mod tests {
    use super::super::config::CpuSettings;
    use super::*;
    use crate::engine::cpu::KvType;

    fn tokens(change: impl FnOnce(&mut RuntimeConfig)) -> Result<usize, RuntimeError> {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tied-f32");
        let architecture =
            Architecture { max_context: 40_960, ..Checkpoint::open(golden.as_ref()).unwrap().architecture().clone() };
        let mut config = RuntimeConfig::on_cpu();
        change(&mut config);
        kv_tokens(&architecture, &config)
    }

    #[test]
    fn without_a_budget_there_is_room_for_four_contexts_or_a_long_one() {
        assert_eq!(tokens(|_| {}).unwrap(), 4 * 4096);
        assert_eq!(tokens(|config| config.max_sequences = 2).unwrap(), 2 * 4096);
        assert_eq!(tokens(|config| config.max_context = 30_000).unwrap(), 30_000);
        assert_eq!(tokens(|config| config.max_context = 1_000_000).unwrap(), 40_960);
    }

    #[test]
    fn memory_is_weights_and_a_full_kv_cache() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tied-f32");
        let checkpoint = Checkpoint::open(golden.as_ref()).unwrap();
        let weights = std::fs::metadata(format!("{golden}/model.safetensors")).unwrap().len();
        let with = |kv_memory, form| {
            let weights = CpuSettings { weights: form, ..CpuSettings::default() };
            let engine = EngineConfig::Cpu(weights);
            memory(&checkpoint, &RuntimeConfig { kv_memory: Some(kv_memory), engine, ..RuntimeConfig::on_cpu() })
                .unwrap()
        };
        let plain = with(1 << 20, WeightForm::Stored) - WORKING_MEMORY - (1 << 20);
        // The file has a header too.
        assert!(plain.abs_diff(weights) < weights / 10, "{plain} of {weights}");
        // The KV cache has whole tokens.
        let more = with(3 << 20, WeightForm::Stored) - with(1 << 20, WeightForm::Stored);
        assert!(more.abs_diff(2 << 20) < 1024, "{more}");
        let eighth = WeightForm::Quantized(crate::quantize::FileType::Q8_0);
        assert!(with(1 << 20, eighth) < with(1 << 20, WeightForm::Stored) - weights / 2);
    }

    #[test]
    fn a_budget_is_counted_in_the_bytes_of_the_type() {
        let half = tokens(|config| config.kv_memory = Some(1 << 20)).unwrap();
        let with = |engine| {
            tokens(|config| {
                config.kv_memory = Some(1 << 20);
                config.engine = engine;
            })
            .unwrap()
        };
        let cpu = |kv_type| EngineConfig::Cpu(CpuSettings { kv_type, ..CpuSettings::default() });
        assert!(half > 0);
        assert_eq!(with(cpu(KvType::F32)), half / 2);
        // A head of 32 is 32 bytes and a scale of 4, where half precision takes 64.
        assert_eq!(with(cpu(KvType::Q8_0)), (1 << 20) / ((1 << 20) / half * 36 / 64));
        assert_eq!(with(EngineConfig::Candle(ComputeDevice::Cpu.into())), half / 2);
    }

    #[test]
    fn a_budget_for_nothing_or_beyond_the_machine_is_refused() {
        for result in [tokens(|config| config.kv_memory = Some(100)).map(drop), require_memory(usize::MAX >> 1)] {
            let error = result.unwrap_err();
            assert!(matches!(error, RuntimeError::InvalidParameter { name: "kv_memory", .. }), "{error}");
        }
    }
}
