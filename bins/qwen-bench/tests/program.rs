//! The program as a script sees it: exit codes, standard output, standard error.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use qwen_runtime::Checkpoint;
use serde_json::Value;

const TYPES: [&str; 8] = ["q4_k_m", "q4_0", "q5_k_m", "q6_k", "q8_0", "f16", "bf16", "f32"];

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qwen-bench")).args(arguments).env_clear().output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A tiny model in `directory`.
fn tiny(directory: &Path, file_type: &str) -> PathBuf {
    let path = directory.join(format!("tiny-{file_type}.gguf"));
    let output = run(&["make-random", "tiny", "--type", file_type, path.to_str().unwrap()]);
    assert_eq!(stdout(&output).trim_end(), path.to_str().unwrap());
    path
}

#[test]
fn results_have_llama_benchs_fields_and_ours() {
    let directory = tempfile::tempdir().unwrap();
    let model = tiny(directory.path(), "q4_k_m");
    let model = model.to_str().unwrap();
    let output =
        run(&["-m", model, "-p", "8", "-n", "4", "-d", "0,8", "-r", "2", "-t", "1", "-npl", "1,3", "-o", "json"]);
    let results: Vec<Value> = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(stderr(&output), "", "standard error is no terminal");
    let lengths: Vec<_> = results
        .iter()
        .map(|result| ["n_depth", "n_seqs", "n_prompt", "n_gen"].map(|name| result[name].as_u64().unwrap()))
        .collect();
    assert_eq!(
        lengths,
        [
            [0, 1, 8, 0],
            [0, 1, 0, 4],
            [0, 3, 8, 0],
            [0, 3, 0, 4],
            [8, 1, 8, 0],
            [8, 1, 0, 4],
            [8, 3, 8, 0],
            [8, 3, 0, 4]
        ]
    );
    let bytes = std::fs::metadata(model).unwrap().len();
    for result in &results {
        assert_eq!(result["model_filename"], model);
        assert_eq!(result["model_type"], "qwen3 ?B Q4_K - Medium");
        assert_eq!(
            (&result["engine"], &result["type_k"], &result["n_threads"]),
            (&"cpu".into(), &"f16".into(), &1.into())
        );
        assert!(result["kernels"].is_string() && result["cpu_info"].is_string() && result["build_commit"].is_string());
        let size = result["model_size"].as_u64().unwrap();
        assert!(size < bytes && size > bytes * 9 / 10, "{size} of {bytes}");
        assert!(result["peak_rss"].as_u64().unwrap() > size);
        let samples = result["samples_ts"].as_array().unwrap();
        let mean = samples.iter().map(|sample| sample.as_f64().unwrap()).sum::<f64>() / 2.0;
        assert_eq!((samples.len(), result["samples_ns"].as_array().unwrap().len()), (2, 2));
        assert!((result["avg_ts"].as_f64().unwrap() / mean - 1.0).abs() < 1e-9);
        let is_generation = result["n_prompt"] == 0;
        for name in ["read_bandwidth", "bytes_per_token", "roofline_share"] {
            assert_eq!(result[name].as_f64().is_some_and(|value| value > 0.0), is_generation, "{name}");
        }
    }
}

#[test]
fn every_engine_runs_every_type() {
    let directory = tempfile::tempdir().unwrap();
    for file_type in TYPES {
        let model = tiny(directory.path(), file_type);
        assert!(Checkpoint::open(&model).is_ok());
        for engine in ["cpu", "candle"] {
            let arguments = ["-m", model.to_str().unwrap(), "-p", "4", "-n", "0", "-pg", "3,2", "-r", "1", "-t", "2"];
            let output = run(&[&arguments[..], &["--engine", engine, "-o", "jsonl", "--progress"]].concat());
            let text = stdout(&output);
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), 2, "{file_type} {engine}");
            assert!(lines.iter().all(|line| line["engine"] == engine && line["n_threads"] == 2));
            assert!(stderr(&output).contains("benchmark 2/2: pp3+tg2: run 1/1"));
        }
    }
}

#[test]
fn plain_weights_are_measured_as_what_they_are_quantized_to() {
    let directory = tempfile::tempdir().unwrap();
    let result = |model: &Path, quantize: &str| {
        let arguments = ["-m", model.to_str().unwrap(), "-p", "0", "-n", "2", "-r", "1", "-t", "1", "-o", "jsonl"];
        let output = run(&[&arguments[..], &["--quantize", quantize]].concat());
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()
    };
    let (plain, file) = (tiny(directory.path(), "bf16"), tiny(directory.path(), "q4_k_m"));
    let (stored, quantized, expected) = (result(&plain, "none"), result(&plain, "q4_k_m"), result(&file, "none"));
    for name in ["model_type", "model_size", "bytes_per_token"] {
        assert_eq!(quantized[name], expected[name], "{name}");
        assert_ne!(quantized[name], stored[name], "{name}");
    }
}

#[test]
fn wrong_usage_is_2_and_failures_are_1() {
    let directory = tempfile::tempdir().unwrap();
    let model = tiny(directory.path(), "q8_0");
    let model = model.to_str().unwrap();
    for (arguments, code, word) in [
        (&["-m", model, "-r", "0"][..], 2, "not in 1.."),
        (&["-m", model, "-p", "0", "-n", "0"], 2, "nothing is to be measured"),
        (&["-m", model, "-d", "40900"], 2, "needs a context of 41412 tokens, and the model has 40960"),
        (&["-m", model, "--kernels", "mmx"], 2, "mmx"),
        (&["-m", model, "-ctk", "f16", "-ctv", "f32"], 2, "one type"),
        (&["-m", model, "--engine", "candle", "-t", "1,2"], 2, "one number of threads"),
        (&["-m", model, "--engine", "candle", "-ctk", "f16"], 2, "the type that it computes in"),
        (&["-m", model, "--quantize", "q4_k_m"], 2, "quantized already"),
        (&["-m", model, "--quantize", "q3_k_m"], 2, "nothing to quantize to"),
        (&["-m", model, "--engine", "candle", "--quantize", "q8_0"], 2, "candle does not quantize"),
        (&["-p", "8"], 2, "--model"),
        (&["-m", "absent.gguf"], 1, "absent.gguf"),
        (&["-m", "Cargo.toml"], 1, "GGUF"),
        (&["make-random", "tiny", model], 1, "--force"),
        (&["make-random", "tiny", "absent/a.gguf"], 1, "absent"),
        (&["make-random", "tiny", "--tokenizer", "absent", "new.gguf"], 1, "tokenizer.json"),
        (&["make-random", "70b", "new.gguf"], 2, "70b"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert!(!Path::new("new.gguf").exists());
    assert_eq!(run(&["make-random", "tiny", "--force", model]).status.code(), Some(0));
}

#[test]
fn the_bandwidth_can_be_measured_by_itself() {
    let output = run(&["bandwidth", "-t", "1", "-o", "json"]);
    let results: Vec<Value> = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(results[0]["n_threads"], 1);
    assert!(results[0]["read_bandwidth"].as_f64().unwrap() > 1e8);
}
