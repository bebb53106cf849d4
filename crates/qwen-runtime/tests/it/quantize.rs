//! Quantized files against what they were made of, and against candle's own quantizer.

use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor, ggml_file};
use candle_core::{Device, Tensor};
use qwen_runtime::{
    ChatTemplate, Checkpoint, Engine, FileType, KnownTokens, LayerTensor, QuantizeOptions, QuantizeReport,
    StoredTensor, StoredType, TensorName, Tokenizer, WeightForm, quantize,
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::logits::{Feeding, assert_close, cosines, engine, greedy, run};
use crate::{golden, second_opinion};

pub(crate) const FILE_TYPES: [FileType; 8] = [
    FileType::F32,
    FileType::BF16,
    FileType::F16,
    FileType::Q8_0,
    FileType::Q6K,
    FileType::Q5KM,
    FileType::Q4KM,
    FileType::Q4_0,
];

/// A config whose rows are whole super-blocks, but for those of the down projection.
fn config() -> Value {
    let mut config = second_opinion::config(4, 2, 64);
    config["hidden_size"] = json!(256);
    config["intermediate_size"] = json!(352);
    config["vocab_size"] = json!(640);
    config
}

/// A whole checkpoint with random weights in `shards` files.
pub(crate) fn write_source(directory: &Path, shards: usize) {
    second_opinion::write_checkpoint(directory, &config(), shards);
    for name in ["tokenizer.json", "generation_config.json"] {
        std::fs::copy(golden::own("tied-f32").join(name), directory.join(name)).unwrap();
    }
    std::fs::copy(golden::own("chat/qwen3-thinking-2507.jinja"), directory.join("chat_template.jinja")).unwrap();
    let tokenizer_config = json!({"eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>"}});
    std::fs::write(directory.join("tokenizer_config.json"), tokenizer_config.to_string()).unwrap();
}

/// Puts `bytes` at the place of a tensor's first value.
pub(crate) fn spoil(directory: &Path, tensor: &str, bytes: [u8; 2]) {
    let path = directory.join("model.safetensors");
    let mut file = std::fs::read(&path).unwrap();
    let at = {
        let tensors = SafeTensors::deserialize(&file).unwrap();
        tensors.tensor(tensor).unwrap().data().as_ptr() as usize - file.as_ptr() as usize
    };
    file[at..at + 2].copy_from_slice(&bytes);
    std::fs::write(path, file).unwrap();
}

fn to_file(source: &Path, target: &Path, file_type: FileType) -> QuantizeReport {
    quantize(source, target, &QuantizeOptions::new(file_type), &|_| {}).unwrap()
}

