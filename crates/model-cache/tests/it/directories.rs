//! Which directories are taken for a whole model: the cache's own, the Python service's, and any that are named.

use std::fs;
use std::path::Path;

use model_cache::{CacheError, Fault, ModelSpec, Problem};
use tempfile::tempdir;

use crate::hub::{COMMIT, Hub, sample};
use crate::{offline, online, spec};

/// Resolves a directory after `spoil` has been at a whole checkpoint in it.
fn faults_after(files: &std::collections::BTreeMap<String, Vec<u8>>, spoil: impl FnOnce(&Path)) -> Vec<Fault> {
    let dir = tempdir().unwrap();
    sample::write(dir.path(), files);
    spoil(dir.path());
    match offline(dir.path()).resolve(&ModelSpec::Directory(dir.path().to_owned())) {
        Ok(_) => Vec::new(),
        Err(CacheError::Incomplete { missing, path }) => {
            assert_eq!(path, dir.path());
            missing
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn fault(file: &str, problem: Problem) -> Vec<Fault> {
    vec![Fault { file: file.to_owned(), problem }]
}

#[test]
fn whole_checkpoints_are_whole() {
    assert_eq!(faults_after(&sample::checkpoint(), |_| ()), []);
    assert_eq!(faults_after(&sample::sharded(), |_| ()), []);
}

#[test]
fn weights_cut_off_anywhere_are_not_whole() {
    let whole = sample::safetensors(1000);
    let weights = "model.safetensors";
    for length in [0, 1, 8, 50, whole.len() - 4000, whole.len() / 2, whole.len() - 1] {
        let faults = faults_after(&sample::checkpoint(), |dir| fs::write(dir.join(weights), &whole[..length]).unwrap());
        assert_eq!(faults.len(), 1, "{length} bytes: {faults:?}");
        assert_eq!(faults[0].file, weights);
    }
    let cut = |dir: &Path| fs::write(dir.join(weights), &whole[..whole.len() - 1]).unwrap();
    let (expected, actual) = (whole.len() as u64, whole.len() as u64 - 1);
    assert_eq!(faults_after(&sample::checkpoint(), cut), fault(weights, Problem::Length { expected, actual }));
    let longer = |dir: &Path| fs::write(dir.join(weights), [whole.as_slice(), b"x"].concat()).unwrap();
    let actual = expected + 1;
    assert_eq!(faults_after(&sample::checkpoint(), longer), fault(weights, Problem::Length { expected, actual }));
}

#[test]
fn lying_headers_are_malformed() {
    let with_header = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    for bytes in [
        u64::MAX.to_le_bytes().to_vec(),
        with_header("{]"),
        with_header(r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}"#),
        with_header(r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 18446744073709551615]}}"#),
        with_header(r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}"#),
        with_header(r#"{"a": {"dtype": "F32", "shape": [1]}}"#),
    ] {
        let faults =
            faults_after(&sample::checkpoint(), |dir| fs::write(dir.join("model.safetensors"), &bytes).unwrap());
        assert!(matches!(&faults[..], [Fault { problem: Problem::Malformed(_), .. }]), "{faults:?}");
    }
}

#[test]
fn every_required_file_is_missed() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let faults = faults_after(&sample::checkpoint(), |dir| fs::remove_file(dir.join(file)).unwrap());
        assert_eq!(faults, fault(file, Problem::Missing));
    }
    let shard = "model-00002-of-00002.safetensors";
    let faults = faults_after(&sample::sharded(), |dir| fs::remove_file(dir.join(shard)).unwrap());
    assert_eq!(faults, fault(shard, Problem::Missing));
}

