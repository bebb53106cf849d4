//! What the cpu engine promises beyond every engine's contract: the same bits however it computes,
//! and blocks that are shared, copied and found again.

use std::path::Path;

use qwen_runtime::{
    Checkpoint, CpuConfig, CpuEngine, CpuMatrix, Engine, KernelSet, KvType, LayerTensor, LogitsAt, RuntimeError,
    SequenceStep, TensorName, WeightForm,
};

use crate::golden;
use crate::logits::{Feeding, cosines, cpu_config, cpu_engine, run};

/// Prompts of several blocks, the second beginning as the first does.
fn prompts() -> Vec<Vec<u32>> {
    let long: Vec<u32> = (0..150_u32).map(|index| (index * 37 + 11) % 600).collect();
    let like_it = [&long[..70], &[599, 1, 2, 3]].concat();
    vec![long, like_it, vec![7], vec![5; 33]]
}

fn bits(logits: &[Vec<f32>]) -> Vec<Vec<u32>> {
    logits.iter().map(|row| row.iter().map(|value| value.to_bits()).collect()).collect()
}

fn same_bits_however(path: &Path, kv_type: KvType) {
    let base = CpuConfig { kv_type, threads: 1, ..cpu_config(WeightForm::Stored) };
    let expected = bits(&run(&mut cpu_engine(path, base), &prompts(), Feeding::Whole));
    for kernels in KernelSet::available() {
        for threads in [1, 2, 5] {
            let mut engine = cpu_engine(path, CpuConfig { threads, kernels: Some(kernels), ..base });
            for feeding in [Feeding::Whole, Feeding::Chunks(1), Feeding::Chunks(19), Feeding::Together] {
                let actual = bits(&run(&mut engine, &prompts(), feeding));
                assert!(actual == expected, "{kernels} {threads} threads {kv_type} {feeding:?} {}", path.display());
            }
        }
    }
}

#[test]
fn the_same_bits_on_any_kernels_threads_chunks_and_company() {
    for path in [golden::own("tied-f32"), golden::own("k256-gguf/model-Q4_K_M.gguf")] {
        same_bits_however(&path, KvType::F16);
        same_bits_however(&path, KvType::F32);
        same_bits_however(&path, KvType::Q8_0);
    }
}

#[test]
fn the_same_bits_when_threads_share_a_long_sequence() {
    // Tokens one at a time, beyond a span of 1024 positions, so that spans are tasks of their own.
    let long: Vec<u32> = (0..1040_u32).map(|index| (index * 37 + 11) % 600).collect();
    let prompts = [long, vec![9; 40]];
    let path = golden::own("tied-f32");
    let base = CpuConfig { kv_type: KvType::F16, threads: 1, ..cpu_config(WeightForm::Stored) };
    let expected = bits(&run(&mut cpu_engine(&path, base), &prompts, Feeding::Whole));
    for kernels in KernelSet::available() {
        for (threads, feeding) in [(1, Feeding::Chunks(1)), (3, Feeding::Chunks(1)), (5, Feeding::Together)] {
            let mut engine = cpu_engine(&path, CpuConfig { threads, kernels: Some(kernels), ..base });
            let actual = bits(&run(&mut engine, &prompts, feeding));
            assert!(actual == expected, "{kernels} {threads} threads {feeding:?}");
        }
    }
}

#[test]
fn fewer_bits_in_the_cache_change_little() {
    let path = golden::own("tied-f32");
    let expected = golden::expected(&path.join("expected.json"));
    let logits = golden::logits(&path.join("expected.safetensors"));
    for (kv_type, least) in [(KvType::F16, 0.99999), (KvType::Q8_0, 0.9993)] {
        let config = CpuConfig { kv_type, ..cpu_config(WeightForm::Stored) };
        let mut engine = cpu_engine(&path, config);
        let vocab_size = engine.architecture().vocab_size;
        let (min, _) = cosines(&run(&mut engine, &expected.prompts, Feeding::Whole), &logits, vocab_size);
        assert!(min >= least, "{kv_type} {min}");
    }
}

