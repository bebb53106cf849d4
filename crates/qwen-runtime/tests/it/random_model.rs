//! Models of random weights: every type is a whole checkpoint, with finite logits.

use std::path::Path;

use qwen_runtime::{
    Architecture, AttentionBias, Checkpoint, Engine, ExistingFile, FileType, HeadWeights, LayerTensor, LogitsAt,
    RandomModelOptions, Rope, RopeScaling, RuntimeError, SequenceStep, TensorName, Tokenizer, WeightForm, random_model,
};

use crate::golden;
use crate::logits::engine;
use crate::quantize::{FILE_TYPES, values};

fn architecture() -> Architecture {
    Architecture {
        hidden_size: 256,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        // No whole number of super-blocks.
        intermediate_size: 352,
        vocab_size: 640,
        rms_norm_eps: 1e-6,
        max_context: 512,
        rope: Rope { theta: 1e6, scaling: RopeScaling::None },
        head: HeadWeights::Tied,
        attention_bias: AttentionBias::Absent,
    }
}

fn options(file_type: FileType) -> RandomModelOptions {
    RandomModelOptions { file_type, existing: ExistingFile::Keep, seed: 1, name: "random".to_owned(), tokenizer: None }
}

fn write(target: &Path, options: &RandomModelOptions) -> Result<(), RuntimeError> {
    random_model(&architecture(), target, options, &|_, _| {})
}

#[test]
fn every_type_is_a_checkpoint_with_finite_logits() {
    let directory = tempfile::tempdir().unwrap();
    for file_type in FILE_TYPES {
        let target = directory.path().join(format!("{file_type:?}.gguf"));
        write(&target, &options(file_type)).unwrap();
        let checkpoint = Checkpoint::open(&target).unwrap();
        // Numbers in a GGUF are single precision.
        assert_eq!(format!("{:.5?}", checkpoint.architecture()), format!("{:.5?}", architecture()));
        let gate = values(&checkpoint.tensor(TensorName::Layer(1, LayerTensor::Gate)).unwrap());
        let (count, sum) = (gate.len() as f32, gate.iter().sum::<f32>());
        let deviation = (gate.iter().map(|value| value * value).sum::<f32>() / count).sqrt();
        assert!((sum / count).abs() < 1e-3 && (deviation - 0.02).abs() < 1e-3, "{file_type:?}: {deviation}");
        let mut engine = engine(&target, WeightForm::Stored);
        let sequence = engine.allocate().unwrap();
        let tokens = [3, 639, 0, 77];
        let step = SequenceStep { sequence, position: 0, tokens: &tokens, logits: LogitsAt::All };
        let logits = engine.step(&[step]).unwrap();
        assert!(logits[0].values().iter().all(|value| value.is_finite()), "{file_type:?}");
        assert!(logits[0].values().iter().any(|value| value.abs() > 0.1), "{file_type:?}");
    }
}

#[test]
fn equal_seeds_make_equal_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, seed| {
        let target = directory.path().join(name);
        write(&target, &RandomModelOptions { seed, ..options(FileType::Q4KM) }).unwrap();
        std::fs::read(target).unwrap()
    };
    let first = file("a", 5);
    assert!(first == file("b", 5));
    assert!(first != file("c", 6));
}

#[test]
fn a_tokenizer_goes_into_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("model.gguf");
    let source = golden::own("tied-f32");
    write(&target, &RandomModelOptions { tokenizer: Some(source.clone()), ..options(FileType::Q8_0) }).unwrap();
    let ours = Tokenizer::of_checkpoint(&Checkpoint::open(&target).unwrap()).unwrap();
    let theirs = Tokenizer::from_file(&source.join("tokenizer.json")).unwrap();
    let text = "Why do I take metformin?<|im_end|>";
    assert_eq!(ours.encode(text).unwrap(), theirs.encode(text).unwrap());
}

#[test]
fn what_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("model.gguf");
    let refused = |architecture: &Architecture, options: &RandomModelOptions| {
        random_model(architecture, &target, options, &|_, _| {}).unwrap_err()
    };
    let odd = Architecture { head_dim: 63, ..architecture() };
    assert!(matches!(refused(&odd, &options(FileType::F16)), RuntimeError::InvalidCheckpoint { .. }));
    let small = Architecture { vocab_size: 100, ..architecture() };
    let with_tokenizer = RandomModelOptions { tokenizer: Some(golden::own("tied-f32")), ..options(FileType::F16) };
    assert!(refused(&small, &with_tokenizer).to_string().contains("no row among the embedding's 100"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing stays behind");
    std::fs::write(&target, b"precious").unwrap();
    assert!(matches!(refused(&architecture(), &options(FileType::F16)), RuntimeError::TargetExists { .. }));
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
}
