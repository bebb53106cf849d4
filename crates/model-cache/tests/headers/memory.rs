//! Headers that are long, and made to take as much memory as they can.

use std::fmt::Write;

use crate::{assert_malformed, safetensors_problem, sample};

const MIB: usize = 1 << 20;

#[test]
fn as_many_tensors_as_fit_take_no_more_than_the_file() {
    let mut header = "{".to_owned();
    for name in 0..100_000 {
        write!(header, r#""{name:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},"#).unwrap();
    }
    header.pop();
    header.push('}');
    assert_eq!(safetensors_problem(&sample::safetensors(&header, 0)), None);
}

#[test]
fn the_shortest_tensors_take_no_more_than_the_file() {
    let tensor = r#""":{"dtype":"U8","shape":[],"data_offsets":[0,1]}"#;
    let header = format!("{{{}}}", vec![tensor; 100_000].join(","));
    assert_malformed(safetensors_problem(&sample::safetensors(&header, 1)), "overlaps");
}

#[test]
fn long_texts_are_not_kept() {
    for character in ["a", "\\n", "\u{10ffff}", "\\udbff\\udfff"] {
        let text = character.repeat(MIB);
        let tensor = r#"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
        for header in [
            format!(r#"{{"{text}":{tensor}}}"#),
            format!(r#"{{"__metadata__":{{"format":"{text}"}}}}"#),
            format!(r#"{{"__metadata__":{{"{text}":"pt"}}}}"#),
        ] {
            assert_eq!(safetensors_problem(&sample::safetensors(&header, 0)), None);
        }
        for (header, word) in [
            (format!(r#"{{"{text}":{tensor},"{text}":{tensor}}}"#), "is there twice"),
            (format!(r#"{{"a":{{"{text}":1}}}}"#), "unknown field"),
            (format!(r#"{{"a":{{"dtype":"{text}"}}}}"#), "is not known"),
            (format!(r#"{{"a":{{"shape":["{text}"]}}}}"#), "expected a whole number"),
            (format!(r#"{{"a":"{text}"}}"#), "expected `{`"),
        ] {
            assert_malformed(safetensors_problem(&sample::safetensors(&header, 0)), word);
        }
    }
}

#[test]
fn space_and_dimensions_are_not_kept() {
    let shape = vec!["1"; MIB].join(",");
    let tensor = format!(r#""a":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,1]}}"#);
    assert_eq!(safetensors_problem(&sample::safetensors(&format!("{{{tensor}}}"), 1)), None);
    assert_eq!(safetensors_problem(&sample::safetensors(&format!("{{}}{}", " ".repeat(2 * MIB)), 0)), None);
}
