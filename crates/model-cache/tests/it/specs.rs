//! How models are named.

use std::path::PathBuf;

use model_cache::{CacheError, ModelSpec};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::{offline, spec};

fn hub(repo: &str, revision: Option<&str>, file: Option<&str>) -> ModelSpec {
    ModelSpec::Hub { repo: repo.parse().unwrap(), revision: revision.map(str::to_owned), file: file.map(str::to_owned) }
}

#[test]
fn texts_mean_what_they_say() {
    let qwen = "Qwen/Qwen3-4B-Thinking-2507";
    for (text, expected) in [
        (qwen, hub(qwen, None, None)),
        ("Qwen/Qwen3-4B-Thinking-2507@v1.0", hub(qwen, Some("v1.0"), None)),
        ("Qwen/Qwen3-4B-Thinking-2507@refs/pr/1", hub(qwen, Some("refs/pr/1"), None)),
        ("a/b:q4/model.gguf", hub("a/b", None, Some("q4/model.gguf"))),
        ("a/b@dev:Model Q4.GGUF", hub("a/b", Some("dev"), Some("Model Q4.GGUF"))),
        ("./model", ModelSpec::Directory("./model".into())),
        ("../models/x", ModelSpec::Directory("../models/x".into())),
        ("/models/x", ModelSpec::Directory("/models/x".into())),
        ("~/models/x", ModelSpec::Directory("~/models/x".into())),
        (".", ModelSpec::Directory(".".into())),
        ("/models/x.gguf", ModelSpec::Gguf("/models/x.gguf".into())),
        ("models/x.gguf", ModelSpec::Gguf("models/x.gguf".into())),
        ("x.GGUF", ModelSpec::Gguf("x.GGUF".into())),
        ("/odd:name/x.gguf", ModelSpec::Gguf("/odd:name/x.gguf".into())),
    ] {
        assert_eq!(text.parse::<ModelSpec>().unwrap(), expected, "{text}");
        assert_eq!(expected.to_string(), text);
    }
}

#[test]
fn what_exists_on_the_disk_is_a_path() {
    // Cargo runs tests in the package's own directory, which has `src` and `tests/it`.
    assert_eq!(spec("tests/it"), ModelSpec::Directory("tests/it".into()));
    let dir = tempdir().unwrap();
    let odd = dir.path().join("odd.gguf");
    std::fs::create_dir(&odd).unwrap();
    assert_eq!(spec(odd.to_str().unwrap()), ModelSpec::Directory(odd), "a directory, whatever its name");
}

#[test]
fn what_names_no_model_is_refused() {
    for text in [
        "",
        "gpt2",
        "a/b/c",
        "a/",
        "a b/c",
        "a--b/c",
        "a/b..c",
        "-a/b",
        "a/b-",
        "a/b@",
        "a/b@..",
        "a/b@x/../../y",
        "a/b@x//y",
        "a/b@/x",
        "a/b:",
        "a/b:model.safetensors",
        "a/b:pytorch_model.bin",
        "a/b:../x.gguf",
        "a/b:/x.gguf",
        "a/b:*.gguf",
        "https://huggingface.co/a/b",
        "ä/b",
    ] {
        let error = text.parse::<ModelSpec>().unwrap_err();
        assert!(matches!(&error, CacheError::InvalidSpec { spec, .. } if spec == text), "{text}: {error:?}");
    }
    assert!(format!("{}/{}", "a".repeat(60), "b".repeat(60)).parse::<ModelSpec>().is_err());
}

#[test]
fn a_spec_built_by_hand_cannot_leave_the_cache() {
    let dir = tempdir().unwrap();
    for spec in [hub("a/b", Some("../../../x"), None), hub("a/b", None, Some("../../x.gguf"))] {
        assert!(matches!(offline(dir.path()).resolve(&spec), Err(CacheError::InvalidSpec { .. })));
    }
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in ".{0,60}") {
        if let Ok(spec) = text.parse::<ModelSpec>() {
            prop_assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn names_survive_the_round_trip(
        text in "[A-Za-z0-9._-]{1,12}/[A-Za-z0-9._-]{1,12}(@[A-Za-z0-9._/+-]{1,12})?(:[A-Za-z0-9._/ +-]{1,12}\\.gguf)?",
    ) {
        if let Ok(spec) = text.parse::<ModelSpec>() {
            prop_assert_eq!(spec.to_string(), text.clone());
            prop_assert_eq!(text.parse::<ModelSpec>().unwrap(), spec.clone());
            if let ModelSpec::Hub { revision, file, .. } = spec {
                for part in [revision, file].into_iter().flatten() {
                    prop_assert!(!PathBuf::from(&part).is_absolute());
                    prop_assert!(part.split('/').all(|part| !part.is_empty() && part != ".." && part != "."));
                }
            }
        }
    }
}
