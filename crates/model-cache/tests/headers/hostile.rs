//! Headers that mean harm: whatever bytes come, the answer is a problem and no panic.

use std::io::Cursor;

use model_cache::header::{check_gguf, check_safetensors};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{Check, Drops, gguf_problem, safetensors_problem, sample};

const CHECKS: [Check; 2] = [safetensors_problem, gguf_problem];

#[test]
fn a_file_cut_off_anywhere_is_not_whole() {
    for (check, file) in CHECKS.into_iter().zip([sample::two_tensors(), sample::every_type_file()]) {
        for length in 0..file.len() {
            assert!(check(&file[..length]).is_some(), "{length} bytes are taken for whole");
        }
    }
}

/// A number as it may stand in a header: small, or where arithmetic ends.
fn number() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 8, 31, 32, 1 << 20, 1 << 31, 1 << 32, 1 << 62, 1 << 63, u64::MAX - 31, u64::MAX];
    prop_oneof![0_u64..300, proptest::sample::select(edges.to_vec()), any::<u64>()]
}

/// Places in a file, and the bytes that are put there.
fn mutations() -> impl Strategy<Value = Vec<(Index, Vec<u8>)>> {
    let bytes = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        number().prop_map(|number| number.to_le_bytes().to_vec()),
        proptest::sample::select(b"{}[]\":,\\0 ".to_vec()).prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec((any::<Index>(), bytes), 1..6)
}

fn mutated(mut file: Vec<u8>, mutations: Vec<(Index, Vec<u8>)>) -> Vec<u8> {
    for (place, bytes) in mutations {
        let place = place.index(file.len());
        let end = file.len().min(place + bytes.len());
        file[place..end].copy_from_slice(&bytes[..end - place]);
    }
    file
}

/// Both checks keep their promises, and their answers are the same however the bytes come.
pub(crate) fn assert_sane(file: &[u8]) {
    let drops = || Drops(Cursor::new(file));
    let length = file.len() as u64;
    assert_eq!(safetensors_problem(file), check_safetensors(drops(), length).unwrap());
    assert_eq!(gguf_problem(file), check_gguf(drops(), length).unwrap());
}

/// Pieces of JSON in any order: the answer is that of a parser of JSON.
fn json() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "\"",
        "\\",
        "\\u",
        "d83d",
        "\\ude00",
        "\\n",
        "/",
        "\n",
        " ",
        "é",
        "a",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "0",
        "18446744073709551615",
        "1",
        "9",
        "-",
        ".",
        "e",
        "null",
        "\"\"",
        "\"b\"",
        "\"b\":",
        "\"b\":\"c\"",
        "\"dtype\":\"U8\"",
        "\"shape\":[0]",
        "\"data_offsets\":[0,0]",
        "\"__metadata__\":{}",
        r#""c":{"dtype":"I8","shape":[3,0],"data_offsets":[0,0]}"#,
    ];
    let piece = proptest::sample::select(pieces.map(str::as_bytes).to_vec());
    let byte = any::<u8>().prop_map(|byte| vec![byte]);
    let piece = prop_oneof![9 => piece.prop_map(<[u8]>::to_vec), 1 => byte];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(file in proptest::collection::vec(any::<u8>(), 0..400)) {
        assert_sane(&file);
        assert_sane(&[b"GGUF\x03\0\0\0".as_slice(), &file].concat());
        let in_braces = [(file.len() as u64 + 2).to_le_bytes().as_slice(), b"{", &file, b"}"].concat();
        assert_sane(&in_braces);
    }

    #[test]
    fn json_is_what_a_parser_takes(json in json()) {
        for (before, behind) in [
            (r#"{"#, r#"}"#),
            (r#"{""#, r#"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#),
            (r#"{"__metadata__":{"#, r#"}}"#),
            (r#"{"__metadata__":{"a":""#, r#""}}"#),
            (r#"{"a":{"#, r#"}}"#),
            (r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#, r#"}"#),
            (r#"{"a":{"dtype":"U8","shape":[0"#, r#"],"data_offsets":[0,0]}}"#),
            (r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0"#, r#",0]}}"#),
            (r#"{}"#, ""),
        ] {
            let header = [before.as_bytes(), &json, behind.as_bytes()].concat();
            assert_sane(&[&(header.len() as u64).to_le_bytes(), header.as_slice()].concat());
        }
    }

    #[test]
    fn any_numbers_get_an_answer(numbers in proptest::collection::vec(number(), 0..40)) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_sane(&[b"GGUF\x03\0\0\0".as_slice(), &bytes].concat());
    }

    #[test]
    fn mutated_files_get_an_answer(mutations in mutations()) {
        assert_sane(&mutated(sample::two_tensors(), mutations.clone()));
        assert_sane(&mutated(sample::every_type_file(), mutations));
    }

    #[test]
    fn tensors_in_any_order_are_right_until_one_is_taken_away(
        lengths in proptest::collection::vec(1_u64..100, 2..20),
        order in any::<u64>(),
        gone in any::<Index>(),
    ) {
        let mut end = 0;
        let mut tensors: Vec<_> = lengths.iter().enumerate().map(|(name, length)| {
            end += length;
            let begin = end - length;
            format!(r#""{name}":{{"dtype":"I8","shape":[{length}],"data_offsets":[{begin},{end}]}}"#)
        }).collect();
        let count = tensors.len();
        tensors.rotate_left(order as usize % count);
        tensors.swap(0, (order >> 32) as usize % count);
        let file = |tensors: &[String]| sample::safetensors(&format!("{{{}}}", tensors.join(",")), end as usize);
        prop_assert_eq!(safetensors_problem(&file(&tensors)), None);
        tensors.remove(gone.index(count));
        prop_assert!(safetensors_problem(&file(&tensors)).is_some());
    }
}
