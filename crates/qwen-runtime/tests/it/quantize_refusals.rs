//! What cannot be quantized, with what it is refused, and that nothing is left behind.

use std::cell::Cell;
use std::path::Path;

use proptest::prelude::*;
use qwen_runtime::{
    Checkpoint, ExistingFile, FileType, LayerTensor, QuantizeOptions, QuantizeReport, RuntimeError, TensorName,
    quantize,
};

use crate::golden;
use crate::quantize::{spoil, write_source};

fn try_to(source: &Path, target: &Path, options: &QuantizeOptions) -> Result<QuantizeReport, RuntimeError> {
    quantize(source, target, options, &|_| {})
}

fn with_importance(file: &Path) -> QuantizeOptions {
    QuantizeOptions { importance: Some(file.to_owned()), ..QuantizeOptions::new(FileType::Q4KM) }
}

/// The older format, with these values.
fn dat(entries: &[(&str, i32, Vec<f32>)]) -> Vec<u8> {
    let mut out = (entries.len() as i32).to_le_bytes().to_vec();
    for (name, calls, values) in entries {
        out.extend((name.len() as i32).to_le_bytes());
        out.extend(name.bytes());
        out.extend(calls.to_le_bytes());
        out.extend((values.len() as i32).to_le_bytes());
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    out.extend(7_i32.to_le_bytes());
    out.extend(5_i32.to_le_bytes());
    out.extend(b"texts");
    out
}

/// The newer format, with sums over `count` terms.
fn gguf(entries: &[(&str, f32, Vec<f32>)]) -> Vec<u8> {
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    let (mut infos, mut data) = (Vec::new(), Vec::new());
    let mut add = |name: String, values: &[f32]| {
        infos.extend((name.len() as u64).to_le_bytes());
        infos.extend(name.bytes());
        infos.extend(2_u32.to_le_bytes());
        infos.extend((values.len() as u64).to_le_bytes());
        infos.extend(1_u64.to_le_bytes());
        infos.extend(0_u32.to_le_bytes());
        infos.extend((data.len() as u64).to_le_bytes());
        data.extend(values.iter().flat_map(|value: &f32| value.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    };
    for (name, count, values) in entries {
        add(format!("{name}.in_sum2"), values);
        add(format!("{name}.counts"), &[*count]);
    }
    out.extend((2 * entries.len() as u64).to_le_bytes());
    out.extend(1_u64.to_le_bytes());
    let key = b"imatrix.chunk_count";
    out.extend((key.len() as u64).to_le_bytes());
    out.extend(key);
    out.extend(4_u32.to_le_bytes());
    out.extend(7_u32.to_le_bytes());
    out.extend(infos);
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
}

fn importance(seed: u32) -> Vec<f32> {
    (0..256_u32).map(|i| ((i * 7919 + seed) % 97) as f32).collect()
}

#[test]
fn both_formats_of_an_importance_matrix_say_the_same() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    let names = ["blk.0.attn_q.weight", "blk.1.ffn_up.weight", "not.of.this.model"];
    let entries = |count: f32| names.map(|name| (name, importance(3).iter().map(|v| v * count).collect::<Vec<_>>()));
    let old = dat(&entries(4.0).map(|(name, values)| (name, 4, values)));
    let new = gguf(&entries(512.0).map(|(name, values)| (name, 512.0, values)));
    let query = TensorName::Layer(0, LayerTensor::Query);
    let tensor = |target: &Path| Checkpoint::open(target).unwrap().tensor(query).unwrap().bytes.to_vec();
    let weighted = [("old.dat", old), ("new.gguf", new)].map(|(name, bytes)| {
        let file = directory.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let target = directory.path().join(format!("{name}.q4.gguf"));
        let report = try_to(directory.path(), &target, &with_importance(&file)).unwrap();
        assert_eq!(report.weighted_tensors, 2);
        tensor(&target)
    });
    assert!(weighted[0] == weighted[1]);
    let target = directory.path().join("plain.gguf");
    try_to(directory.path(), &target, &QuantizeOptions::new(FileType::Q4KM)).unwrap();
    assert!(tensor(&target) != weighted[0]);
}

#[test]
fn an_importance_matrix_that_lies_is_named() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    let q = "blk.0.attn_q.weight";
    let mut negative = importance(1);
    negative[9] = -1.0;
    let mut nan = importance(1);
    nan[9] = f32::NAN;
    let whole = dat(&[(q, 1, importance(1))]);
    let mut cases = vec![
        ("nothing", Vec::new()),
        ("no entries", dat(&[])),
        ("another model", dat(&[("blk.99.attn_q.weight", 1, importance(1))])),
        ("another size", dat(&[(q, 1, vec![1.0; 255])])),
        ("no values", dat(&[(q, 1, vec![])])),
        ("negative", dat(&[(q, 1, negative.clone())])),
        ("not a number", dat(&[(q, 1, nan.clone())])),
        ("lying count", [1_i32.to_le_bytes(), i32::MAX.to_le_bytes()].concat()),
        ("negative length", [1_i32.to_le_bytes(), (-1_i32).to_le_bytes()].concat()),
        ("gguf: no entries", gguf(&[])),
        ("gguf: negative", gguf(&[(q, 1.0, negative)])),
        ("gguf: not a number", gguf(&[(q, 1.0, nan)])),
        ("gguf: another size", gguf(&[(q, 1.0, vec![1.0; 64])])),
        ("a model", std::fs::read(golden::own("k256-gguf/model-Q4_K_M.gguf")).unwrap()),
    ];
    cases.extend([3, 10, 30, 600].map(|len| ("cut off", whole[..len].to_vec())));
    for (label, bytes) in cases {
        let file = directory.path().join("bad.imatrix");
        std::fs::write(&file, bytes).unwrap();
        let target = directory.path().join("never.gguf");
        let error = try_to(directory.path(), &target, &with_importance(&file)).unwrap_err();
        assert!(matches!(&error, RuntimeError::InvalidImportance { .. }), "{label}: {error}");
    }
    let absent = with_importance(&directory.path().join("absent"));
    let error = try_to(directory.path(), &directory.path().join("never.gguf"), &absent).unwrap_err();
    assert!(matches!(error, RuntimeError::Io { .. }), "{error}");
    assert_no_gguf(directory.path());
}

#[track_caller]
fn assert_no_gguf(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains(".gguf"), "{name} is left");
    }
}