/// The values of a tensor, decoded by candle.
pub(crate) fn values(stored: &StoredTensor<'_>) -> Vec<f32> {
    let dtype = match stored.dtype {
        StoredType::F32 => GgmlDType::F32,
        StoredType::F16 => GgmlDType::F16,
        StoredType::BF16 => GgmlDType::BF16,
        StoredType::Q4_0 => GgmlDType::Q4_0,
        StoredType::Q8_0 => GgmlDType::Q8_0,
        StoredType::Q4K => GgmlDType::Q4K,
        StoredType::Q5K => GgmlDType::Q5K,
        StoredType::Q6K => GgmlDType::Q6K,
    };
    let shape = stored.shape.clone();
    let tensor = ggml_file::qtensor_from_ggml(dtype, &stored.bytes, shape, &Device::Cpu).unwrap();
    tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn squares(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

#[test]
fn a_file_holds_the_whole_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    let source = Checkpoint::open(directory.path()).unwrap();
    for file_type in FILE_TYPES {
        // Elsewhere, so that nothing beside the file helps.
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("model.gguf");
        let report = to_file(directory.path(), &target, file_type);
        assert_eq!(report.bytes, std::fs::metadata(&target).unwrap().len());
        let file = Checkpoint::open(&target).unwrap();
        // Numbers in a GGUF are single precision.
        assert_eq!(format!("{:.5?}", file.architecture()), format!("{:.5?}", source.architecture()));
        assert_eq!(
            report.types.iter().map(|count| count.tensors).sum::<usize>(),
            source.architecture().tensor_names().count()
        );
        let (mut eos, defaults) = (source.generation_defaults().unwrap(), file.generation_defaults().unwrap());
        eos.eos.sort_unstable();
        assert_eq!(defaults, eos);
        let text = "Why do I take <think>metformin</think>?<|im_end|>";
        let [ours, theirs] = [&file, &source].map(|checkpoint| Tokenizer::of_checkpoint(checkpoint).unwrap());
        assert_eq!(ours.encode(text).unwrap(), theirs.encode(text).unwrap());
        assert_eq!(ours.added_token("<think>"), theirs.added_token("<think>"));
        assert!(
            (0..640).all(|id| ours.bytes_of(id) == theirs.bytes_of(id) && ours.is_special(id) == theirs.is_special(id))
        );
        let chat = qwen_runtime::Chat::new().with_message("user", "Hello");
        let [ours, theirs] = [&file, &source].map(|checkpoint| ChatTemplate::of_checkpoint(checkpoint).unwrap());
        assert_eq!(ours.render(&chat).unwrap(), theirs.render(&chat).unwrap());
    }
}

#[test]
fn tensors_get_the_types_of_the_mix() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    use LayerTensor as L;
    use StoredType as S;
    // Three layers: of those, llama.cpp gives the last one more bits. Rows of 352 are no super-blocks.
    for (file_type, embedding, query, value, last_value, down) in [
        (FileType::F16, S::F16, S::F16, S::F16, S::F16, S::F16),
        (FileType::Q8_0, S::Q8_0, S::Q8_0, S::Q8_0, S::Q8_0, S::Q8_0),
        (FileType::Q6K, S::Q6K, S::Q6K, S::Q6K, S::Q6K, S::Q8_0),
        (FileType::Q5KM, S::Q6K, S::Q5K, S::Q5K, S::Q6K, S::Q8_0),
        (FileType::Q4KM, S::Q6K, S::Q4K, S::Q4K, S::Q6K, S::Q8_0),
        (FileType::Q4_0, S::Q6K, S::Q4_0, S::Q4_0, S::Q4_0, S::Q4_0),
        (FileType::BF16, S::BF16, S::BF16, S::BF16, S::BF16, S::BF16),
        (FileType::F32, S::F32, S::F32, S::F32, S::F32, S::F32),
    ] {
        let target = directory.path().join(format!("{file_type:?}.gguf"));
        to_file(directory.path(), &target, file_type);
        let file = Checkpoint::open(&target).unwrap();
        let dtype = |name| file.tensor(name).unwrap().dtype;
        assert_eq!(dtype(TensorName::Embedding), embedding);
        assert_eq!(dtype(TensorName::OutputNorm), S::F32);
        assert_eq!(dtype(TensorName::Layer(0, L::QueryNorm)), S::F32);
        assert_eq!(dtype(TensorName::Layer(0, L::Query)), query);
        assert_eq!(dtype(TensorName::Layer(0, L::Value)), value);
        assert_eq!(dtype(TensorName::Layer(2, L::Value)), last_value);
        assert_eq!(dtype(TensorName::Layer(2, L::Down)), down);
    }
}

#[test]
fn errors_are_at_most_those_of_candles_quantizer() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    let source = Checkpoint::open(directory.path()).unwrap();
    for (file_type, dtype) in [
        (FileType::Q4KM, GgmlDType::Q4K),
        (FileType::Q5KM, GgmlDType::Q5K),
        (FileType::Q6K, GgmlDType::Q6K),
        (FileType::Q8_0, GgmlDType::Q8_0),
        (FileType::Q4_0, GgmlDType::Q4_0),
    ] {
        let target = directory.path().join(format!("{file_type:?}.gguf"));
        to_file(directory.path(), &target, file_type);
        let file = Checkpoint::open(&target).unwrap();
        for name in [TensorName::Layer(0, LayerTensor::Query), TensorName::Layer(1, LayerTensor::Gate)] {
            let stored = source.tensor(name).unwrap();
            let original = values(&stored);
            let tensor = Tensor::new(original.as_slice(), &Device::Cpu).unwrap().reshape(stored.shape).unwrap();
            let theirs = QTensor::quantize(&tensor, dtype).unwrap().dequantize(&Device::Cpu).unwrap();
            let theirs = squares(&theirs.flatten_all().unwrap().to_vec1::<f32>().unwrap(), &original);
            let ours = squares(&values(&file.tensor(name).unwrap()), &original);
            assert!(ours <= 1.001 * theirs, "{file_type:?} {name:?}: {ours}, candle {theirs}");
        }
    }
}