#[test]
fn json_that_does_not_parse_is_malformed() {
    for (file, text) in [
        ("config.json", r#"{"model_type":"#),
        ("config.json", ""),
        ("tokenizer.json", "[]"),
        ("generation_config.json", "<html>"),
    ] {
        let faults = faults_after(&sample::checkpoint(), |dir| fs::write(dir.join(file), text).unwrap());
        assert!(matches!(&faults[..], [Fault { problem: Problem::Malformed(_), .. }]), "{faults:?}");
    }
}

#[test]
fn an_index_that_leads_out_of_the_directory_is_malformed() {
    for shard in ["../secret.safetensors", "/etc/secret.safetensors", "weights.bin"] {
        let index = format!(r#"{{"weight_map": {{"a": "{shard}"}}}}"#);
        let faults =
            faults_after(&sample::sharded(), |dir| fs::write(dir.join("model.safetensors.index.json"), index).unwrap());
        assert!(matches!(&faults[..], [Fault { problem: Problem::Malformed(_), .. }]), "{faults:?}");
    }
}

#[tokio::test]
async fn a_whole_directory_of_the_python_service_is_used() {
    let dir = tempdir().unwrap();
    let python = dir.path().join("acme--tiny");
    sample::write(&python, &sample::checkpoint());
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let files = online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    assert_eq!((files.path.as_path(), files.name.as_str()), (python.as_path(), "acme/tiny"));
    assert_eq!(files.revision, None);
    assert_eq!(hub.seen(), []);
    // It does not say which revision it is, so it is not an answer to a revision.
    assert!(matches!(offline(dir.path()).resolve(&spec("acme/tiny@main")), Err(CacheError::NotCached { .. })));
}

#[tokio::test]
async fn a_truncated_directory_of_the_python_service_is_ignored() {
    let dir = tempdir().unwrap();
    let python = dir.path().join("acme--tiny");
    sample::write(&python, &sample::checkpoint());
    let cut = &sample::safetensors(1000)[..1000];
    fs::write(python.join("model.safetensors"), cut).unwrap();
    assert!(matches!(offline(dir.path()).resolve(&spec("acme/tiny")), Err(CacheError::NotCached { .. })));
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let files = online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    assert_eq!(files.path, dir.path().join("models--acme--tiny/snapshots").join(COMMIT));
    assert_eq!(fs::read(python.join("model.safetensors")).unwrap(), cut, "it is left as it is");
}

#[test]
fn a_half_fetched_snapshot_is_not_there() {
    let dir = tempdir().unwrap();
    let repo = dir.path().join("models--acme--tiny");
    let snapshot = repo.join("snapshots").join(COMMIT);
    let mut files = sample::checkpoint();
    files.remove("model.safetensors");
    sample::write(&snapshot, &files);
    let cache = offline(dir.path());
    assert!(matches!(cache.resolve(&spec("acme/tiny")), Err(CacheError::NotCached { .. })), "no branch yet");
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), format!("{COMMIT}\n")).unwrap();
    assert!(matches!(cache.resolve(&spec("acme/tiny")), Err(CacheError::Incomplete { .. })));
    fs::write(snapshot.join("model.safetensors"), sample::safetensors(3)).unwrap();
    assert_eq!(cache.resolve(&spec("acme/tiny")).unwrap().path, snapshot);
    fs::write(repo.join("refs/main"), "../../elsewhere").unwrap();
    assert!(matches!(cache.resolve(&spec("acme/tiny")), Err(CacheError::NotCached { .. })), "a branch is a commit");
}

#[tokio::test]
async fn local_paths_are_checked_and_never_fetched() {
    let dir = tempdir().unwrap();
    let hub = Hub::start(vec![]);
    let cache = online(dir.path(), &hub);
    let path = dir.path().join("my-model");
    sample::write(&path, &sample::checkpoint());
    let files = cache.fetch(&spec(path.to_str().unwrap()), &|_| ()).await.unwrap();
    assert_eq!((files.path, files.name.as_str(), files.revision), (path.clone(), "my-model", None));

    let gguf = dir.path().join("tiny-1.5.Q8_0.gguf");
    let file = spec(gguf.to_str().unwrap());
    assert!(matches!(cache.resolve(&file), Err(CacheError::Io { .. })));
    fs::write(&gguf, sample::gguf()).unwrap();
    assert_eq!(cache.resolve(&file).unwrap().name, "tiny-1.5.Q8_0");
    for bytes in [b"GGU".as_slice(), b"GGML\x03\0\0\0", b"GGUF\x09\0\0\0", b""] {
        fs::write(&gguf, bytes).unwrap();
        assert!(matches!(cache.resolve(&file), Err(CacheError::Incomplete { .. })));
    }
    fs::remove_file(path.join("config.json")).unwrap();
    assert!(matches!(cache.fetch(&ModelSpec::Directory(path), &|_| ()).await, Err(CacheError::Incomplete { .. })));
    assert_eq!(hub.seen(), []);
}

#[test]
fn a_pipe_is_no_file_and_is_not_waited_for() {
    let faults = faults_after(&sample::checkpoint(), |dir| {
        let config = dir.join("config.json");
        fs::remove_file(&config).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&config).status().unwrap().success());
    });
    assert_eq!(faults, fault("config.json", Problem::Malformed("it is not a regular file".to_owned())));
}