/// The last logits of a prompt whose first `done` tokens the engine has.
fn last(engine: &mut CpuEngine, sequence: qwen_runtime::SequenceId, tokens: &[u32]) -> Vec<u32> {
    let position = engine.len(sequence).unwrap();
    let step = SequenceStep { sequence, position, tokens, logits: LogitsAt::Last };
    let logits = engine.step(&[step]).unwrap().remove(0);
    logits.last().unwrap().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_prompt_begins_where_an_earlier_one_left_blocks() {
    let mut engine = cpu_engine(&golden::own("tied-f32"), cpu_config(WeightForm::Stored));
    let prompts = prompts();
    let first = engine.allocate().unwrap();
    last(&mut engine, first, &prompts[0]);
    let alone = engine.allocate().unwrap();
    let expected = last(&mut engine, alone, &prompts[1]);
    // While the first is there, and after it has gone.
    for _ in 0..2 {
        let (resumed, cached) = engine.resume(&prompts[1]).unwrap();
        assert_eq!(cached, 64);
        assert_eq!(last(&mut engine, resumed, &prompts[1][cached..]), expected);
        engine.free(resumed).unwrap();
        if engine.len(first).is_ok() {
            engine.free(first).unwrap();
        }
    }
    // Two go their own ways from a shared block that is half full.
    let fork = engine.fork(alone, 70).unwrap();
    engine.truncate(alone, 70).unwrap();
    last(&mut engine, fork, &[1, 2, 3]);
    assert_eq!(last(&mut engine, alone, &prompts[1][70..]), expected);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let checkpoint = Checkpoint::open(&golden::own("tied-f32")).unwrap();
    let good = cpu_config(WeightForm::Stored);
    for bad in [
        CpuConfig { threads: 0, ..good },
        CpuConfig { threads: 5000, ..good },
        CpuConfig { kv_tokens: 0, ..good },
        CpuConfig { max_sequences: 0, ..good },
    ] {
        let error = CpuEngine::load(&checkpoint, bad, &|_, _| {}).unwrap_err();
        assert!(matches!(error, RuntimeError::InvalidParameter { .. }), "{error}");
    }
    assert!("avx9".parse::<KernelSet>().is_err());
    assert!("q4".parse::<KvType>().is_err());
}

#[test]
fn a_matrix_alone_multiplies_every_token() {
    let checkpoint = Checkpoint::open(&golden::own("tied-f32")).unwrap();
    let name = TensorName::Layer(0, LayerTensor::Gate);
    let stored = checkpoint.tensor(name).unwrap();
    let weights: Vec<f32> = stored.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    for kernels in KernelSet::available() {
        let mut matrix = CpuMatrix::load(&checkpoint, name, 2, Some(kernels)).unwrap();
        let [rows, columns] = matrix.shape();
        assert_eq!(([rows, columns], matrix.bytes() >= 4 * rows * columns), ([stored.shape[0], stored.shape[1]], true));
        for tokens in [1, 3, 70] {
            let x: Vec<f32> = (0..tokens * columns).map(|index| (index as f32 * 0.37).sin()).collect();
            let products = matrix.multiply(&x);
            for (token, x) in x.chunks_exact(columns).enumerate() {
                let expected =
                    weights.chunks_exact(columns).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>());
                let actual: Vec<f32> = products.of_token(token).collect();
                assert_eq!(actual.len(), rows);
                assert!(expected.zip(actual).all(|(expected, actual)| (expected - actual).abs() < 1e-4), "{kernels}");
            }
        }
    }
    let vector = CpuMatrix::load(&checkpoint, TensorName::OutputNorm, 2, None).unwrap_err();
    assert!(matches!(vector, RuntimeError::InvalidParameter { .. }), "{vector}");
}
