//! What an operator does with a cache, as a script sees it: exit codes, standard output, JSON.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod invocation;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use invocation::run;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";

/// What it prints, when it ends with this code.
fn answer(dir: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(dir, arguments, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn json(dir: &Path, arguments: &[&str], code: i32) -> Value {
    serde_json::from_str(&answer(dir, arguments, code)).unwrap()
}

fn safetensors(elements: usize) -> Vec<u8> {
    let length = elements * 4;
    let header = format!(r#"{{"weight":{{"dtype":"F32","shape":[{elements}],"data_offsets":[0,{length}]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(std::iter::repeat_n(7, length));
    bytes
}

fn snapshot(dir: &Path, commit: &str) -> PathBuf {
    dir.join("models/models--acme--tiny/snapshots").join(commit)
}

fn version(dir: &Path, commit: &str, elements: usize) {
    let blobs = dir.join("models/models--acme--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(snapshot(dir, commit)).unwrap();
    for (name, bytes) in [
        ("config.json", br#"{"model_type": "qwen3"}"#.to_vec()),
        ("tokenizer.json", br#"{"version": "1.0"}"#.to_vec()),
        ("model.safetensors", safetensors(elements)),
    ] {
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&digest), bytes).unwrap();
        symlink(format!("../../blobs/{digest}"), snapshot(dir, commit).join(name)).unwrap();
    }
}

/// A directory in which `./models` has two versions of `acme/tiny`; `main` is the new one.
fn two_versions() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    version(dir.path(), OLD, 100);
    version(dir.path(), NEW, 200);
    let refs = dir.path().join("models/models--acme--tiny/refs");
    fs::create_dir_all(&refs).unwrap();
    fs::write(refs.join("main"), NEW).unwrap();
    dir
}

#[test]
fn list_shows_versions_to_people_and_to_programs() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(answer(empty.path(), &["list"], 0), "no model in ./models");
    assert_eq!(answer(empty.path(), &["list", "--model-cache-dir", "x"], 0), "no model in x");
    assert_eq!(json(empty.path(), &["list", "--json"], 0)["models"], Value::Array(vec![]));

    let dir = two_versions();
    answer(dir.path(), &["pin", "acme/tiny"], 0);
    let text = answer(dir.path(), &["list"], 0);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("REPOSITORY  REVISION"), "{text}");
    assert!(lines[1].starts_with("acme/tiny   111111111111"), "{text}");
    assert!(lines[2].contains("222222222222 main") && lines[2].ends_with("whole  pinned"), "{text}");
    assert!(lines.last().unwrap().starts_with("2 versions, "), "{text}");

    let list = json(dir.path(), &["list", "--json"], 0);
    let model = &list["models"][1];
    assert_eq!((model["repo"].as_str(), model["commit"].as_str()), (Some("acme/tiny"), Some(NEW)));
    assert_eq!((model["state"].as_str(), model["pinned"].as_bool()), (Some("whole"), Some(true)));
    assert_eq!((model["in_use"].as_bool(), model["references"][0].as_str()), (Some(false), Some("main")));
    assert!(model["size_bytes"].as_u64() > model["shared_bytes"].as_u64() && list["size_bytes"].is_u64());
    assert!(model["last_use"].as_str().unwrap().ends_with('Z'), "{model}");
}

#[test]
fn verify_ends_with_1_when_something_is_broken() {
    let dir = two_versions();
    assert!(answer(dir.path(), &["verify"], 0).ends_with("nothing is broken"));
    let weights = snapshot(dir.path(), NEW).join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let text = answer(dir.path(), &["verify", "acme/tiny"], 1);
    assert!(text.contains("model.safetensors has sha256") && text.ends_with("1 is broken"), "{text}");
    let found = json(dir.path(), &["verify", "--json"], 1);
    assert_eq!(found["broken"].as_u64(), Some(1));
    let verdicts: Vec<_> =
        found["files"].as_array().unwrap().iter().map(|file| file["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == "sound").count(), 5);
    assert!(verdicts.contains(&"wrong_digest"));
    assert!(answer(dir.path(), &["verify", &format!("acme/tiny@{OLD}")], 0).ends_with("nothing is broken"));

    assert!(answer(dir.path(), &["verify", "--discard"], 1).contains("it was removed"));
    assert!(!weights.is_symlink());
    assert!(answer(dir.path(), &["--offline", "acme/tiny"], 1).is_empty());
    assert!(answer(dir.path(), &["verify", "acme/absent"], 1).is_empty());
}

#[test]
fn prune_removes_what_it_says() {
    let dir = two_versions();
    answer(dir.path(), &["pin", &format!("acme/tiny@{OLD}")], 0);
    let text = answer(dir.path(), &["prune"], 0);
    assert!(text.contains(&format!("kept acme/tiny@{OLD}: it is pinned")) && text.ends_with("nothing to remove"));
    assert_eq!(answer(dir.path(), &["unpin", &format!("acme/tiny@{OLD}")], 0), format!("acme/tiny@{OLD}"));
    assert!(answer(dir.path(), &["prune", "--dry-run"], 0).contains(&format!("would remove acme/tiny@{OLD}")));
    let report = json(dir.path(), &["prune", "--dry-run", "--json"], 0);
    assert!(snapshot(dir.path(), OLD).exists());
    let pruned = json(dir.path(), &["prune", "--json"], 0);
    assert!(!snapshot(dir.path(), OLD).exists() && snapshot(dir.path(), NEW).exists());
    assert_eq!((&pruned["removed"], &pruned["freed_bytes"]), (&report["removed"], &report["freed_bytes"]));
    assert_eq!(pruned["removed"][0]["commit"].as_str(), Some(OLD));
    assert_eq!(pruned["kept"][0]["because"].as_str(), Some("current"));
    let text = answer(dir.path(), &["prune", "--older-than", "0s"], 0);
    assert!(text.contains(&format!("removed acme/tiny@{NEW} (main)")), "{text}");
    assert_eq!(answer(dir.path(), &["list"], 0), "no model in ./models");
}

#[test]
fn a_model_is_carried_to_a_machine_without_a_network() {
    let (here, there) = (two_versions(), tempfile::tempdir().unwrap());
    let target = there.path().join("carried");
    let target = target.to_str().unwrap();
    assert_eq!(answer(here.path(), &["export", "acme/tiny", "--out", target], 0), target);
    answer(here.path(), &["export", "acme/tiny", "--out", target], 1);
    let path = answer(there.path(), &["import", target, "--as", "acme/tiny"], 0);
    assert_eq!(path, format!("./models/models--acme--tiny/snapshots/{NEW}"));
    assert_eq!(answer(there.path(), &["--offline", "acme/tiny"], 0), path);
    assert!(answer(there.path(), &["verify"], 0).starts_with("3 files"));
    answer(there.path(), &["import", target, "--as", "other/tiny", "--allow", "acme/*"], 1);
    answer(there.path(), &["import", "absent", "--as", "acme/tiny"], 1);
}

#[test]
fn a_lock_file_is_written_and_obeyed() {
    let dir = two_versions();
    let lock = dir.path().join("models.lock");
    answer(dir.path(), &["--offline", "--locked", "acme/tiny"], 2);
    answer(dir.path(), &["--offline", "--lock", "acme/tiny"], 0);
    answer(dir.path(), &["--offline", "--lock", &format!("acme/tiny@{OLD}")], 0);
    let text: Value = serde_json::from_slice(&fs::read(&lock).unwrap()).unwrap();
    assert_eq!(text["models"]["acme/tiny"]["commit"].as_str(), Some(NEW));
    assert_eq!(text["models"].as_object().unwrap().len(), 2);
    fs::write(dir.path().join("models/models--acme--tiny/refs/main"), OLD).unwrap();
    assert!(answer(dir.path(), &["--offline", "--locked", "acme/tiny"], 0).ends_with(NEW), "the branch has moved");
    assert!(answer(dir.path(), &["--offline", "acme/tiny"], 0).ends_with(OLD));
    let named = run(dir.path(), &["--offline", "acme/tiny"], &[("MODELS_LOCK", "models.lock")]);
    assert!(String::from_utf8(named.stdout).unwrap().trim_end().ends_with(NEW), "where it is named, it is obeyed");
    answer(dir.path(), &["--offline", "--locked", "acme/other"], 1);
    answer(dir.path(), &["--lock", "--locked", "acme/tiny"], 2);
    fs::write(&lock, "{").unwrap();
    answer(dir.path(), &["--offline", "--locked", "acme/tiny"], 2);
}

#[test]
fn errors_are_json_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--offline", "--progress", "json", "acme/tiny"], &[]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["event"].as_str(), Some("error"));
    assert!(error["message"].as_str().unwrap().contains("acme/tiny is not in the model cache"), "{error}");

    let dir = two_versions();
    let output = run(dir.path(), &["verify", "--progress", "json"], &[]);
    let events: Vec<Value> =
        String::from_utf8(output.stderr).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((events[0]["event"].as_str(), events[0]["files"].as_u64()), (Some("started"), Some(4)));
    assert!(events.iter().any(|event| event["event"] == "done"));
    let output = run(dir.path(), &["verify", "--progress", "none"], &[]);
    assert!(output.stderr.is_empty());
}

#[test]
fn wrong_usage_ends_with_2_and_empty_variables_are_not_set() {
    let dir = two_versions();
    for arguments in [
        &["prune", "--older-than", "soon"] as &[&str],
        &["pin"],
        &["pin", "no-model"],
        &["verify", "no-model"],
        &["export", "acme/tiny"],
        &["import", "x", "--as", "tiny"],
        &["acme/tiny", "list"],
        &["--ttl", "soon", "acme/tiny"],
        &["--keep-free", "much", "acme/tiny"],
        &["--connections", "0", "acme/tiny"],
        &["--allow", "no-entry", "acme/tiny"],
        &["--include", "[", "acme/tiny"],
        &["--progress", "loud", "acme/tiny"],
    ] {
        assert_eq!(answer(dir.path(), arguments, 2), "", "{arguments:?}");
    }
    answer(dir.path(), &["pin", "./models"], 1);
    let empty = [
        "MODEL_TTL",
        "MODEL_ALLOW",
        "MODELS_LOCK",
        "FETCH_CONNECTIONS",
        "FETCH_STALL_TIMEOUT",
        "FETCH_FILE_TIMEOUT",
        "FETCH_TIMEOUT",
        "FETCH_RETRIES",
        "FETCH_KEEP_FREE",
        "FETCH_INCLUDE",
        "FETCH_EXCLUDE",
        "FETCH_REFRESH",
        "HF_ENDPOINT",
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "MODEL_CACHE_DIR",
    ]
    .map(|name| (name, ""));
    let output = run(dir.path(), &["acme/tiny"], &empty);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let values = [("MODEL_TTL", "12h"), ("FETCH_KEEP_FREE", "2G"), ("FETCH_CONNECTIONS", "8"), ("FETCH_RETRIES", "x")];
    assert_eq!(run(dir.path(), &["acme/tiny"], &values).status.code(), Some(2));
    assert_eq!(run(dir.path(), &["--offline", "acme/tiny"], &values[..3]).status.code(), Some(0));
}
