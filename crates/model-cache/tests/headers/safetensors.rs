//! The rules of safetensors headers, one by one.

use std::io::Cursor;

use model_cache::Problem;
use model_cache::header::check_safetensors;

use crate::{assert_malformed, safetensors_problem, sample};

fn problem(header: &str, data: usize) -> Option<Problem> {
    safetensors_problem(&sample::safetensors(header, data))
}

#[test]
fn right_headers_are_right() {
    assert_eq!(safetensors_problem(&sample::two_tensors()), None);
    for (header, data) in [
        ("{}", 0),
        ("{} \n\t ", 0),
        (r#"{"__metadata__":{}}"#, 0),
        (r#"{"scalar":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}"#, 8),
        (r#"{"none":{"dtype":"F64","shape":[3,0],"data_offsets":[0,0]}}"#, 0),
        (r#"{"half bytes":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]}}"#, 3),
        (r#"{"six bits":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}"#, 3),
        (r#"{"other order":{"shape":[1],"data_offsets":[0,1],"dtype":"U8"}}"#, 1),
        (
            r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"none":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#,
            3,
        ),
    ] {
        assert_eq!(problem(header, data), None, "{header}");
    }
}

#[test]
fn a_file_is_exactly_as_long_as_its_header_says() {
    let file = sample::two_tensors();
    let (expected, whole) = (file.len() as u64, file.len());
    for actual in [whole - 1, whole - 32] {
        let problem = safetensors_problem(&file[..actual]);
        assert_eq!(problem, Some(Problem::Length { expected, actual: actual as u64 }));
    }
    let longer = safetensors_problem(&[file.as_slice(), b"x"].concat());
    assert_eq!(longer, Some(Problem::Length { expected, actual: expected + 1 }));
    // Of a header that is cut off, no more is known than its own length.
    let cut = safetensors_problem(&file[..50]);
    assert_eq!(cut, Some(Problem::Length { expected: expected - 32, actual: 50 }));
}

#[test]
fn headers_that_are_no_json_of_tensors_are_malformed() {
    for (header, word) in [
        ("", "begin"),
        (" {}", "begin"),
        ("[]", "begin"),
        ("{", "found the end"),
        ("{]", "expected a text"),
        ("{}x", "expected the end"),
        (r#"{"a":1}"#, "expected"),
        (r#"{"a":["U8",[1],[0,1]]}"#, "expected"),
        (r#"{"a":{"dtype":"U8","shape":[1]}}"#, "tensor a lacks data_offsets"),
        (r#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, "`dtype` is there twice"),
        (r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, "expected"),
        (r#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#, "expected"),
        (r#"{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}"#, "expected"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}"#, "expected `]`"),
        (r#"{"a":{"dtype":"u8","shape":[1],"data_offsets":[0,1]}}"#, "dtype u8"),
        (r#"{"a":{"dtype":5,"shape":[1],"data_offsets":[0,1]}}"#, "expected a text"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}"#, "unknown field `more`"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, "expected `,`"),
        (r#"{"a":"tensor"}"#, "expected `{`"),
        (r#"{"a":{"dtype":"U8","shape":"1","data_offsets":[0,1]}}"#, "expected `[`"),
        (r#"{"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}}"#, "expected a whole number"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":"0,1"}}"#, "expected `[`"),
        (r#"{"__metadata__":"text"}"#, "expected `{`"),
        (r#"{"__metadata__":null}"#, "expected"),
        (r#"{"__metadata__":{"a":1}}"#, "expected"),
        (r#"{"__metadata__":{},"__metadata__":{}}"#, "__metadata__ is there twice"),
    ] {
        assert_malformed(problem(header, 1), word);
    }
    assert_malformed(safetensors_problem(b"\x0b\0\0\0\0\0\0\0{\"a\xff\":null}"), "UTF-8");
}

#[test]
fn texts_are_those_of_json() {
    let metadata = |text: &str| problem(&format!(r#"{{"__metadata__":{{"a":"{text}"}}}}"#), 0);
    for text in ["", "é", "\u{10ffff}", r#"\"\\\/\b\f\n\r\t"#, r"\u0000", r"\uD83D\uDE00", "{[:,"] {
        assert_eq!(metadata(text), None, "{text}");
    }
    for (text, word) in [
        ("\n", "control character"),
        (r"\x", "not an escape"),
        (r"\u12", "hexadecimal"),
        (r"\ud83d", "surrogates"),
        (r"\ud83d\n", "surrogates"),
        (r"\ud83d\ud83d", "surrogates"),
        (r"\ude00", "surrogates"),
    ] {
        assert_malformed(metadata(text), word);
    }
}

#[test]
fn ranges_that_do_not_tile_the_file_are_malformed() {
    let tensor = |name: &str, begin: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"U8","shape":[{}],"data_offsets":[{begin},{end}]}}"#, end - begin)
    };
    for (ranges, word) in [
        (&[(1, 2)][..], "hole"),
        (&[(0, 2), (3, 4)], "hole"),
        (&[(0, 2), (1, 4)], "overlaps"),
        (&[(0, 2), (0, 2)], "overlaps"),
        (&[(0, 4), (2, 2)], "overlaps"),
        (&[(5, 5)], "hole"),
    ] {
        let tensors: Vec<_> = ranges.iter().enumerate().map(|(n, (a, b))| tensor(&n.to_string(), *a, *b)).collect();
        assert_malformed(problem(&format!("{{{}}}", tensors.join(",")), 4), word);
    }
}

#[test]
fn ranges_are_as_long_as_dtype_and_shape_say() {
    for (dtype, shape, range) in [
        ("F32", "1", "0,3"),
        ("F32", "1", "4,0"),
        ("F32", "1", "0,18446744073709551615"),
        ("F4", "1", "0,1"),
        ("U8", "4294967296,4294967296", "0,0"),
        ("F64", "2305843009213693952", "0,0"),
    ] {
        let header = format!(r#"{{"a":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{range}]}}}}"#);
        assert_malformed(problem(&header, 4), "tensor a");
    }
    // Eight of the longest tensors reach the end of all numbers.
    let most = u64::MAX / 8;
    let tensor =
        |n: u64| format!(r#""{n}":{{"dtype":"U8","shape":[{most}],"data_offsets":[{},{}]}}"#, n * most, (n + 1) * most);
    let tensors: Vec<_> = (0..8).map(tensor).collect();
    assert_malformed(problem(&format!("{{{}}}", tensors.join(",")), 4), "beyond");
}

#[test]
fn a_name_stands_there_once_however_it_is_written() {
    let names = r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    assert_malformed(problem(names, 1), "tensor a is there twice");
}

#[test]
fn lengths_are_judged_before_anything_is_read() {
    assert_malformed(safetensors_problem(&[0; 7]), "too few");
    assert_malformed(safetensors_problem(&100_000_001_u64.to_le_bytes()), "possible");
    assert_malformed(safetensors_problem(&u64::MAX.to_le_bytes()), "possible");
    let lying = check_safetensors(Cursor::new([9, 0, 0, 0, 0, 0, 0, 0, b'{']), 1 << 40).unwrap_err();
    assert_eq!(lying.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_a_file_says_does_not_fill_the_log() {
    let name = "\\u001b[2J\\n".repeat(10_000);
    let Some(Problem::Malformed(what)) = problem(&format!(r#"{{"{name}":{{}}, "a":"{name}"}}"#), 0) else {
        panic!("such a header is malformed");
    };
    assert!(what.len() < 1000 && !what.contains(char::is_control), "{what}");
}
