//! Checkpoints that are quantized while they are loaded, against the files that the quantizer writes.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use qwen_runtime::{
    CandleConfig, CandleEngine, Checkpoint, ComputeDevice, CpuConfig, CpuEngine, FileType, QuantizeOptions,
    RuntimeError, WeightForm, quantize,
};
use serde_json::json;

use crate::logits::{Feeding, cpu_config, cpu_engine, run};
use crate::quantize::{FILE_TYPES, spoil, write_source};
use crate::{golden, second_opinion};

/// The logits of some prompts, as bits.
fn logits(path: &Path, config: CpuConfig) -> Vec<Vec<u32>> {
    let prompts = [(0..40).map(|index| index * 7 % 320).collect(), vec![5, 300, 2]];
    let logits = run(&mut cpu_engine(path, config), &prompts, Feeding::Whole);
    logits.iter().map(|row| row.iter().map(|value| value.to_bits()).collect()).collect()
}

fn to_file(source: &Path, target: &Path, file_type: FileType) -> PathBuf {
    quantize(source, target, &QuantizeOptions::new(file_type), &|_| {}).unwrap();
    target.to_owned()
}

/// Loaded as each type, the checkpoint computes what the file of that type computes.
#[track_caller]
fn computes_what_its_files_compute(source: &Path) {
    let directory = tempfile::tempdir().unwrap();
    for file_type in FILE_TYPES {
        let file = to_file(source, &directory.path().join(format!("{file_type:?}.gguf")), file_type);
        let expected = logits(&file, cpu_config(WeightForm::Stored));
        for threads in [1, 3] {
            let config = CpuConfig { threads, ..cpu_config(WeightForm::Quantized(file_type)) };
            assert!(logits(source, config) == expected, "{} {file_type:?} {threads}", source.display());
        }
    }
}

#[test]
fn a_checkpoint_of_any_plain_type_computes_what_its_files_compute() {
    // BF16, and rows of 352 that are no super-blocks.
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 2);
    computes_what_its_files_compute(directory.path());
    // F32, and rows that are a few small blocks.
    computes_what_its_files_compute(&golden::own("tied-f32"));
    if let Some(shared) = golden::shared("golden/k256-f16") {
        computes_what_its_files_compute(&shared);
    }
}

#[test]
fn rows_that_no_block_fills_and_an_untied_head_follow_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    let mut config = second_opinion::config(4, 2, 32);
    config["vocab_size"] = json!(648);
    config["tie_word_embeddings"] = json!(false);
    config["attention_bias"] = json!(true);
    second_opinion::write_checkpoint(directory.path(), &config, 1);
    computes_what_its_files_compute(directory.path());
}

#[test]
fn a_file_of_plain_numbers_is_a_source_too() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    let file = |file_type| to_file(directory.path(), &directory.path().join(format!("{file_type:?}.gguf")), file_type);
    let expected = logits(&file(FileType::Q4KM), cpu_config(WeightForm::Stored));
    for plain in [FileType::F32, FileType::BF16] {
        assert!(logits(&file(plain), cpu_config(WeightForm::Quantized(FileType::Q4KM))) == expected, "{plain:?}");
    }
}

#[test]
fn what_is_quantized_already_stays_as_it_is() {
    let file = golden::own("k256-gguf/model-Q4_K_M.gguf");
    let expected = logits(&file, cpu_config(WeightForm::Stored));
    for file_type in [FileType::Q8_0, FileType::F32] {
        assert!(logits(&file, cpu_config(WeightForm::Quantized(file_type))) == expected, "{file_type:?}");
    }
    assert!(logits(&file, cpu_config(WeightForm::Dequantized)) != expected, "the logits show the form");
}

#[test]
fn weights_that_a_type_cannot_hold_are_named() {
    for (bits, file_type, named) in [
        (0x7fc0_u16, FileType::Q4KM, "finite"),
        (0x7f00, FileType::Q6K, "too large"),
        (0xff80, FileType::F16, "finite"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write_source(directory.path(), 1);
        spoil(directory.path(), "model.layers.1.mlp.up_proj.weight", bits.to_le_bytes());
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        let config = cpu_config(WeightForm::Quantized(file_type));
        let error = CpuEngine::load(&checkpoint, config, &|_, _| {}).unwrap_err().to_string();
        assert!(error.contains("blk.1.ffn_up.weight") && error.contains(named), "{error}");
    }
}

#[test]
fn candle_refuses_what_it_does_not_do() {
    let checkpoint = Checkpoint::open(&golden::own("tied-f32")).unwrap();
    let config = CandleConfig {
        devices: ComputeDevice::Cpu.into(),
        weights: WeightForm::Quantized(FileType::Q8_0),
        max_sequences: 1,
        max_tokens: 16,
    };
    let error = CandleEngine::load(&checkpoint, config, &|_, _| {}).unwrap_err();
    assert!(matches!(&error, RuntimeError::InvalidParameter { name: "weights", .. }), "{error}");
}

#[test]
fn progress_goes_from_nothing_to_all_the_bytes_of_the_matrices() {
    let source = golden::own("tied-f32");
    let checkpoint = Checkpoint::open(&source).unwrap();
    let tensors = checkpoint.architecture().tensor_names().map(|name| checkpoint.tensor(name).unwrap());
    let bytes: usize = tensors.filter(|stored| stored.shape.len() == 2).map(|stored| stored.bytes.len()).sum();
    for form in [WeightForm::Stored, WeightForm::Quantized(FileType::Q4KM)] {
        let heard = RefCell::new(Vec::new());
        CpuEngine::load(&checkpoint, cpu_config(form), &|done, total| heard.borrow_mut().push((done, total))).unwrap();
        let heard = heard.into_inner();
        assert_eq!((heard[0], heard[heard.len() - 1]), ((0, bytes), (bytes, bytes)));
        assert!(heard.is_sorted() && heard.len() > checkpoint.architecture().layers, "{heard:?}");
    }
}
