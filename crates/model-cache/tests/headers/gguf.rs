//! The rules of GGUF headers, one by one.

use std::fs;
use std::path::Path;

use model_cache::Problem;
use model_cache::header::check_gguf;

use crate::sample::{Gguf, array, text};
use crate::{assert_malformed, gguf_problem, safetensors_problem, sample};

fn with_value(key: &str, kind: u32, value: &[u8]) -> Option<Problem> {
    gguf_problem(&Gguf::default().value(key, kind, value).header())
}

fn with_tensor(dimensions: &[u64], kind: u32, offset: u64) -> Option<Problem> {
    gguf_problem(&Gguf::default().tensor("a", dimensions, kind, offset).file(32, 64))
}

#[test]
fn right_headers_are_right() {
    assert_eq!(gguf_problem(&sample::every_type_file()), None);
    assert_eq!(gguf_problem(&Gguf::default().header()), None);
    let mut older = sample::every_type_file();
    older[4] = 2;
    assert_eq!(gguf_problem(&older), None);
    for (dimensions, kind) in [(&[][..], 0), (&[0, u64::MAX], 0), (&[16], 0), (&[32, 1, 1, 3], 2), (&[5], 999)] {
        assert_eq!(with_tensor(dimensions, kind, 0), None, "{dimensions:?} of type {kind}");
    }
}

#[test]
fn real_files_are_right() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../qwen-runtime/tests/golden");
    assert_eq!(gguf_problem(&fs::read(golden.join("k256-gguf/model-Q4_K_M.gguf")).unwrap()), None);
    assert_eq!(safetensors_problem(&fs::read(golden.join("tied-f32/model.safetensors")).unwrap()), None);
}

#[test]
fn a_file_is_as_long_as_its_tensors_need_or_longer() {
    let file = sample::every_type_file();
    let expected = file.len() as u64;
    for actual in [file.len() - 1, file.len() - 80] {
        let problem = gguf_problem(&file[..actual]);
        assert_eq!(problem, Some(Problem::Length { expected, actual: actual as u64 }));
    }
    assert_eq!(gguf_problem(&[file.as_slice(), b"padding"].concat()), None);
    let expected = Gguf::default().tensor("a", &[], 999, 0).file(32, 1 << 20).len() as u64;
    let actual = expected - (1 << 20) + 64;
    assert_eq!(with_tensor(&[5], 999, 1 << 20), Some(Problem::Length { expected, actual }));
    let end = u64::MAX - 31;
    assert_malformed(with_tensor(&[5], 999, end), "beyond any file");
    assert_malformed(with_tensor(&[32], 0, end), "beyond any file");
}

#[test]
fn other_files_are_malformed() {
    for (file, word) in [
        (b"GGML\x03\0\0\0".as_slice(), "begin"),
        (b"<html></html>", "begin"),
        (b"GGUF\x01\0\0\0", "version 1"),
        (b"GGUF\x04\0\0\0", "version 4"),
        (b"GGUF\0\0\0\x03", "version 50331648"),
    ] {
        assert_malformed(gguf_problem(file), word);
    }
}

#[test]
fn counts_are_judged_by_what_the_file_can_hold() {
    for place in [8, 16] {
        for (count, is_possible) in [(1_u64, true), (1 << 20, true), (1 << 40, false), (u64::MAX, false)] {
            let mut file = Gguf::default().header();
            file[place..place + 8].copy_from_slice(&count.to_le_bytes());
            match gguf_problem(&file) {
                Some(Problem::Length { actual: 24, .. }) => assert!(is_possible),
                problem => assert_malformed(problem, "number"),
            }
        }
    }
    let long = [&1_000_000_000_000_u64.to_le_bytes(), b"abc".as_slice()].concat();
    assert_malformed(with_value("a", 8, &long), "text: 1000000000000");
    let array = [&8_u32.to_le_bytes(), u64::MAX.to_le_bytes().as_slice()].concat();
    assert_malformed(with_value("a", 9, &array), "array");
    let kinds = [4_u32.to_le_bytes().as_slice(), &(u64::MAX / 4).to_le_bytes()].concat();
    assert_malformed(with_value("a", 9, &kinds), "array");
    let lying = check_gguf(Gguf::default().tensor("a", &[], 0, 0).header().split_at(40).0, 1 << 40).unwrap_err();
    assert_eq!(lying.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn keys_and_values_keep_their_rules() {
    assert_malformed(with_value("", 10, &[0; 8]), "key of 0");
    assert_malformed(with_value("schlüssel", 0, &[0]), "ASCII");
    assert_malformed(with_value("general.älignmen", 0, &[0]), "ASCII");
    assert_eq!(with_value(&"a".repeat(65_535), 0, &[0]), None);
    assert_malformed(with_value(&"a".repeat(65_536), 0, &[0]), "key of 65536");
    assert_malformed(with_value("a", 13, &[0; 8]), "type 13");
    assert_malformed(with_value("a", 9, &array(13, &[vec![0; 8]])), "type 13");
    assert_malformed(with_value("a", 7, &[2]), "bool");
    assert_malformed(with_value("a", 9, &array(7, &[vec![1], vec![255]])), "bool");
    assert_eq!(with_value("a", 8, &text("")), None);
}

#[test]
fn arrays_lie_in_each_other_up_to_a_depth() {
    let nested = |depth: usize| (1..depth).fold(array(0, &[vec![1]]), |inner, _| array(9, &[inner]));
    assert_eq!(with_value("a", 9, &nested(8)), None);
    assert_malformed(with_value("a", 9, &nested(9)), "deep");
    assert_malformed(with_value("a", 9, &nested(10_000)), "deep");
}

#[test]
fn alignment_is_a_power_of_two_and_there_once() {
    let aligned = |alignment: u32| with_value("general.alignment", 4, &alignment.to_le_bytes());
    for alignment in [8, 32, 4096, 1 << 31] {
        assert_eq!(aligned(alignment), None);
    }
    for alignment in [0, 1, 4, 24, u32::MAX] {
        assert_malformed(aligned(alignment), "alignment");
    }
    assert_malformed(with_value("general.alignment", 10, &32_u64.to_le_bytes()), "UINT32");
    let alignment = 32_u32.to_le_bytes();
    let twice = Gguf::default().value("general.alignment", 4, &alignment).value("general.alignment", 4, &alignment);
    assert_malformed(gguf_problem(&twice.header()), "twice");
}

#[test]
fn tensors_keep_their_rules() {
    let named = |length: usize| gguf_problem(&Gguf::default().tensor(&"n".repeat(length), &[1], 0, 0).file(32, 4));
    assert_eq!(named(64), None);
    assert_malformed(named(65), "name of 65");
    assert_malformed(with_tensor(&[1; 5], 0, 0), "5 dimensions");
    assert_malformed(with_tensor(&[1 << 32, 1 << 32], 0, 0), "counted");
    assert_malformed(with_tensor(&[1 << 32, 1 << 32], 999, 0), "counted");
    assert_malformed(with_tensor(&[1 << 62], 0, 0), "beyond");
    assert_malformed(with_tensor(&[31, 32], 2, 0), "blocks");
    assert_malformed(with_tensor(&[1], 0, 8), "aligned");
}
