//! Tests of training, on tiny models.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod adapter;
mod gradients;
mod interruption;
mod learning;

use candle_core::{DType, Device};
use qwen_runtime::{Architecture, AttentionBias, HeadWeights, Rope, RopeScaling};
use qwen_tune::{AdamWOptions, Example, Initialization, Parameters, Schedule, TrainerOptions};

/// Two layers, two query heads for each key head.
fn tiny(head: HeadWeights) -> Architecture {
    Architecture {
        hidden_size: 32,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        intermediate_size: 48,
        vocab_size: 40,
        rms_norm_eps: 1e-6,
        max_context: 256,
        rope: Rope { theta: 1e4, scaling: RopeScaling::None },
        head,
        attention_bias: AttentionBias::Absent,
    }
}

/// Weights large enough that every part of the network matters.
fn parameters(head: HeadWeights, dtype: DType) -> Parameters {
    let parameters = Parameters::random(&tiny(head), Initialization::Normal, 5, dtype, &Device::Cpu).unwrap();
    for (_, variable) in parameters.variables().filter(|(_, variable)| variable.rank() > 1) {
        variable.set(&(variable.as_tensor() * 8.0).unwrap()).unwrap();
    }
    parameters
}

/// Prompts that end with a number, which the answer repeats: something that can be learnt by copying.
fn examples(count: u32) -> Vec<Example> {
    let example = |n: u32| {
        let secret = [10 + n % 23, 10 + n * 7 % 29];
        Example { prompt: [&[1, 2, 3], &secret[..], &[4, 5]].concat(), answer: [&secret[..], &[6]].concat() }
    };
    (0..count).map(example).collect()
}

fn options(steps: usize) -> TrainerOptions {
    TrainerOptions {
        rows_per_step: 3,
        threads: 2,
        seed: 1,
        schedule: Schedule::new(3e-3, 5, steps, 0.1).unwrap(),
        adamw: AdamWOptions::default(),
        muon: None,
    }
}
