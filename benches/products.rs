//! The kernels: products of a matrix with one token and with many, over more data than a last-level cache holds.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use qwen_runtime::{Architecture, CpuMatrix, FileType, LayerTensor, TensorName};

/// Weights of a matrix: 72 MiB in Q4_K.
const WEIGHTS: usize = 1 << 27;
const THREADS: usize = 2;

fn products(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for file_type in [FileType::Q4KM, FileType::Q5KM, FileType::Q6K, FileType::Q8_0, FileType::Q4_0, FileType::F16] {
        // As many columns as the projections of 0.6B have, or those of 4B.
        for columns in [1024, 2560] {
            let architecture = Architecture {
                hidden_size: columns,
                intermediate_size: WEIGHTS / columns / 256 * 256,
                layers: 1,
                vocab_size: 256,
                ..benches::QWEN3_0_6B
            };
            let checkpoint = benches::random_checkpoint(directory.path(), &architecture, file_type);
            let gate = TensorName::Layer(0, LayerTensor::Gate);
            let mut matrix = CpuMatrix::load(&checkpoint, gate, THREADS, None).expect("a matrix");
            let mut group = criterion.benchmark_group(format!("product/{file_type}/{columns} columns"));
            group.sample_size(10).sampling_mode(SamplingMode::Flat);
            for tokens in [1, 2, 4, 8, 128] {
                let x: Vec<f32> = (0..tokens * columns).map(|index| (index as f32 * 0.37).sin()).collect();
                // A few tokens wait for memory, many for the processor.
                group.throughput(match tokens {
                    1..=8 => Throughput::Bytes(matrix.bytes() as u64),
                    _ => Throughput::Elements((WEIGHTS * tokens) as u64),
                });
                group.bench_function(format!("{tokens} tokens"), |bencher| {
                    bencher.iter(|| matrix.multiply(&x).of_token(0).next());
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
