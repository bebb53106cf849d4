//! A model on its way to a machine without a network: exported here, imported there.

use std::fs;
use std::path::Path;

use model_cache::{CacheConfig, CacheError, ModelCache, VerifyAction, VerifyScope};

use super::handmade::{Handmade, NEW, OLD, checkpoint, gguf, offline, safetensors, spec, walk, write};

fn repo() -> model_cache::RepoId {
    "acme/tiny".parse().unwrap()
}

fn export(handmade: &Handmade, text: &str, target: &Path) {
    handmade.cache().export(&spec(text), target, &|_| ()).unwrap();
}

#[test]
fn what_is_exported_is_imported_with_commit_and_digests() {
    let from = Handmade::with_two_versions();
    let media = tempfile::tempdir().unwrap();
    let target = media.path().join("tiny");
    let exported = from.cache().export(&spec("acme/tiny"), &target, &|_| ()).unwrap();
    assert_eq!((exported.files, exported.commit.as_deref()), (3, Some(NEW)));
    assert!(walk(&target).iter().all(|path| !path.is_symlink()));
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(target.join("model.json")).unwrap()).unwrap();
    assert_eq!((manifest["repo"].as_str(), manifest["commit"].as_str()), (Some("acme/tiny"), Some(NEW)));
    offline(media.path()).resolve(&spec(target.to_str().unwrap())).unwrap();

    let to = Handmade::new();
    let files = to.cache().import(&target, &repo(), &|_| ()).unwrap();
    assert_eq!((files.revision.as_deref(), &files.path), (Some(NEW), &to.snapshot("acme/tiny", NEW)));
    assert_eq!(to.cache().resolve(&spec("acme/tiny")).unwrap(), files);
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let [before, after] = [&from, &to].map(|cache| cache.blob("acme/tiny", NEW, file));
        assert_eq!(before.file_name(), after.file_name(), "{file}");
        assert_eq!(fs::read(before).unwrap(), fs::read(after).unwrap(), "{file}");
    }
    let entry = |cache: &Handmade| cache.cache().lock_entry(&spec("acme/tiny")).unwrap();
    assert_eq!(entry(&from), entry(&to));
    assert!(!to.repo("acme/tiny").join("partial").read_dir().unwrap().any(|_| true));
    to.cache().import(&target, &repo(), &|_| ()).unwrap();
    assert_eq!(to.cache().list().unwrap().models.len(), 1, "twice is once");
}

