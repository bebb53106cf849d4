//! Checkpoints whose files are part of the program are those of the directory.

use qwen_runtime::{Checkpoint, EmbeddedFile, RuntimeError, Tokenizer};

use crate::golden::own;

const FILES: &[EmbeddedFile] = &[
    ("config.json", include_bytes!("../golden/tied-f32/config.json")),
    ("generation_config.json", include_bytes!("../golden/tied-f32/generation_config.json")),
    ("model.safetensors", include_bytes!("../golden/tied-f32/model.safetensors")),
    ("tokenizer.json", include_bytes!("../golden/tied-f32/tokenizer.json")),
];

#[test]
fn an_embedded_checkpoint_is_the_one_of_the_directory() {
    let embedded = Checkpoint::embedded("tied", FILES).unwrap();
    let directory = Checkpoint::open(&own("tied-f32")).unwrap();
    assert_eq!(embedded.architecture(), directory.architecture());
    assert_eq!(embedded.fingerprint().unwrap(), directory.fingerprint().unwrap());
    assert_eq!(embedded.generation_defaults().unwrap(), directory.generation_defaults().unwrap());
    for name in directory.architecture().tensor_names() {
        assert_eq!(embedded.tensor(name).unwrap().bytes, directory.tensor(name).unwrap().bytes);
    }
    let ids = |checkpoint| Tokenizer::of_checkpoint(checkpoint).unwrap().encode("What do I take?").unwrap();
    assert_eq!(ids(&embedded), ids(&directory));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for (without, rest) in [("config.json", &FILES[1..]), ("model.safetensors", &FILES[..1])] {
        let error = Checkpoint::embedded("part", rest).unwrap_err();
        assert!(matches!(error, RuntimeError::Io { .. }) && error.to_string().contains(without), "{error}");
    }
}
