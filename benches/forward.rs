//! A forward pass of a small random model: prefill and decode through the engine trait.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qwen_runtime::{
    CandleConfig, CandleEngine, Checkpoint, ComputeDevice, Engine, LogitsAt, SequenceStep, TokenId, WeightForm,
};

const PROMPT: usize = 128;

fn forward(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    benches::random_model::write(directory.path()).expect("writing the model");
    let checkpoint = Checkpoint::open(directory.path()).expect("the model just written");
    let config =
        CandleConfig { device: ComputeDevice::Cpu, weights: WeightForm::Stored, max_sequences: 16, max_tokens: 16_384 };
    let mut engine = CandleEngine::load(&checkpoint, config, &|_, _| {}).expect("the model just written");
    let prompt: Vec<TokenId> = (0..PROMPT as TokenId).collect();

    let mut group = criterion.benchmark_group("forward");
    group.throughput(Throughput::Elements(PROMPT as u64));
    group.bench_function("prefill 128", |bencher| {
        bencher.iter(|| {
            let sequence = engine.allocate().expect("room");
            let step = SequenceStep { sequence, position: 0, tokens: &prompt, logits: LogitsAt::Last };
            let logits = engine.step(&[step]).expect("a step");
            engine.free(sequence).expect("the sequence");
            logits
        });
    });
    for sequences in [1, 4] {
        let ids: Vec<_> = (0..sequences).map(|_| engine.allocate().expect("room")).collect();
        for &sequence in &ids {
            let step = SequenceStep { sequence, position: 0, tokens: &prompt, logits: LogitsAt::None };
            engine.step(&[step]).expect("a step");
        }
        group.throughput(Throughput::Elements(sequences));
        group.bench_function(format!("decode {sequences} at depth 128"), |bencher| {
            bencher.iter(|| {
                let step =
                    |&sequence| SequenceStep { sequence, position: PROMPT, tokens: &[7], logits: LogitsAt::Last };
                let batch: Vec<_> = ids.iter().map(step).collect();
                let logits = engine.step(&batch).expect("a step");
                ids.iter().for_each(|&sequence| engine.truncate(sequence, PROMPT).expect("the sequence"));
                logits
            });
        });
        ids.into_iter().for_each(|sequence| engine.free(sequence).expect("the sequence"));
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
