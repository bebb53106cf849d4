//! What the flags say of the model's runtime: its engine, its room and its defaults.

use anyhow::bail;
use llm_client::ThinkingBudget;
use qwen_runtime::{
    ComputeDevice, CpuSettings, EngineConfig, GenerationOptions, RuntimeConfig, SamplingOptions, WeightForm,
};

use crate::cli::{EngineArgs, EngineName, ModelArgs};

/// The runtime's configuration, except how many requests may wait.
///
/// # Errors
/// When the flags contradict each other, or a sampling value is out of its range.
pub(crate) fn runtime_config(model: &ModelArgs, engine: &EngineArgs) -> anyhow::Result<RuntimeConfig> {
    let defaults = generation_options(model);
    // The runtime's own check, so that a wrong value ends the start and not every load.
    defaults.sampling.clone().validate()?;
    Ok(RuntimeConfig {
        engine: engine_config(engine)?,
        max_context: usize::try_from(engine.max_context)?,
        max_sequences: usize::try_from(engine.max_sequences)?,
        kv_memory: engine.kv_memory.map(|size| size.0),
        defaults,
        ..RuntimeConfig::on_cpu()
    })
}

fn engine_config(engine: &EngineArgs) -> anyhow::Result<EngineConfig> {
    let on_processor = engine.device.first() == ComputeDevice::Cpu;
    let implied = if on_processor { EngineName::Cpu } else { EngineName::Candle };
    match engine.engine.unwrap_or(implied) {
        EngineName::Cpu if !on_processor => {
            bail!("the engine cpu runs on DEVICE=cpu only; on a GPU it is ENGINE=candle")
        }
        EngineName::Cpu => Ok(EngineConfig::Cpu(CpuSettings {
            threads: engine.threads.map(usize::from),
            kv_type: engine.kv_type.unwrap_or_default(),
            kernels: None,
            weights: engine.quantize.unwrap_or_default(),
        })),
        EngineName::Candle if engine.threads.is_some() => bail!("THREADS is for the engine cpu; candle takes its own"),
        EngineName::Candle if engine.kv_type.is_some() => {
            bail!("KV_TYPE is for the engine cpu; candle stores keys and values as it computes them")
        }
        EngineName::Candle if engine.quantize.is_some_and(|form| form != WeightForm::Stored) => {
            bail!("QUANTIZE is for the engine cpu; candle takes weights as they are stored")
        }
        EngineName::Candle => Ok(EngineConfig::Candle(engine.device)),
    }
}

fn generation_options(model: &ModelArgs) -> GenerationOptions {
    GenerationOptions {
        max_new_tokens: model.max_new_tokens.map(|tokens| tokens as usize),
        thinking_budget: model.thinking_budget.map(|budget| match budget.0 {
            ThinkingBudget::Tokens(tokens) => qwen_runtime::ThinkingBudget::Tokens(tokens as usize),
            ThinkingBudget::Off => qwen_runtime::ThinkingBudget::Off,
        }),
        sampling: SamplingOptions {
            temperature: model.temperature,
            top_k: model.top_k,
            top_p: model.top_p,
            min_p: model.min_p,
            repetition_penalty: model.repetition_penalty,
            presence_penalty: model.presence_penalty,
            frequency_penalty: model.frequency_penalty,
            logit_bias: None,
            seed: model.seed,
        },
        stop: Vec::new(),
        timeout: None,
    }
}
