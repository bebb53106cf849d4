//! What verifying finds, and what it does about it.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Mutex;

use model_cache::{CacheError, Problem, Verdict, VerifiedFile, VerifyAction, VerifyScope, WorkEvent};

use super::handmade::{Handmade, NEW, OLD, checkpoint, gguf, safetensors, spec, write};

fn broken(handmade: &Handmade, action: VerifyAction) -> Vec<VerifiedFile> {
    let files = handmade.cache().verify(&VerifyScope::Everything, action, &|_| ()).unwrap();
    files.into_iter().filter(|file| file.verdict.is_broken()).collect()
}

fn names(files: &[VerifiedFile]) -> Vec<(&str, &str)> {
    files.iter().map(|file| (file.commit.as_deref().unwrap_or("-"), file.file.as_str())).collect()
}

#[test]
fn sound_files_are_read_once_and_told_of() {
    let handmade = Handmade::with_two_versions();
    let events = Mutex::new(Vec::new());
    let progress = |event| events.lock().unwrap().push(event);
    let files = handmade.cache().verify(&VerifyScope::Everything, VerifyAction::Report, &progress).unwrap();
    assert_eq!(files.len(), 6);
    assert!(files.iter().all(|file| file.verdict == Verdict::Sound), "{files:?}");
    let events = events.into_inner().unwrap();
    let total = handmade.cache().list().unwrap().size;
    assert_eq!(events[0], WorkEvent::Started { files: 4, total_bytes: total }, "two files are shared");
    assert_eq!(events.iter().filter(|event| matches!(event, WorkEvent::Done { .. })).count(), 4);
    let done = events.iter().filter_map(|event| match event {
        WorkEvent::Progress { done_bytes, .. } => Some(*done_bytes),
        _ => None,
    });
    assert_eq!(done.max(), Some(total));
}

#[test]
fn a_flipped_bit_is_found_and_discarded_from_all_versions() {
    let handmade = Handmade::with_two_versions();
    let tokenizer = handmade.blob("acme/tiny", NEW, "tokenizer.json");
    fs::write(&tokenizer, r#"{"version": "1.1"}"#).unwrap();
    let found = broken(&handmade, VerifyAction::Report);
    assert_eq!(names(&found), [(OLD, "tokenizer.json"), (NEW, "tokenizer.json")]);
    assert!(matches!(&found[0].verdict, Verdict::WrongDigest { expected, actual } if expected != actual));
    assert!(tokenizer.exists() && found.iter().all(|file| !file.discarded));

    let found = broken(&handmade, VerifyAction::Discard);
    assert!(found.iter().all(|file| file.discarded), "{found:?}");
    assert!(!tokenizer.exists());
    assert_eq!(handmade.loose_ends("acme/tiny"), [] as [&std::path::Path; 0]);
    let error = handmade.cache().resolve(&spec("acme/tiny")).unwrap_err();
    assert!(matches!(error, CacheError::Incomplete { .. }), "{error}");
    assert_eq!(names(&broken(&handmade, VerifyAction::Report)), [(OLD, "tokenizer.json"), (NEW, "tokenizer.json")]);
}

#[test]
fn a_file_that_need_not_be_there_is_missed_after_it_was_discarded() {
    let handmade = Handmade::new();
    let mut files = checkpoint(10);
    files.push(("chat_template.jinja", b"{{ messages }}".to_vec()));
    handmade.version("acme/tiny", NEW, &files);
    handmade.refer("acme/tiny", "main", NEW);
    fs::write(handmade.blob("acme/tiny", NEW, "chat_template.jinja"), "{{ massages }}").unwrap();
    handmade.cache().resolve(&spec("acme/tiny")).unwrap();
    assert_eq!(broken(&handmade, VerifyAction::Discard).len(), 1);
    assert!(matches!(handmade.cache().resolve(&spec("acme/tiny")), Err(CacheError::Incomplete { .. })));
}

#[test]
fn one_model_is_verified_by_its_name() {
    let handmade = Handmade::with_two_versions();
    handmade.version("acme/gguf", OLD, &vec![("a.gguf", gguf()), ("b.gguf", gguf())]);
    handmade.refer("acme/gguf", "main", OLD);
    let verify = |text: &str| handmade.cache().verify(&VerifyScope::Model(spec(text)), VerifyAction::Report, &|_| ());
    assert_eq!(names(&verify("acme/gguf:b.gguf").unwrap()), [(OLD, "b.gguf")]);
    assert_eq!(verify("acme/tiny").unwrap().len(), 3);
    assert!(matches!(verify("acme/absent"), Err(CacheError::NotCached { .. })));
    assert!(matches!(verify("acme/gguf:c.gguf"), Err(CacheError::NotCached { .. })));
    let folder = handmade.path().join("acme--python");
    write(&folder, &checkpoint(3));
    assert!(verify("acme/python").unwrap().iter().all(|file| file.verdict == Verdict::Unproven));
    fs::write(folder.join("model.safetensors"), &safetensors(3)[..30]).unwrap();
    let found = verify(folder.to_str().unwrap()).unwrap();
    assert!(found.iter().any(|file| matches!(file.verdict, Verdict::Broken(Problem::Length { .. }))), "{found:?}");
    assert!(verify("./absent").is_err());
}

#[test]
fn missing_dangling_and_hostile_files_are_found() {
    let handmade = Handmade::with_two_versions();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let [old, new] = [OLD, NEW].map(|commit| handmade.snapshot("acme/tiny", commit));
    fs::remove_file(old.join("config.json")).unwrap();
    symlink(outside.path(), old.join("config.json")).unwrap();
    fs::remove_file(handmade.blob("acme/tiny", NEW, "model.safetensors")).unwrap();
    fs::remove_file(old.join("tokenizer.json")).unwrap();
    let found = broken(&handmade, VerifyAction::Discard);
    let seen: Vec<_> = found.iter().map(|file| (file.file.as_str(), &file.verdict)).collect();
    assert!(seen.contains(&("config.json", &Verdict::Outside)), "{seen:?}");
    assert!(seen.contains(&("tokenizer.json", &Verdict::Missing)), "{seen:?}");
    assert!(seen.contains(&("model.safetensors", &Verdict::Missing)), "{seen:?}");
    assert!(outside.path().exists(), "what is not the cache's is not removed");
    assert!(!old.join("config.json").is_symlink() && !new.join("model.safetensors").is_symlink());
}