#[test]
fn an_export_never_writes_over_anything_and_leaves_no_half() {
    let from = Handmade::with_two_versions();
    let media = tempfile::tempdir().unwrap();
    let target = media.path().join("tiny");
    fs::create_dir(&target).unwrap();
    assert!(matches!(from.cache().export(&spec("acme/tiny"), &target, &|_| ()), Err(CacheError::Io { .. })));
    fs::remove_dir(&target).unwrap();
    let weights = from.blob("acme/tiny", NEW, "model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let error = from.cache().export(&spec("acme/tiny"), &target, &|_| ()).unwrap_err();
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    assert_eq!(fs::read_dir(media.path()).unwrap().count(), 0);
}

#[test]
fn an_import_refuses_what_is_not_what_it_says() {
    let from = Handmade::with_two_versions();
    let media = tempfile::tempdir().unwrap();
    let spoilt = |name: &str, spoil: &dyn Fn(&Path)| {
        let target = media.path().join(name);
        export(&from, "acme/tiny", &target);
        spoil(&target);
        let to = Handmade::new();
        let error = to.cache().import(&target, &repo(), &|_| ()).unwrap_err();
        assert!(matches!(error, CacheError::Incomplete { .. }), "{name}: {error}");
        assert!(to.cache().list().unwrap().models.is_empty(), "{name}");
        assert!(!to.repo("acme/tiny").join("blobs").exists(), "{name}");
    };
    spoilt("flipped", &|target| {
        let mut bytes = safetensors(200);
        *bytes.last_mut().unwrap() = 0;
        fs::write(target.join("model.safetensors"), bytes).unwrap();
    });
    spoilt("cut", &|target| fs::write(target.join("model.safetensors"), &safetensors(200)[..100]).unwrap());
    spoilt("missing", &|target| fs::remove_file(target.join("tokenizer.json")).unwrap());
    let edit = |target: &Path, from: &str, to: &str| {
        let path = target.join("model.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(path, text.replace(from, to)).unwrap();
    };
    spoilt("leading out", &|target| edit(target, "tokenizer.json", "../../tokenizer.json"));
    spoilt("no commit", &|target| edit(target, NEW, "../../elsewhere"));
    spoilt("no json", &|target| edit(target, "{", "["));
    spoilt("less than whole", &|target| {
        let text = fs::read_to_string(target.join("model.json")).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        manifest["files"].as_array_mut().unwrap().retain(|file| file["path"] != "tokenizer.json");
        fs::write(target.join("model.json"), manifest.to_string()).unwrap();
        fs::remove_file(target.join("tokenizer.json")).unwrap();
    });
}

#[test]
fn any_whole_directory_becomes_a_version_of_its_own() {
    let media = tempfile::tempdir().unwrap();
    let source = media.path().join("mine");
    write(&source, &checkpoint(9));
    write(&source, &vec![("pytorch_model.bin", b"pickle".to_vec()), ("notes.txt", b"mine".to_vec())]);
    let to = Handmade::new();
    let files = to.cache().import(&source, &repo(), &|_| ()).unwrap();
    let commit = files.revision.clone().unwrap();
    assert_eq!(commit.len(), 40);
    assert_eq!(to.cache().resolve(&spec("acme/tiny")).unwrap(), files);
    assert_eq!(walk(&files.path).len(), 3, "what a runtime does not need stays outside");
    assert_eq!(to.blob("acme/tiny", &commit, "config.json").file_name().unwrap().len(), 40, "as git names it");
    let verified = to.cache().verify(&VerifyScope::Everything, VerifyAction::Report, &|_| ()).unwrap();
    assert!(verified.iter().all(|file| !file.verdict.is_broken()), "{verified:?}");
    assert_eq!(to.cache().import(&source, &repo(), &|_| ()).unwrap().revision.unwrap(), commit);
    fs::write(source.join("model.safetensors"), safetensors(10)).unwrap();
    assert_ne!(to.cache().import(&source, &repo(), &|_| ()).unwrap().revision.unwrap(), commit);
    fs::remove_file(source.join("config.json")).unwrap();
    assert!(matches!(to.cache().import(&source, &repo(), &|_| ()), Err(CacheError::Incomplete { .. })));
}

#[test]
fn a_gguf_is_carried_too() {
    let media = tempfile::tempdir().unwrap();
    let source = media.path().join("tiny-Q8_0.gguf");
    fs::write(&source, gguf()).unwrap();
    let here = Handmade::new();
    here.cache().import(&source, &repo(), &|_| ()).unwrap();
    here.cache().resolve(&spec("acme/tiny:tiny-Q8_0.gguf")).unwrap();
    let target = media.path().join("out");
    export(&here, "acme/tiny:tiny-Q8_0.gguf", &target);
    assert_eq!(walk(&target).len(), 2);
    let there = Handmade::new();
    there.cache().import(&target, &repo(), &|_| ()).unwrap();
    let digest = |cache: &Handmade| cache.cache().lock_entry(&spec("acme/tiny:tiny-Q8_0.gguf")).unwrap();
    assert_eq!(digest(&here), digest(&there));
    fs::write(&source, "GGML").unwrap();
    assert!(matches!(there.cache().import(&source, &repo(), &|_| ()), Err(CacheError::Incomplete { .. })));
    assert!(matches!(
        here.cache().export(&spec(source.to_str().unwrap()), &media.path().join("x"), &|_| ()),
        Err(CacheError::InvalidSpec { .. })
    ));
}

#[test]
fn a_branch_is_moved_only_by_what_is_that_branch() {
    let from = Handmade::with_two_versions();
    let media = tempfile::tempdir().unwrap();
    export(&from, &format!("acme/tiny@{OLD}"), &media.path().join("old"));
    export(&from, "acme/tiny", &media.path().join("new"));
    let to = Handmade::new();
    let current = || to.cache().resolve(&spec("acme/tiny")).unwrap().revision.unwrap();
    to.cache().import(&media.path().join("old"), &repo(), &|_| ()).unwrap();
    assert_eq!(current(), OLD, "the first is what there is");
    to.cache().import(&media.path().join("new"), &repo(), &|_| ()).unwrap();
    assert_eq!(current(), NEW);
    to.cache().import(&media.path().join("old"), &repo(), &|_| ()).unwrap();
    assert_eq!(current(), NEW);
}

#[test]
fn only_allowed_repositories_are_imported() {
    let media = tempfile::tempdir().unwrap();
    write(&media.path().join("mine"), &checkpoint(9));
    let config = CacheConfig { allowed: "Qwen/*".parse().unwrap(), ..CacheConfig::new(media.path().join("cache")) };
    let result = ModelCache::new(config).unwrap().import(&media.path().join("mine"), &repo(), &|_| ());
    assert!(matches!(result, Err(CacheError::NotAllowed { .. })));
}
