//! Logits and greedy tokens against transformers and dequantized GGUF weights.

use std::path::Path;

use qwen_runtime::{
    CandleConfig, CandleEngine, Checkpoint, ComputeDevice, CpuConfig, CpuEngine, Engine, KnownTokens, KvType, LogitsAt,
    SequenceStep, WeightForm,
};

use crate::golden;

pub(crate) fn candle_config(weights: WeightForm) -> CandleConfig {
    CandleConfig { devices: ComputeDevice::Cpu.into(), weights, max_sequences: 8, max_tokens: 8192 }
}

pub(crate) fn engine(path: &Path, weights: WeightForm) -> CandleEngine {
    CandleEngine::load(&Checkpoint::open(path).unwrap(), candle_config(weights), &|_, _| {}).unwrap()
}

pub(crate) fn cpu_config(weights: WeightForm) -> CpuConfig {
    CpuConfig { threads: 2, kv_type: KvType::F32, kv_tokens: 8192, max_sequences: 8, kernels: None, weights }
}

pub(crate) fn cpu_engine(path: &Path, config: CpuConfig) -> CpuEngine {
    CpuEngine::load(&Checkpoint::open(path).unwrap(), config, &|_, _| {}).unwrap()
}

/// Both engines on a checkpoint.
fn engines(path: &Path, weights: WeightForm) -> [Box<dyn Engine>; 2] {
    [Box::new(engine(path, weights)), Box::new(cpu_engine(path, cpu_config(weights)))]
}

/// How prompts are fed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Feeding {
    Whole,
    Chunks(usize),
    /// All prompts in one mixed batch, in chunks of different size.
    Together,
}

/// The logits of every position of every prompt.
pub(crate) fn run(engine: &mut dyn Engine, prompts: &[Vec<u32>], feeding: Feeding) -> Vec<Vec<f32>> {
    let sequences: Vec<_> = prompts.iter().map(|_| engine.allocate().unwrap()).collect();
    let mut logits = vec![Vec::new(); prompts.len()];
    let groups: Vec<Vec<usize>> = match feeding {
        Feeding::Together => vec![(0..prompts.len()).collect()],
        Feeding::Whole | Feeding::Chunks(_) => (0..prompts.len()).map(|index| vec![index]).collect(),
    };
    for group in groups {
        loop {
            let mut batch = Vec::new();
            let mut members = Vec::new();
            for &index in &group {
                let position = engine.len(sequences[index]).unwrap();
                let rest = &prompts[index][position..];
                let len = match feeding {
                    Feeding::Whole => rest.len(),
                    Feeding::Chunks(size) => rest.len().min(size),
                    Feeding::Together => rest.len().min(2 * index + 3),
                };
                if len > 0 {
                    let tokens = &rest[..len];
                    batch.push(SequenceStep { sequence: sequences[index], position, tokens, logits: LogitsAt::All });
                    members.push(index);
                }
            }
            if batch.is_empty() {
                break;
            }
            for (index, output) in members.into_iter().zip(engine.step(&batch).unwrap()) {
                logits[index].extend_from_slice(output.values());
            }
        }
    }
    sequences.into_iter().for_each(|sequence| engine.free(sequence).unwrap());
    logits
}

pub(crate) fn assert_close(actual: &[Vec<f32>], expected: &[Vec<f32>], label: &str) {
    assert_eq!(actual.len(), expected.len(), "{label}");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert_eq!(actual.len(), expected.len(), "{label}: prompt {index}");
        let largest = expected.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        let limit = 2e-4 * (largest / 10.0).max(1.0);
        let worst = actual.iter().zip(expected).map(|(a, e)| (a - e).abs()).fold(0.0_f32, f32::max);
        assert!(worst <= limit, "{label}: prompt {index} is off by {worst}, the limit is {limit}");
    }
}

