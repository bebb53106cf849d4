//! What keeps a version: a pin, and a process that holds it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model_cache::{CacheError, PruneMode, PruneOptions, Verdict, VerifyAction, VerifyScope};

use super::handmade::{Handmade, NEW, OLD, gguf, spec, walk, write};

#[test]
fn a_model_is_in_use_while_it_is_held() {
    let handmade = Handmade::with_two_versions();
    let cache = handmade.cache();
    let in_use = || cache.list().unwrap().models.iter().map(|model| model.in_use).collect::<Vec<_>>();
    let held = cache.resolve(&spec("acme/tiny")).unwrap().hold().unwrap();
    let again = cache.resolve(&spec("acme/tiny")).unwrap().hold().unwrap();
    assert_eq!(in_use(), [false, true], "the other version shares config.json, and is not in use");
    drop(held);
    assert_eq!(in_use(), [false, true]);
    drop(again);
    assert_eq!(in_use(), [false, false]);
}

#[test]
fn a_gguf_and_a_directory_can_be_held_too() {
    let handmade = Handmade::new();
    handmade.version("acme/gguf", OLD, &vec![("tiny-Q8_0.gguf", gguf())]);
    handmade.refer("acme/gguf", "main", OLD);
    let cache = handmade.cache();
    let held = cache.resolve(&spec("acme/gguf:tiny-Q8_0.gguf")).unwrap().hold().unwrap();
    assert!(cache.list().unwrap().models[0].in_use);
    drop(held);
    let folder = handmade.path().join("acme--python");
    write(&folder, &super::handmade::checkpoint(1));
    let held = cache.resolve(&spec("acme/python")).unwrap().hold().unwrap();
    assert!(cache.list().unwrap().models.iter().any(|model| model.commit.is_none() && model.in_use));
    drop(held);
}

#[test]
fn holding_needs_no_right_to_write() {
    let handmade = Handmade::with_two_versions();
    let blob = handmade.blob("acme/tiny", NEW, "config.json");
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o444)).unwrap();
    let held = handmade.cache().resolve(&spec("acme/tiny")).unwrap().hold().unwrap();
    assert!(handmade.cache().list().unwrap().models[1].in_use);
    drop(held);
}

#[test]
fn only_what_is_cached_can_be_pinned() {
    let handmade = Handmade::with_two_versions();
    let cache = handmade.cache();
    let pinned = || cache.list().unwrap().models.iter().map(|model| model.pinned).collect::<Vec<_>>();
    assert_eq!(cache.pin(&spec("acme/tiny")).unwrap(), NEW);
    assert_eq!(cache.pin(&spec(&format!("acme/tiny@{OLD}"))).unwrap(), OLD);
    assert_eq!(pinned(), [true, true]);
    assert_eq!(cache.unpin(&spec("acme/tiny")).unwrap(), NEW);
    assert_eq!(cache.unpin(&spec("acme/tiny")).unwrap(), NEW, "twice is once");
    assert_eq!(pinned(), [true, false]);
    for text in ["acme/absent", "acme/tiny@absent"] {
        assert!(matches!(cache.pin(&spec(text)), Err(CacheError::NotCached { .. })), "{text}");
        assert!(matches!(cache.unpin(&spec(text)), Err(CacheError::NotCached { .. })), "{text}");
    }
    let absent = format!("acme/tiny@{}", "3".repeat(40));
    assert!(matches!(cache.unpin(&spec(&absent)), Err(CacheError::NotCached { .. })));
    fs::remove_file(handmade.snapshot("acme/tiny", NEW).join("model.safetensors")).unwrap();
    assert!(matches!(cache.pin(&spec("acme/tiny")), Err(CacheError::Incomplete { .. })));
    let folder = handmade.path().join("acme--python");
    write(&folder, &super::handmade::checkpoint(1));
    assert!(matches!(cache.pin(&spec("acme/python")), Err(CacheError::InvalidSpec { .. })));
}

/// Takes the right to write from everything below a folder, or gives it back.
fn set_modes(folder: &Path, folders: u32, files: u32) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            set_modes(&path, folders, files);
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(files)).unwrap();
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(folders)).unwrap();
}

#[test]
fn a_read_only_cache_can_be_listed_verified_held_and_exported() {
    let handmade = Handmade::with_two_versions();
    let (cache, media) = (handmade.cache(), tempfile::tempdir().unwrap());
    set_modes(handmade.path(), 0o555, 0o444);
    let before = walk(handmade.path());
    let held = cache.resolve(&spec("acme/tiny")).unwrap().hold().unwrap();
    assert_eq!(cache.list().unwrap().models.len(), 2);
    let verified = cache.verify(&VerifyScope::Everything, VerifyAction::Report, &|_| ()).unwrap();
    assert!(verified.iter().all(|file| file.verdict == Verdict::Sound), "{verified:?}");
    let report = cache.prune(&PruneOptions { older_than: None, mode: PruneMode::Report }).unwrap();
    assert!(!report.removed.is_empty());
    cache.export(&spec("acme/tiny"), &media.path().join("out"), &|_| ()).unwrap();
    assert_eq!(walk(handmade.path()), before);
    drop(held);
    // So that the directory can be removed.
    set_modes(handmade.path(), 0o755, 0o644);
}
