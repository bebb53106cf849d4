//! The program as a script sees it: exit codes, standard output, standard error.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, unused_imports, reason = "the cache's own tests use the rest")]
#[path = "../../../crates/model-cache/tests/hub/mod.rs"]
mod hub;
mod invocation;

use std::process::Output;

use hub::{COMMIT, Hub, sample};
use invocation::run;

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn prints_the_path_alone_and_exits_0() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let expected = format!("cache/models--acme--tiny/snapshots/{COMMIT}\n");
    let variables = [("MODEL_CACHE_DIR", "cache"), ("HF_ENDPOINT", &hub.url()), ("HF_HUB_OFFLINE", "0")];
    let output = run(dir.path(), &["acme/tiny"], &variables);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), expected);
    assert!(stderr(&output).contains("4 files"), "{}", stderr(&output));
    assert!(dir.path().join(expected.trim_end()).join("model.safetensors").exists());

    // There already: no network, and nothing to say but the path.
    let output = run(dir.path(), &["--offline", "--model-cache-dir", "cache", "acme/tiny"], &[]);
    assert_eq!((output.status.code(), stdout(&output), stderr(&output)), (Some(0), expected, String::new()));
}

#[test]
fn exits_1_when_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(vec![sample::repo("acme/tiny"), sample::repo("acme/gated").gated("hf_good")]);
    let at_the_hub = [("HF_ENDPOINT", hub.url())];
    let variables: Vec<_> = at_the_hub.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (arguments, expected) in [
        (["acme/absent"].as_slice(), "not found"),
        (&["acme/tiny@absent"], "not found"),
        (&["acme/gated"], "HUGGINGFACE_TOKEN"),
        (&["acme/tiny", "--offline"], "offline"),
        (&["./absent"], "./absent"),
    ] {
        let output = run(dir.path(), arguments, &variables);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    // The default model, from `HF_HUB_OFFLINE` alone.
    let output = run(dir.path(), &[], &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("Qwen/Qwen3-4B-Thinking-2507"), "{}", stderr(&output));
}

#[test]
fn exits_2_on_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [["no-model"].as_slice(), &["--no-flag"], &["a/b", "c/d"], &["a/b", "--token", "two words"]] {
        let output = run(dir.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(!stderr(&output).is_empty());
    }
    assert!(!stderr(&run(dir.path(), &["a/b", "--token", "two words"], &[])).contains("two words"));
}

#[test]
fn help_names_every_variable_and_shows_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--help"], &[("HUGGINGFACE_TOKEN", "hf_secret"), ("HF_TOKEN", "hf_secret")]);
    assert_eq!(output.status.code(), Some(0));
    let help = stdout(&output);
    for variable in ["MODEL_CACHE_DIR", "HUGGINGFACE_TOKEN", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"] {
        assert!(help.contains(variable), "{variable} in {help}");
    }
    assert!(!help.contains("hf_secret"), "{help}");
}

/// The tokens that reach the Hub, each once, when the program runs with these settings.
fn tokens_sent(dot_env: &str, variables: &[(&str, &str)]) -> Vec<Option<String>> {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(vec![]);
    std::fs::write(dir.path().join(".env"), format!("HF_ENDPOINT={}\n{dot_env}", hub.url())).unwrap();
    // What hf-hub would find on its own: a token where Hugging Face's login command leaves it.
    std::fs::write(dir.path().join("token"), "hf_of_the_home").unwrap();
    let home = dir.path().to_str().unwrap();
    let output = run(dir.path(), &["acme/tiny"], &[variables, &[("HF_HOME", home)]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let mut sent: Vec<_> = hub.seen().into_iter().map(|request| request.authorization).collect();
    sent.dedup();
    sent
}

#[test]
fn sends_the_token_that_was_given_and_no_other() {
    let bearer = |token: &str| vec![Some(format!("Bearer {token}"))];
    assert_eq!(tokens_sent("", &[]), [None], "no token of the user's home");
    assert_eq!(tokens_sent("HF_TOKEN=hf_file", &[]), bearer("hf_file"));
    assert_eq!(tokens_sent("HF_TOKEN=hf_file", &[("HF_TOKEN", "hf_env")]), bearer("hf_env"));
    assert_eq!(tokens_sent("HF_TOKEN=hf_second", &[("HUGGINGFACE_TOKEN", "hf_first")]), bearer("hf_first"));
    assert_eq!(tokens_sent("HUGGINGFACE_TOKEN=\nHF_TOKEN=hf_second", &[]), bearer("hf_second"));
    assert_eq!(tokens_sent("HUGGINGFACE_TOKEN=\nHF_TOKEN=", &[]), [None], "empty is unset");
}

/// A small checkpoint of the runtime's own tests.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/qwen-runtime/tests/golden/tied-f32");

#[test]
fn quantizes_a_directory_and_prints_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["quantize", TINY, "--type", "q8_0", "--out", "tiny.gguf"];
    // Variables of the other command are of no interest to this one.
    let variables = [("MODEL", "acme/tiny"), ("HF_ENDPOINT", "http://127.0.0.1:1"), ("HF_HUB_OFFLINE", "1")];
    let output = run(dir.path(), &arguments, &variables);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "tiny.gguf\n");
    assert!(stderr(&output).contains("bits for each weight"), "{}", stderr(&output));
    let written = std::fs::read(dir.path().join("tiny.gguf")).unwrap();
    assert!(written.starts_with(b"GGUF"));

    let again = run(dir.path(), &arguments, &[]);
    assert_eq!((again.status.code(), stdout(&again)), (Some(1), String::new()));
    assert!(stderr(&again).contains("exists already"), "{}", stderr(&again));
    let replaced = run(dir.path(), &[&arguments[..], &["--overwrite", "--threads", "1"]].concat(), &[]);
    assert_eq!(replaced.status.code(), Some(0), "{}", stderr(&replaced));
    assert_eq!(std::fs::read(dir.path().join("tiny.gguf")).unwrap(), written);
}

#[test]
fn what_cannot_be_quantized_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, code, expected) in [
        (["quantize", TINY, "--type", "q8_0"].as_slice(), 2, "--out"),
        (&["quantize", TINY, "--type", "q3", "--out", "a.gguf"], 2, "q4_k_m"),
        (&["quantize", TINY, "--type", "f16", "--out", "a.gguf", "--threads", "0"], 2, "--threads"),
        (&["quantize", "./absent", "--type", "f16", "--out", "a.gguf"], 1, "./absent"),
        (&["quantize", "acme/absent", "--type", "f16", "--out", "a.gguf"], 1, "not in the model cache"),
        (&["quantize", TINY, "--type", "f16", "--out", "a.gguf", "--imatrix", "absent.dat"], 1, "absent.dat"),
        (&["quantize", TINY, "--type", "f16", "--out", "absent/a.gguf"], 1, "absent/a.gguf"),
    ] {
        let output = run(dir.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}
