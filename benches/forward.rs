//! A forward pass of random weights in the shape of Qwen3-0.6B, Q4_K_M: prefill and decode through the engine trait.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use qwen_runtime::{
    CandleConfig, CandleEngine, Checkpoint, ComputeDevice, CpuConfig, CpuEngine, Engine, FileType, LogitsAt,
    SequenceStep, TokenId, WeightForm,
};

const PROMPT: usize = 128;
const MAX_SEQUENCES: usize = 8;
const DEEP: usize = 4096;

fn cpu(checkpoint: &Checkpoint) -> CpuEngine {
    let config =
        CpuConfig { kv_tokens: MAX_SEQUENCES * 1024 + DEEP, max_sequences: MAX_SEQUENCES, ..CpuConfig::default() };
    CpuEngine::load(checkpoint, config, &|_, _| {}).expect("the model just written")
}

fn candle(checkpoint: &Checkpoint) -> CandleEngine {
    let config = CandleConfig {
        devices: ComputeDevice::Cpu.into(),
        weights: WeightForm::Stored,
        max_sequences: MAX_SEQUENCES,
        max_tokens: MAX_SEQUENCES * 1024 + DEEP,
    };
    CandleEngine::load(checkpoint, config, &|_, _| {}).expect("the model just written")
}

/// Tokens one after another, beside as many sequences, each `depth` tokens long already.
fn decode(criterion: &mut Criterion, (name, engine): (&str, &mut dyn Engine), sequences: usize, depth: usize) {
    let prompt: Vec<TokenId> = (0..depth as TokenId).collect();
    let ids: Vec<_> = (0..sequences).map(|_| engine.allocate().expect("room")).collect();
    for &sequence in &ids {
        for (index, tokens) in prompt.chunks(PROMPT).enumerate() {
            let step = SequenceStep { sequence, position: index * PROMPT, tokens, logits: LogitsAt::None };
            engine.step(&[step]).expect("a step");
        }
    }
    let mut group = criterion.benchmark_group(format!("decode/{name}"));
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(sequences as u64));
    group.bench_function(format!("{sequences} at depth {depth}"), |bencher| {
        bencher.iter(|| {
            let step = |&sequence| SequenceStep { sequence, position: depth, tokens: &[7], logits: LogitsAt::Last };
            let batch: Vec<_> = ids.iter().map(step).collect();
            let logits = engine.step(&batch).expect("a step");
            ids.iter().for_each(|&sequence| engine.truncate(sequence, depth).expect("the sequence"));
            logits
        });
    });
    group.finish();
    ids.into_iter().for_each(|sequence| engine.free(sequence).expect("the sequence"));
}

fn prefill(criterion: &mut Criterion, name: &str, engine: &mut dyn Engine) {
    let prompt: Vec<TokenId> = (0..PROMPT as TokenId).collect();
    let mut group = criterion.benchmark_group(format!("prefill/{name}"));
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(PROMPT as u64));
    group.bench_function(format!("{PROMPT}"), |bencher| {
        bencher.iter(|| {
            let sequence = engine.allocate().expect("room");
            let step = SequenceStep { sequence, position: 0, tokens: &prompt, logits: LogitsAt::Last };
            let logits = engine.step(&[step]).expect("a step");
            engine.free(sequence).expect("the sequence");
            logits
        });
    });
    group.finish();
}

fn measure(criterion: &mut Criterion, name: &str, engine: &mut dyn Engine) {
    prefill(criterion, name, engine);
    for sequences in [1, 4, MAX_SEQUENCES] {
        decode(criterion, (name, engine), sequences, PROMPT);
    }
    decode(criterion, (name, engine), 1, DEEP);
}

fn forward(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let checkpoint = benches::random_checkpoint(directory.path(), &benches::QWEN3_0_6B, FileType::Q4KM);
    measure(criterion, "cpu", &mut cpu(&checkpoint));
    measure(criterion, "candle", &mut candle(&checkpoint));
}

criterion_group!(benches, forward);
criterion_main!(benches);