#[test]
fn shards_make_the_same_file() {
    let files = [1, 3].map(|shards| {
        let directory = tempfile::tempdir().unwrap();
        // The same name, since the file says it.
        let source = directory.path().join("qwen3-tiny");
        std::fs::create_dir(&source).unwrap();
        write_source(&source, shards);
        let target = directory.path().join("model.gguf");
        to_file(&source, &target, FileType::Q4KM);
        std::fs::read(target).unwrap()
    });
    assert!(files[0] == files[1]);
}

#[test]
fn rope_scaling_and_biases_come_through() {
    for scaling in [
        json!({"rope_type": "linear", "factor": 4.0}),
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}),
        json!({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 512, "attention_factor": 1.25,
               "beta_fast": 24.0, "beta_slow": 2.0}),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write_source(directory.path(), 1);
        let mut config = config();
        config["rope_scaling"] = scaling;
        config["attention_bias"] = json!(true);
        config["tie_word_embeddings"] = json!(false);
        second_opinion::write_checkpoint(directory.path(), &config, 1);
        let target = directory.path().join("model.gguf");
        to_file(directory.path(), &target, FileType::Q8_0);
        let [file, source] = [&target, directory.path()].map(|path| Checkpoint::open(path).unwrap());
        // Numbers in a GGUF are single precision.
        assert!((file.architecture().rms_norm_eps - source.architecture().rms_norm_eps).abs() < 1e-12);
        let [file, source] = [file, source].map(|checkpoint| format!("{:.5?}", checkpoint.architecture()));
        assert_eq!(file, source);
    }
}

#[test]
fn half_precision_computes_what_the_source_computes() {
    let directory = tempfile::tempdir().unwrap();
    let source = golden::own("tied-f32");
    let expected = golden::expected(&source.join("expected.json"));
    // The model is tiny, and its rows are two blocks: the error of eight bits shows more than in a real one.
    for (file_type, least) in [(FileType::F16, 0.9999), (FileType::Q8_0, 0.99)] {
        let target = directory.path().join(format!("{file_type:?}.gguf"));
        to_file(&source, &target, file_type);
        let mut engine = engine(&target, WeightForm::Stored);
        let vocab_size = engine.architecture().vocab_size;
        let actual = run(&mut engine, &expected.prompts, Feeding::Whole);
        let (min, _) = cosines(&actual, &golden::logits(&source.join("expected.safetensors")), vocab_size);
        assert!(min >= least, "{file_type:?}: {min}");
        if file_type == FileType::F16 {
            let known = KnownTokens::all(vocab_size);
            for (prompt, tokens) in expected.prompts.iter().zip(&expected.greedy) {
                assert_eq!(greedy(&mut engine, &known, prompt, tokens.len()), *tokens);
            }
        }
    }
}

#[test]
fn a_checkpoint_of_half_floats_loses_nothing_in_a_file_of_them() {
    let Some(source) = golden::shared("golden/k256-f16") else { return };
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("model.gguf");
    to_file(&source, &target, FileType::F16);
    let expected = golden::expected(&source.join("expected.json"));
    let mut engine = engine(&target, WeightForm::Stored);
    let actual = run(&mut engine, &expected.prompts, Feeding::Whole);
    assert_close(&actual, &golden::logits(&source.join("expected.safetensors")), "k256-f16 as F16");
}

#[test]
fn the_engine_computes_with_quantized_files_as_with_their_widened_weights() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    let prompts: Vec<Vec<u32>> = (1..4).map(|k| (0..20 * k).map(|i| (i * 37 + k) % 631).collect()).collect();
    for file_type in FILE_TYPES {
        let target = directory.path().join(format!("{file_type:?}.gguf"));
        to_file(directory.path(), &target, file_type);
        let [kept, widened] = [WeightForm::Stored, WeightForm::Dequantized]
            .map(|weights| run(&mut engine(&target, weights), &prompts, Feeding::Whole));
        let (min, mean) = cosines(&kept, &widened, 640);
        assert!(min >= 0.997 && mean >= 0.999, "{file_type:?}: {min} {mean}");
    }
}