pub(crate) fn greedy(engine: &mut dyn Engine, known: &KnownTokens, prompt: &[u32], count: usize) -> Vec<u32> {
    let sequence = engine.allocate().unwrap();
    let mut tokens = Vec::new();
    let mut next = prompt.to_vec();
    while tokens.len() < count {
        let position = engine.len(sequence).unwrap();
        let step = SequenceStep { sequence, position, tokens: &next, logits: LogitsAt::Last };
        let output = engine.step(&[step]).unwrap();
        let token = known.argmax(output[0].last().unwrap()).unwrap();
        tokens.push(token);
        next = vec![token];
    }
    engine.free(sequence).unwrap();
    tokens
}

fn check_against_transformers(directory: &Path) {
    let expected = golden::expected(&directory.join("expected.json"));
    let logits = golden::logits(&directory.join("expected.safetensors"));
    for mut engine in engines(directory, WeightForm::Stored) {
        let engine = engine.as_mut();
        for feeding in [Feeding::Whole, Feeding::Chunks(1), Feeding::Chunks(3), Feeding::Chunks(7), Feeding::Together] {
            let label = format!("{} {} {feeding:?}", engine.description(), directory.display());
            assert_close(&run(engine, &expected.prompts, feeding), &logits, &label);
        }
        let known = KnownTokens::all(engine.architecture().vocab_size);
        for (prompt, greedy_tokens) in expected.prompts.iter().zip(&expected.greedy) {
            assert_eq!(greedy(engine, &known, prompt, greedy_tokens.len()), *greedy_tokens, "{}", engine.description());
        }
    }
}

#[test]
fn transformers_logits_of_the_own_checkpoint() {
    check_against_transformers(&golden::own("tied-f32"));
}

#[test]
fn transformers_logits_of_all_checkpoints() {
    let Some(shared) = golden::shared("golden") else { return };
    for name in ["tied-f32", "k256-f16", "long-bf16"] {
        check_against_transformers(&shared.join(name));
    }
}

pub(crate) fn cosines(actual: &[Vec<f32>], expected: &[Vec<f32>], vocab_size: usize) -> (f64, f64) {
    let rows = actual.iter().flatten().copied().collect::<Vec<_>>();
    let wanted = expected.iter().flatten().copied().collect::<Vec<_>>();
    assert_eq!(rows.len(), wanted.len());
    let cosine = |(a, b): (&[f32], &[f32])| {
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let all: Vec<f64> = rows.chunks(vocab_size).zip(wanted.chunks(vocab_size)).map(cosine).collect();
    (all.iter().copied().fold(1.0, f64::min), all.iter().sum::<f64>() / all.len() as f64)
}

fn check_gguf(directory: &Path, kind: &str) {
    let model = directory.join(format!("model-{kind}.gguf"));
    let prompts = golden::expected(&directory.join("expected.json")).prompts;
    let expected = golden::logits(&directory.join(format!("expected-{kind}.safetensors")));
    for mut widened in engines(&model, WeightForm::Dequantized) {
        assert_close(&run(widened.as_mut(), &prompts, Feeding::Whole), &expected, kind);
    }
    for mut kept in engines(&model, WeightForm::Stored) {
        let kept = kept.as_mut();
        let vocab_size = kept.architecture().vocab_size;
        for feeding in [Feeding::Whole, Feeding::Chunks(3), Feeding::Together] {
            let actual = run(kept, &prompts, feeding);
            let (min, mean) = cosines(&actual, &expected, vocab_size);
            let label = format!("{} {kind} {feeding:?}: {min} {mean}", kept.description());
            match kind {
                "F32" | "F16" | "BF16" => assert_close(&actual, &expected, &label),
                "Q8_0" | "Q4_0" => assert!(min >= 0.998 && mean >= 0.9995, "{label}"),
                _ => assert!(min >= 0.997 && mean >= 0.999, "{label}"),
            }
        }
    }
}

#[test]
fn dequantized_logits_of_the_own_gguf() {
    check_gguf(&golden::own("k256-gguf"), "Q4_K_M");
}

#[test]
fn dequantized_logits_of_every_gguf_type() {
    let Some(shared) = golden::shared("golden/k256-gguf") else { return };
    for kind in ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K"] {
        check_gguf(&shared, kind);
    }
}
