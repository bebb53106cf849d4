//! The program as its user runs it: data, tokenizer, training that is killed, bad input, a full disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CONFIG: &str = r#"
[data]
conversations = "data.jsonl"
tokenizer = "tokenizer"
out = "model"
row_length = 2000

[model]
hidden_size = 32
layers = 2
heads = 2
kv_heads = 1
head_dim = 16
intermediate_size = 64
max_context = 2048
rope_theta = 10000.0

[training]
seed = 1
steps = 48
rows_per_step = 2
learning_rate = 3e-3
warm_up = 2
floor = 0.1
weight_decay = 0.1
save_every = 3
"#;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tune-model"))
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    program().args(arguments).current_dir(folder).output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder with data, a tokenizer and a configuration.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    done(&run(folder.path(), &["synth", "--patients", "12", "--out", "data.jsonl"]));
    done(&run(folder.path(), &["tokenizer", "--data", "data.jsonl", "--vocab-size", "600", "--out", "tokenizer"]));
    fs::write(folder.path().join("mini.toml"), CONFIG).unwrap();
    folder
}

const TRAIN: [&str; 5] = ["train", "--config", "mini.toml", "--threads", "2"];

fn curve(folder: &Path) -> String {
    fs::read_to_string(folder.join("model/run/loss.jsonl")).unwrap()
}

#[test]
fn a_killed_training_ends_as_one_that_was_left_alone() {
    let (alone, killed) = (prepared(), prepared());
    assert_eq!(done(&run(alone.path(), &TRAIN)), "model");
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut kills = 0;
    for _ in 0..10 {
        let quiet = || Stdio::null();
        let mut command = program();
        command.args(TRAIN).current_dir(killed.path()).stdout(quiet()).stderr(quiet());
        let mut child = command.spawn().unwrap();
        sleep(Duration::from_millis(rng.random_range(50..700)));
        kills += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills >= 5, "it was killed {kills} times only");
    done(&run(killed.path(), &TRAIN));
    assert_eq!(curve(killed.path()), curve(alone.path()));
    assert_eq!(curve(alone.path()).lines().count(), 48);
    let weights = |folder: &Path| fs::read(folder.join("model/model.safetensors")).unwrap();
    assert!(weights(killed.path()) == weights(alone.path()));

    assert!(fs::read_to_string(alone.path().join("model/loss.svg")).unwrap().contains("<polyline"));
    let table = done(&run(alone.path(), &["eval", "--model", "model", "--questions", "16"]));
    assert!(table.contains("| all | 16 |"), "{table}");
}

#[test]
fn data_is_the_same_for_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    let data = |seed: &str, name: &str| {
        done(&run(folder.path(), &["synth", "--seed", seed, "--patients", "5", "--out", name]));
        fs::read_to_string(folder.path().join(name)).unwrap()
    };
    assert_eq!(data("7", "a"), data("7", "b"));
    assert_ne!(data("7", "a"), data("8", "b"));
}

#[test]
fn bad_rows_are_named() {
    let folder = prepared();
    let data = folder.path().join("data.jsonl");
    let good = fs::read_to_string(&data).unwrap();
    fs::write(&data, format!("{good}{{\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]}}\n")).unwrap();
    let rows = good.lines().count();
    let error = refused(&run(folder.path(), &TRAIN));
    assert!(error.contains(&format!("data.jsonl, row {}: no turn of the assistant", rows + 1)), "{error}");

    let long = "word ".repeat(3000);
    let row = format!(r#"{{"messages":[{{"role":"user","content":"{long}"}},{{"role":"assistant","content":"x"}}]}}"#);
    fs::write(&data, format!("{row}\n{good}")).unwrap();
    let error = refused(&run(folder.path(), &TRAIN));
    assert!(error.contains("data.jsonl, row 1: ") && error.contains("the row length is 2000"), "{error}");

    fs::write(&data, good).unwrap();
    fs::write(folder.path().join("mini.toml"), CONFIG.replace("seed = 1", "seed = 1\nsead = 2")).unwrap();
    let error = refused(&run(folder.path(), &TRAIN));
    assert!(error.contains("mini.toml") && error.contains("sead"), "{error}");
}

/// A limit on the size of files stands in for a disk that is full.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let folder = prepared();
    // Long enough that there is a whole checkpoint before the second run.
    fs::write(folder.path().join("mini.toml"), CONFIG.replace("steps = 48", "steps = 6")).unwrap();
    done(&run(folder.path(), &TRAIN));
    fs::remove_dir_all(folder.path().join("model/run/checkpoint-6")).unwrap();
    let script = "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\"";
    let full = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_tune-model")])
        .args(TRAIN)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let error = refused(&full);
    assert!(error.contains("checkpoint-6") || error.contains("File too large"), "{error}");
    let left: Vec<_> = fs::read_dir(folder.path().join("model/run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("checkpoint"))
        .collect();
    assert_eq!(left, ["checkpoint-3"]);
    done(&run(folder.path(), &TRAIN));
}
