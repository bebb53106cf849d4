//! The choice of a token out of Qwen3's 151,936 logits.

use criterion::{Criterion, criterion_group, criterion_main};
use qwen_runtime::{KnownTokens, Sampler, SamplingOptions, TokenHistory};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

const VOCAB: usize = 151_936;

fn sampling(criterion: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // A sum of uniform numbers is nearly normal, as logits are.
    let logits: Vec<f32> =
        (0..VOCAB).map(|_| (0..6).map(|_| rng.next_u32() as f32 / u32::MAX as f32 - 0.5).sum::<f32>() * 6.0).collect();
    let history = TokenHistory::of_prompt(&(0..1000).collect::<Vec<_>>());
    let options = |temperature, top_k, top_p| SamplingOptions {
        temperature: Some(temperature),
        top_k: Some(top_k),
        top_p: Some(top_p),
        seed: Some(1),
        ..SamplingOptions::default()
    };
    let mut group = criterion.benchmark_group("sampling");
    for (name, options) in [
        ("greedy", options(0.0, 0, 1.0)),
        ("qwen3 (top-k 20, top-p 0.95)", options(0.6, 20, 0.95)),
        ("carepath (top-p 0.9)", options(0.7, 0, 0.9)),
        ("penalties", SamplingOptions { presence_penalty: Some(1.5), ..options(0.6, 20, 0.95) }),
    ] {
        let params = options.validate().expect("the options are valid");
        let mut sampler = Sampler::new(params, KnownTokens::all(VOCAB));
        group.bench_function(name, |bencher| bencher.iter(|| sampler.sample(&logits, &history, &[])));
    }
    group.finish();
}

criterion_group!(benches, sampling);
criterion_main!(benches);