#[test]
fn weights_that_a_type_cannot_hold_are_named() {
    for (bits, file_type, named) in [
        (0x7fc0_u16, FileType::Q4KM, "finite"), // NaN
        (0x7f80, FileType::Q8_0, "finite"),     // infinity
        (0xff80, FileType::F16, "finite"),
        (0x7f00, FileType::Q6K, "too large"), // 1.7e38
        (0x4880, FileType::F16, "too large"), // 262,144
    ] {
        let directory = tempfile::tempdir().unwrap();
        write_source(directory.path(), 1);
        spoil(directory.path(), "model.layers.1.mlp.up_proj.weight", bits.to_le_bytes());
        let error = try_to(directory.path(), &directory.path().join("a.gguf"), &QuantizeOptions::new(file_type));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("blk.1.ffn_up.weight") && error.contains(named), "{error}");
        assert_no_gguf(directory.path());
    }
}

#[test]
fn a_source_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("a.gguf");
    let options = QuantizeOptions::new(FileType::Q8_0);
    let error = try_to(&golden::own("k256-gguf/model-Q4_K_M.gguf"), &target, &options).unwrap_err();
    assert!(matches!(&error, RuntimeError::UnsupportedCheckpoint { reason, .. } if reason.contains("GGUF")), "{error}");
    let error = try_to(&directory.path().join("absent"), &target, &options).unwrap_err();
    assert!(matches!(error, RuntimeError::Io { .. }), "{error}");
    assert_no_gguf(directory.path());
    // No tokenizer, then one of another kind.
    write_source(directory.path(), 1);
    let tokenizer = directory.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&tokenizer).unwrap();
    std::fs::remove_file(&tokenizer).unwrap();
    assert!(matches!(try_to(directory.path(), &target, &options), Err(RuntimeError::Io { .. })));
    std::fs::write(&tokenizer, text.replace("'re|'ve", "'re")).unwrap();
    let error = try_to(directory.path(), &target, &options).unwrap_err();
    assert!(matches!(&error, RuntimeError::UnsupportedCheckpoint { .. }), "{error}");
    assert_no_gguf(directory.path());
}

#[test]
fn a_file_that_is_there_stays_unless_it_may_go() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 1);
    let target = directory.path().join("a.gguf");
    std::fs::write(&target, "precious").unwrap();
    let mut options = QuantizeOptions::new(FileType::Q8_0);
    assert!(matches!(try_to(directory.path(), &target, &options), Err(RuntimeError::TargetExists { .. })));
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    options.existing = ExistingFile::Replace;
    try_to(directory.path(), &target, &options).unwrap();
    assert!(Checkpoint::open(&target).is_ok());
    let nowhere = directory.path().join("absent/a.gguf");
    assert!(matches!(try_to(directory.path(), &nowhere, &options), Err(RuntimeError::Write { .. })));
}

#[test]
fn progress_goes_from_nothing_to_all() {
    let directory = tempfile::tempdir().unwrap();
    write_source(directory.path(), 2);
    let (last, total) = (Cell::new(0), Cell::new(0));
    let report =
        quantize(directory.path(), &directory.path().join("a.gguf"), &QuantizeOptions::new(FileType::Q8_0), &|now| {
            assert!(now.done > last.get() && now.done <= now.total, "{now:?}");
            assert!(now.tensor_done > 0 && now.tensor_done <= now.tensor_total, "{now:?}");
            last.set(now.done);
            total.set(now.total);
        });
    assert_eq!((last.get(), total.get()), (total.get(), report.unwrap().weights * 2), "two bytes for each weight");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn mutated_importance_never_panics(
        changes in prop::collection::vec((0_usize..1200, any::<u8>()), 1..5), cut in prop::option::of(0_usize..1300)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let entries = [("blk.0.attn_q.weight", importance(1)), ("blk.0.attn_k.weight", importance(2))];
        let old = dat(&entries.clone().map(|(name, values)| (name, 2, values)));
        let new = gguf(&entries.map(|(name, values)| (name, 2.0, values)));
        for mut bytes in [old, new] {
            for (at, byte) in &changes {
                bytes[*at] = *byte;
            }
            bytes.truncate(cut.unwrap_or(bytes.len()));
            let file = directory.path().join("imatrix");
            std::fs::write(&file, bytes).unwrap();
            // The smallest checkpoint, whose columns no entry fits: reading is what is tried.
            let _ = try_to(&golden::own("tied-f32"), &directory.path().join("a.gguf"), &with_importance(&file));
        }
    }
}
